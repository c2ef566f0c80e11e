"""Requests for volumes, checked and in this driver's terms. Pure.

The file system is that of the capability, `csi.storage.k8s.io/fstype` of the class; every access mode is possible, as all pods that can
reach a volume are on its node.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from tiphys.csi.checks import access_type
from tiphys.csi.errors import Exhausted, InvalidArgument, OutOfRange
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.node.local_path.records import Record
from tiphys.node.local_path.settings import TOPOLOGY_KEY
from tiphys.node.local_path.storage import BLOCK, SMALLEST, text

DEFAULT_SIZE = 1 << 30
LARGEST = 1 << 62
FILE_SYSTEMS = ("ext4", "xfs")
_PREFIX = "csi.storage.k8s.io/"
_FOREIGN_OPTIONS = frozenset(
    (
        "bind", "rbind", "move", "remount", "loop", "offset", "sizelimit", "encryption",
        "shared", "rshared", "slave", "rslave", "private", "rprivate", "unbindable", "runbindable",
        "journal_path", "journal_dev", "logdev", "rtdev", "errors=panic",
    )
)  # fmt: skip
"""Mount options that mean another device or another kind of mount than that of the volume, or that stop the whole machine."""
Mode = Literal["Filesystem", "Block"]


class VolumeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Parsed CreateVolumeRequest; sizes in bytes, `limit` 0 for none."""

    name: str
    mode: Mode
    fs_type: str
    required: int
    limit: int
    source: str

    def mismatch(self, present: Record) -> str:
        """Return why a volume of the same name is another one, "" if it is not."""
        if present.name != self.name:
            return f"its name is {present.name}"
        if present.mode != self.mode or present.fs_type != self.fs_type:
            return f"it is a volume of mode {present.mode}{f' with {present.fs_type}' if present.fs_type else ''}"
        if present.source != self.source:
            return f"it is a copy of volume {present.source}" if present.source else "it is not a copy"
        if present.capacity < self.required or (self.limit and present.capacity > self.limit):
            return f"its size is {present.capacity} bytes"
        return ""

    def record(self, identity: str, source: Record | None) -> Record:
        """Return the record of the new volume. Raises OutOfRange, InvalidArgument."""
        if source is not None and (source.mode, source.fs_type) != (self.mode, self.fs_type):
            raise InvalidArgument(f"volume {source.id} is of mode {source.mode} {source.fs_type}: a copy cannot be another")
        capacity = rounded(self.required or (source.capacity if source else 0) or min(DEFAULT_SIZE, self.limit or DEFAULT_SIZE))
        capacity = max(capacity, SMALLEST[self.fs_type])
        if source is not None and capacity < source.capacity:
            raise OutOfRange(f"a copy of volume {source.id} needs {text(source.capacity)}, {text(capacity)} requested")
        if self.limit and capacity > self.limit:
            raise OutOfRange(f"the smallest volume that serves has {capacity} bytes, the limit is {self.limit}")
        return Record(
            id=identity,
            name=self.name,
            capacity=capacity,
            mode=self.mode,
            fs_type=self.fs_type,
            source=self.source,
            fs_size=source.fs_size if source else capacity if self.mode == "Filesystem" else 0,
            is_fresh=source.is_fresh if source else self.mode == "Filesystem",
        )


