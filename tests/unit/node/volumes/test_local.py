"""Volumes of the kind `local` that are no use."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.unit.node.volumes.disks import claiming
from tiphys.api.core import v1 as core
from tiphys.node.volumes.local import LocalPlugin
from tiphys.node.volumes.payload import VolumeError
from tiphys.node.volumes.plugin import VolumeSpec
from tiphys.node.volumes.records import VolumeRecords


def spec(path: str, *options: str, mode: str = "Filesystem") -> VolumeSpec:
    body = {"metadata": {"name": "pv"}, "spec": {"local": {"path": path}, "mountOptions": options, "volumeMode": mode}}
    pod = claiming()
    volume = msgspec.convert(body, core.PersistentVolume)
    return VolumeSpec(pod=pod, volume=pod.spec.volumes[0], pv=volume, block=mode == "Block", mount_options=options)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("etc", "invalid path: etc must be absolute"),
        ("/tmp/../etc", "must not contain '..'"),
        ("/nowhere/at/all", 'path "/nowhere/at/all" does not exist'),
        ("/dev/null", "only directory and block device are supported"),
        ("/etc/passwd", "only directory and block device are supported"),
        ("/etc/passwd/x", "Not a directory"),
        ("/" + "x" * 5000, "File name too long"),
    ],
)
async def test_paths(tmp_path: Path, path: str, message: str) -> None:
    plugin = LocalPlugin(tmp_path, VolumeRecords(tmp_path))
    with pytest.raises(VolumeError, match=message):
        await plugin.mount_record(spec(path), None)


async def test_a_directory_is_no_device(tmp_path: Path) -> None:
    plugin = LocalPlugin(tmp_path, VolumeRecords(tmp_path))
    with pytest.raises(VolumeError, match="is not a block device"):
        await plugin.mount_record(spec(str(tmp_path), mode="Block"), None)


@pytest.mark.parametrize("option", ["remount", "loop", "ro,remount", "ro bind", "move", ""])
async def test_mount_options(tmp_path: Path, option: str) -> None:
    plugin = LocalPlugin(tmp_path, VolumeRecords(tmp_path))
    volume = spec(str(tmp_path), option)
    record = await plugin.mount_record(volume, None)
    with pytest.raises(VolumeError, match="has no meaning for a directory of the node"):
        await plugin.mount(volume, record, None)
