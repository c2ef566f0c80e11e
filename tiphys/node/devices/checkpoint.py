"""The file `kubelet_internal_checkpoint` in upstream's form, which other tools read as well: who owns which devices.

Its checksum is FNV-1a of the data as Go's spew library prints them, so either kubelet can take over from the other.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path

import msgspec

from tiphys.node.devices.assignments import Assignment, Assignments, Entry

NAME = "kubelet_internal_checkpoint"


class CorruptCheckpoint(Exception):
    """The file does not hold what was written to it."""


class _Entry(msgspec.Struct, frozen=True):
    PodUID: str
    ContainerName: str
    ResourceName: str
    DeviceIDs: dict[int, list[str] | None] | None
    AllocResp: bytes | None


class _Data(msgspec.Struct, frozen=True):
    PodDeviceEntries: list[_Entry] | None
    RegisteredDevices: dict[str, list[str] | None] | None


class _File(msgspec.Struct, frozen=True):
    Data: _Data
    Checksum: int


def encode(assignments: Assignments, registered: Mapping[str, Collection[str]]) -> bytes:
    """Return the file for these assignments and the healthy devices of each resource. Equal states give equal files."""
    ordered = sorted(assignments, key=lambda one: (one.uid, one.container, one.resource))
    entries = [
        _Entry(one.uid, one.container, one.resource, dict(sorted(one.assignment.devices.items())), one.assignment.answer) for one in ordered
    ]
    data = _Data(entries or None, {name: sorted(ids) for name, ids in sorted(registered.items())})
    return msgspec.json.encode(_File(data, checksum(_printed(data))))


def decode(content: bytes) -> tuple[Assignments, set[str]]:
    """Return the assignments of a file, and the names of the resources that were registered. Raises CorruptCheckpoint."""
    try:
        file = msgspec.json.decode(content, type=_File)
    except msgspec.DecodeError as error:
        raise CorruptCheckpoint(str(error)) from error
    if file.Checksum != checksum(_printed(file.Data)):
        raise CorruptCheckpoint("the checksum is wrong")
    assignments = Assignments()
    for one in file.Data.PodDeviceEntries or ():
        devices = {node: ids or [] for node, ids in (one.DeviceIDs or {}).items()}
        assignments.add(Entry(one.PodUID, one.ContainerName, one.ResourceName, Assignment(devices, one.AllocResp or b"")))
    return assignments, set(file.Data.RegisteredDevices or {})


def write(path: Path, content: bytes) -> None:
    """Write the file so that it is there as a whole or not at all, also after a power cut. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    temporary = path.with_name(f".{path.name}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fdatasync(file.fileno())
    temporary.rename(path)


def checksum(text: str) -> int:
    """Return FNV-1a, 32 bits, of a text."""
    result = 0x811C9DC5
    for byte in text.encode():
        result = ((result ^ byte) * 0x01000193) & 0xFFFFFFFF
    return result


def _printed(data: _Data) -> str:
    entries = data.PodDeviceEntries
    shown = "<nil>" if entries is None else f"[{' '.join(map(_printed_entry, entries))}]"
    registered = _printed_map(data.RegisteredDevices)
    return (
        f"(checkpoint.checkpointData){{PodDeviceEntries:([]checkpoint.PodDevicesEntry){shown} "
        f"RegisteredDevices:(map[string][]string){registered}}}"
    )


def _printed_entry(entry: _Entry) -> str:
    answer = "<nil>" if entry.AllocResp is None else f"[{' '.join(map(str, entry.AllocResp))}]"
    return (
        f"{{PodUID:(string){entry.PodUID} ContainerName:(string){entry.ContainerName} ResourceName:(string){entry.ResourceName} "
        f"DeviceIDs:(checkpoint.DevicesPerNUMA){_printed_map(entry.DeviceIDs)} AllocResp:([]uint8){answer}}}"
    )


def _printed_map(entries: Mapping[int, list[str] | None] | Mapping[str, list[str] | None] | None) -> str:
    if entries is None:
        return "<nil>"
    pairs = sorted(entries.items())
    return "map[{}]".format(" ".join(f"{key}:{_printed_list(ids)}" for key, ids in pairs))


def _printed_list(ids: list[str] | None) -> str:
    return "<nil>" if ids is None else f"[{' '.join(ids)}]"