def parse_request(request: pb.CreateVolumeRequest, node: str) -> VolumeRequest:
    """Return the requested volume. Raises InvalidArgument, OutOfRange, Exhausted for one that must be elsewhere."""
    if not request.name or len(request.name) > 128:
        raise InvalidArgument("name is required and may have 128 characters")
    if not request.volume_capabilities:
        raise InvalidArgument("volume_capabilities is required")
    modes = {_mode(capability) for capability in request.volume_capabilities}
    if len(modes) != 1:
        raise InvalidArgument("a volume is either a file system or a block device")
    (mode,) = modes
    fs_types = {capability.mount.fs_type for capability in request.volume_capabilities} if mode == "Filesystem" else {""}
    if len(fs_types) != 1:
        raise InvalidArgument(f"a volume has one file system, requested are {', '.join(sorted(fs_types))}")
    for capability in request.volume_capabilities:
        mount_options(capability)
    unknown = [key for key in request.parameters if not key.startswith(_PREFIX)]
    if unknown or request.mutable_parameters:
        raise InvalidArgument(f"unknown parameters: {', '.join(sorted([*unknown, *request.mutable_parameters]))}")
    _check_topology(request, node)
    required, limit = size_range(request.capacity_range)
    return VolumeRequest(
        name=request.name,
        mode=mode,
        fs_type=_file_system(fs_types.pop()) if mode == "Filesystem" else "",
        required=required,
        limit=limit,
        source=_source(request),
    )


def size_range(value: pb.CapacityRange) -> tuple[int, int]:
    """Return the required bytes and the limit, 0 for none. Raises InvalidArgument, OutOfRange."""
    required, limit = value.required_bytes, value.limit_bytes
    if required < 0 or limit < 0 or (limit and required > limit):
        raise InvalidArgument(f"no volume has at least {required} and at most {limit} bytes")
    if required > LARGEST:
        raise OutOfRange(f"{required} bytes are more than any disk has")
    return required, limit


def rounded(size: int) -> int:
    """Return a size in whole blocks."""
    return -(-size // BLOCK) * BLOCK


def check_capabilities(capabilities: Iterable[pb.VolumeCapability], record: Record) -> None:
    """Raise InvalidArgument for what a volume cannot be used as."""
    for capability in capabilities:
        check_capability(capability, record)


def check_capability(capability: pb.VolumeCapability, record: Record) -> None:
    """Raise InvalidArgument if a volume cannot be used this way."""
    mode = _mode(capability)
    if mode != record.mode:
        raise InvalidArgument(f"volume {record.id} is of mode {record.mode}, not {mode}")
    fs_type = capability.mount.fs_type
    if mode == "Filesystem" and fs_type and fs_type != record.fs_type:
        raise InvalidArgument(f"the file system of volume {record.id} is {record.fs_type}, not {fs_type}")


def mount_options(capability: pb.VolumeCapability) -> list[str]:
    """Return the options of a mount, one by one. Raises InvalidArgument for those that reach beyond the volume."""
    options = [option for flag in capability.mount.mount_flags for option in flag.split(",")]
    for option in options:
        name = option.partition("=")[0].strip().lower()
        foreign = name in _FOREIGN_OPTIONS or option.strip().lower() in _FOREIGN_OPTIONS or name.startswith("x-mount.")
        if foreign or '"' in option or not option.isprintable():
            raise InvalidArgument(f"mount option {option!r} is not allowed")
    return [option for option in options if option]


def _mode(capability: pb.VolumeCapability) -> Mode:
    return "Block" if access_type(capability) == "block" else "Filesystem"


def _file_system(name: str) -> str:
    if name and name not in FILE_SYSTEMS:
        raise InvalidArgument(f"file system {name} is not offered: csi.storage.k8s.io/fstype is one of {', '.join(FILE_SYSTEMS)}")
    return name or FILE_SYSTEMS[0]


def _source(request: pb.CreateVolumeRequest) -> str:
    if not request.HasField("volume_content_source"):
        return ""
    if request.volume_content_source.WhichOneof("type") != "volume":
        raise InvalidArgument("volumes are made empty or as copies of other volumes: there are no snapshots")
    return request.volume_content_source.volume.volume_id


def _check_topology(request: pb.CreateVolumeRequest, node: str) -> None:
    requirement = request.accessibility_requirements
    terms = [*requirement.requisite, *requirement.preferred]
    if terms and not any(term.segments.get(TOPOLOGY_KEY) == node for term in terms):
        raise Exhausted(f"volumes made here are on node {node}, which is none of those requested")
