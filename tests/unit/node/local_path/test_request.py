"""Requests for local volumes: their sizes, file systems, places and names."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.csi.errors import CsiError, Exhausted, InvalidArgument, OutOfRange
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.node.local_path.answers import expanded_size
from tiphys.node.local_path.records import directory_name, volume_id
from tiphys.node.local_path.request import VolumeRequest, mount_options, parse_request
from tiphys.node.local_path.settings import TOPOLOGY_KEY

GIB = 1 << 30


def request(fs_type: str = "", *, mode: Any = 1, **fields: Any) -> pb.CreateVolumeRequest:
    capability = pb.VolumeCapability(mount=pb.VolumeCapability.MountVolume(fs_type=fs_type))
    capability.access_mode.mode = mode
    return pb.CreateVolumeRequest(**({"name": "pvc-1", "volume_capabilities": [capability]} | fields))


def capacity(required: int = 0, limit: int = 0, fs_type: str = "") -> int:
    size = pb.CapacityRange(required_bytes=required, limit_bytes=limit)
    return parse_request(request(fs_type, capacity_range=size), "n1").record("pvc-1", None).capacity


def test_sizes() -> None:
    assert capacity(5 * GIB) == 5 * GIB
    assert capacity(5 * GIB + 1) == 5 * GIB + 4096
    assert capacity(1) == 16 << 20
    assert capacity(1, fs_type="xfs") == 300 << 20
    assert capacity() == GIB
    assert capacity(limit=GIB // 2) == GIB // 2
    for sizes in ((1, 1 << 20), (5 * GIB + 1, 5 * GIB + 2)):
        with pytest.raises(OutOfRange):
            capacity(*sizes)
    with pytest.raises(InvalidArgument):
        capacity(2, 1)
    with pytest.raises(OutOfRange):
        capacity((1 << 63) - 1)


@given(st.integers(0, 1 << 40), st.integers(0, 1 << 40), st.sampled_from(["ext4", "xfs"]))
def test_size_is_in_the_range(required: int, limit: int, fs_type: str) -> None:
    try:
        size = capacity(required, limit, fs_type)
    except CsiError:
        assert 0 < limit < max(required, 300 << 20) + 4096
        return
    assert size >= required
    assert not limit or size <= limit
    assert size % 4096 == 0


@given(st.integers(1, 1 << 40), st.integers(0, 1 << 40))
def test_expanded_size_is_in_the_range(required: int, limit: int) -> None:
    try:
        size = expanded_size(pb.CapacityRange(required_bytes=required, limit_bytes=limit))
    except CsiError:
        assert 0 < limit < required + 4096
        return
    assert required <= size
    assert not limit or size <= limit


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (request(name=""), "name is required"),
        (request(name="x" * 129), "name is required and may have"),
        (request(volume_capabilities=[]), "volume_capabilities is required"),
        (request("ntfs"), "file system ntfs is not offered: .* ext4, xfs"),
        (request(mode=0), "access_mode is required"),
        (request(parameters={"type": "fast"}), "unknown parameters: type"),
        (request(mutable_parameters={"iops": "1"}), "unknown parameters: iops"),
        (request(volume_content_source={"snapshot": {"snapshot_id": "s"}}), "there are no snapshots"),
    ],
)
def test_rejects(bad: pb.CreateVolumeRequest, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        parse_request(bad, "n1")


@pytest.mark.parametrize(
    "flag",
    [
        "loop", "loop=/dev/loop0", "LOOP", "offset=4096", "bind", "rbind", "remount", "move", "rshared", "x-mount.subdir=..",
        "X-mount.mkdir", "journal_path=/dev/vda", "logdev=/dev/vda",
        "errors=panic", "noatime,loop", "noatime, bind", 'context="a,b"', "noatime\nbind", "a\0b",
    ],
)  # fmt: skip
def test_rejects_mount_options_that_reach_beyond_the_volume(flag: str) -> None:
    bad = request()
    bad.volume_capabilities[0].mount.mount_flags.append(flag)
    with pytest.raises(InvalidArgument, match=r"mount option .* is not allowed"):
        parse_request(bad, "n1")


def test_mount_options_are_taken_one_by_one() -> None:
    capability = pb.VolumeCapability(mount=pb.VolumeCapability.MountVolume(mount_flags=["noatime,nosuid", "", "data=journal"]))
    assert mount_options(capability) == ["noatime", "nosuid", "data=journal"]


def test_both_modes_at_once_are_refused() -> None:
    both = request()
    both.volume_capabilities.append(pb.VolumeCapability(block={}, access_mode={"mode": 1}))
    with pytest.raises(InvalidArgument, match="either"):
        parse_request(both, "n1")


@pytest.mark.parametrize("mode", range(1, 8))
def test_all_access_modes_are_possible(mode: int) -> None:
    assert parse_request(request(mode=mode), "n1").mode == "Filesystem"


def test_volumes_are_made_on_this_node_alone() -> None:
    def at(*nodes: str) -> VolumeRequest:
        terms = [pb.Topology(segments={TOPOLOGY_KEY: node}) for node in nodes]
        return parse_request(request(accessibility_requirements=pb.TopologyRequirement(requisite=terms, preferred=terms)), "n1")

    assert at() == at("n1") == at("n2", "n1")
    with pytest.raises(Exhausted, match="on node n1"):
        at("n2")


def test_mismatch() -> None:
    desired = parse_request(request(capacity_range=pb.CapacityRange(required_bytes=GIB)), "n1")
    record = desired.record("pvc-1", None)
    assert desired.mismatch(record) == ""
    assert "size" in parse_request(request(capacity_range=pb.CapacityRange(required_bytes=2 * GIB)), "n1").mismatch(record)
    assert "size" in parse_request(request(capacity_range=pb.CapacityRange(limit_bytes=GIB // 2)), "n1").mismatch(record)
    assert "ext4" in parse_request(request("xfs"), "n1").mismatch(record)
    copy = parse_request(request(volume_content_source={"volume": {"volume_id": "pvc-0"}}), "n1")
    assert "not a copy" in copy.mismatch(record)
    assert "copy of volume pvc-0" in desired.mismatch(copy.record("pvc-1", record))


def test_ids_and_directories_are_names_of_files() -> None:
    assert volume_id("pvc-1") == "pvc-1"
    assert volume_id("../etc").startswith("vol-")
    assert volume_id("a_b") != volume_id("a-b")
    namespace, name = "csi.storage.k8s.io/pvc/namespace", "csi.storage.k8s.io/pvc/name"
    assert directory_name("pvc-1", {namespace: "shop", name: "data"}) == "shop_data_pvc-1"
    assert directory_name("pvc-1", {}) == "pvc-1"
    assert directory_name("pvc-1", {namespace: "..", name: "data"}) == "pvc-1"
    assert directory_name("pvc-1", {namespace: "shop/../..", name: "data"}) == "pvc-1"
    assert len(directory_name("x" * 128, {namespace: "n" * 63, name: "c" * 253})) <= 255


@given(st.text(min_size=1, max_size=128), st.text(max_size=300), st.text(max_size=300))
def test_no_name_leaves_the_storage(name: str, namespace: str, claim: str) -> None:
    parameters = {"csi.storage.k8s.io/pvc/namespace": namespace, "csi.storage.k8s.io/pvc/name": claim}
    directory = directory_name(volume_id(name), parameters)
    assert "/" not in directory
    assert not directory.startswith(".")
    assert len(directory.encode()) <= 255
    assert directory.rpartition("_")[2] == volume_id(name)
