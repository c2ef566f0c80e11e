"""Rules about requests that the controller and the nodes share."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from tiphys.csi.errors import InvalidArgument
from tiphys.csi.pb import csi_pb2 as pb

NAME = "directory.csi.tiphys.io"
ZONE = f"topology.{NAME}/zone"
"""Key of the topology."""
FILE_SYSTEMS = ("ext4", "xfs")
Mode = pb.VolumeCapability.AccessMode
SINGLE_NODE = (
    Mode.SINGLE_NODE_WRITER, Mode.SINGLE_NODE_READER_ONLY, Mode.SINGLE_NODE_SINGLE_WRITER, Mode.SINGLE_NODE_MULTI_WRITER,
)  # fmt: skip
READ_ONLY = (Mode.SINGLE_NODE_READER_ONLY, Mode.MULTI_NODE_READER_ONLY)
MUTABLE = {"comment": r".{0,200}", "readOps": r"\d{1,9}"}
"""Parameters of a VolumeAttributesClass, with a pattern for their values. They are recorded, and nothing else."""
# What would mount something else than the volume, or tell the mount program to do more than that.
_OPTION = re.compile(r"(?!(r?bind|move|remount|loop|offset|sizelimit|helper|users?|owner|group)($|=))[a-z0-9_]+(=[A-Za-z0-9_.:%-]+)?")


def need(**fields: object) -> None:
    """Raise InvalidArgument for the first of these fields that is empty."""
    for name, value in fields.items():
        if not value:
            raise InvalidArgument(f"{name} is missing")


def check_path(path: str, name: str) -> None:
    """Raise InvalidArgument for what is no absolute path, or not in its shortest form."""
    need(**{name: path})
    if "\0" in path or not path.startswith("/") or path == "/" or os.path.normpath(path) != path:
        raise InvalidArgument(f"{name} must be an absolute path in its shortest form")


def check_mutable(parameters: dict[str, str]) -> None:
    """Raise InvalidArgument for a mutable parameter or value that is unknown."""
    for key, value in parameters.items():
        if key not in MUTABLE or not re.fullmatch(MUTABLE[key], value):
            raise InvalidArgument(f"the mutable parameter {key[:100]!r} cannot have this value, or is unknown: {', '.join(MUTABLE)}")


def problem(capability: pb.VolumeCapability, backing: str) -> str:
    """Return why a volume cannot be used in this way, or nothing."""
    mode, kind = capability.access_mode.mode, capability.WhichOneof("access_type")
    if kind is None or mode == Mode.UNKNOWN:
        return "access_type and access_mode are needed"
    if mode not in Mode.Mode.values():
        return f"the access mode {mode} is unknown"
    if backing == "directory":
        return "a directory is no block device" if kind == "block" else _mount_problem(capability.mount, ())
    if kind == "mount" and mode in (Mode.MULTI_NODE_SINGLE_WRITER, Mode.MULTI_NODE_MULTI_WRITER):
        return "a file system on a disk has one node that writes; use backing: directory"
    return "" if kind == "block" else _mount_problem(capability.mount, FILE_SYSTEMS)


def _mount_problem(mount: pb.VolumeCapability.MountVolume, fs_types: Iterable[str]) -> str:
    if mount.fs_type and fs_types and mount.fs_type not in fs_types:
        return f"the file system is one of {', '.join(fs_types)}"
    wrong = [flag for flag in mount.mount_flags if not _OPTION.fullmatch(flag)]
    return f"the mount option {wrong[0][:100]!r} is not allowed" if wrong else ""


def check_capability(capability: pb.VolumeCapability, backing: str) -> None:
    """Raise InvalidArgument when a volume cannot be used in this way."""
    if reason := problem(capability, backing):
        raise InvalidArgument(reason)
