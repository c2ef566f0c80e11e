"""The checkpoint has upstream's form and checksum."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from tiphys.node.devices.assignments import Assignment, Assignments, Entry
from tiphys.node.devices.checkpoint import CorruptCheckpoint, checksum, decode, encode, write

ENTRIES = [
    Entry("uid-1", "main", "example.com/dev", Assignment({0: ["b", "a"], -1: ["c"]}, b"\x01\xff")),
    Entry("uid-0", "init", "example.com/dev", Assignment({}, b"")),
]


def assignments_of(*entries: Entry) -> Assignments:
    result = Assignments()
    for entry in entries:
        result.add(entry)
    return result


def test_is_read_as_it_was_written() -> None:
    content = encode(assignments_of(*ENTRIES), {"example.com/dev": {"b", "a"}, "example.com/none": ()})
    assignments, registered = decode(content)
    assert sorted(assignments, key=lambda one: one.container) == sorted(ENTRIES, key=lambda one: one.container)
    assert registered == {"example.com/dev", "example.com/none"}
    assert encode(assignments, {"example.com/none": [], "example.com/dev": ["a", "b"]}) == content


def test_has_the_form_of_upstream() -> None:
    content = json.loads(encode(assignments_of(ENTRIES[0]), {"example.com/dev": ["a"]}))
    text = (
        "(checkpoint.checkpointData){PodDeviceEntries:([]checkpoint.PodDevicesEntry)[{PodUID:(string)uid-1 ContainerName:(string)main "
        "ResourceName:(string)example.com/dev DeviceIDs:(checkpoint.DevicesPerNUMA)map[-1:[c] 0:[b a]] AllocResp:([]uint8)[1 255]}] "
        "RegisteredDevices:(map[string][]string)map[example.com/dev:[a]]}"
    )
    entry = {"PodUID": "uid-1", "ContainerName": "main", "ResourceName": "example.com/dev"}
    data = {
        "PodDeviceEntries": [{**entry, "DeviceIDs": {"-1": ["c"], "0": ["b", "a"]}, "AllocResp": "Af8="}],
        "RegisteredDevices": {"example.com/dev": ["a"]},
    }
    assert content == {"Data": data, "Checksum": checksum(text)}


def test_the_checksum_is_that_of_go() -> None:
    """A value that upstream's tests of another checkpoint have."""
    text = (
        "(*state.CPUManagerCheckpoint){PolicyName:(string)none DefaultCPUSet:(string)1-3 "
        "Entries:(map[string]map[string]string)map[pod:map[container1:4-6 container2:1-3]] Checksum:(checksum.Checksum)0}"
    )
    assert checksum(text) == 3610638499


def test_an_empty_state() -> None:
    assert json.loads(encode(Assignments(), {}))["Data"] == {"PodDeviceEntries": None, "RegisteredDevices": {}}
    assert [*decode(encode(Assignments(), {}))[0]] == []


@pytest.mark.parametrize("spoil", [b"", b"{}", b"null", b'{"Data":{"PodDeviceEntries":[{}],"RegisteredDevices":{}},"Checksum":1}'])
def test_refuses_other_files(spoil: bytes) -> None:
    with pytest.raises(CorruptCheckpoint):
        decode(spoil)


def test_refuses_a_file_that_was_changed() -> None:
    content = encode(assignments_of(ENTRIES[0]), {})
    with pytest.raises(CorruptCheckpoint, match="the checksum is wrong"):
        decode(content.replace(b"uid-1", b"uid-2"))


def test_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "device-plugins" / "kubelet_internal_checkpoint"
    for number in range(2):
        write(path, msgspec.json.encode(number))
        assert path.read_bytes() == str(number).encode()
    assert list(path.parent.iterdir()) == [path]
