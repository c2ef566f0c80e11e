"""Uses of volumes, in the words of the interface: access modes, file systems, blocks. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from tiphys.api.core import v1 as core
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.sidecar.facts import DriverFacts

Mode = pb.VolumeCapability.AccessMode.Mode

BLOCK: Final = "Block"


class Incompatible(ValueError):
    """The driver cannot offer a volume that is used in this way."""


def modes(access_modes: Iterable[str], facts: DriverFacts) -> list[Mode]:
    """Return the mode of the interface for each access mode of a claim. Raises Incompatible."""
    return [_mode(one, facts) for one in access_modes]


def combined(access_modes: Sequence[str], facts: DriverFacts) -> Mode:
    """Return the one mode in which a volume with these access modes is used. Raises Incompatible."""
    names = set(access_modes)
    if "ReadWriteMany" in names:
        return Mode.MULTI_NODE_MULTI_WRITER
    if names == {"ReadWriteOnce", "ReadOnlyMany"}:
        raise Incompatible("CSI does not support ReadOnlyMany and ReadWriteOnce on the same PersistentVolume")
    if len(names) != 1:
        raise Incompatible(f"unsupported AccessMode combination: {', '.join(access_modes) or 'none'}")
    return _mode(access_modes[0], facts)


def _mode(access_mode: str, facts: DriverFacts) -> Mode:
    fine = facts.offers("SINGLE_NODE_MULTI_WRITER")
    match access_mode:
        case "ReadWriteOnce":
            return Mode.SINGLE_NODE_MULTI_WRITER if fine else Mode.SINGLE_NODE_WRITER
        case "ReadWriteOncePod":
            return Mode.SINGLE_NODE_SINGLE_WRITER if fine else Mode.SINGLE_NODE_WRITER
        case "ReadOnlyMany":
            return Mode.MULTI_NODE_READER_ONLY
        case "ReadWriteMany":
            return Mode.MULTI_NODE_MULTI_WRITER
    raise Incompatible(f"unsupported access mode {access_mode}")


def capability(mode: Mode, *, block: bool, fstype: str = "", mount_options: Sequence[str] = ()) -> pb.VolumeCapability:
    """Return one way to use a volume."""
    access = pb.VolumeCapability.AccessMode(mode=mode)
    if block:
        return pb.VolumeCapability(access_mode=access, block=pb.VolumeCapability.BlockVolume())
    mount = pb.VolumeCapability.MountVolume(fs_type=fstype, mount_flags=mount_options)
    return pb.VolumeCapability(access_mode=access, mount=mount)


def capability_of(spec: core.PersistentVolumeSpec, facts: DriverFacts) -> pb.VolumeCapability:
    """Return the use of an existing volume. Raises Incompatible."""
    fstype = spec.csi.fsType if spec.csi is not None else ""
    return capability(combined(spec.accessModes, facts), block=spec.volumeMode == BLOCK, fstype=fstype, mount_options=spec.mountOptions)
