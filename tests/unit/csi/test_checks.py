"""Checks of requests that drivers share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiphys.csi.checks import absolute_path, access_type, required_field
from tiphys.csi.errors import InvalidArgument
from tiphys.csi.pb import csi_pb2 as pb

WRITER = pb.VolumeCapability.AccessMode(mode=pb.VolumeCapability.AccessMode.SINGLE_NODE_WRITER)


def test_fields() -> None:
    assert required_field("pvc-1", "volume_id") == "pvc-1"
    with pytest.raises(InvalidArgument, match="volume_id is required"):
        required_field("", "volume_id")
    assert absolute_path("/pods/u1", "target_path") == Path("/pods/u1")
    for path in ("", "pods/u1"):
        with pytest.raises(InvalidArgument, match="target_path must be an absolute path"):
            absolute_path(path, "target_path")


def test_access() -> None:
    block, mount = pb.VolumeCapability.BlockVolume(), pb.VolumeCapability.MountVolume()
    assert access_type(pb.VolumeCapability(access_mode=WRITER, block=block)) == "block"
    assert access_type(pb.VolumeCapability(access_mode=WRITER, mount=mount)) == "mount"
    with pytest.raises(InvalidArgument, match="access_mode is required"):
        access_type(pb.VolumeCapability(mount=mount))
    with pytest.raises(InvalidArgument, match="access_type is required"):
        access_type(pb.VolumeCapability(access_mode=WRITER))
