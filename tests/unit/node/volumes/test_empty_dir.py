"""emptyDir volumes: complete whenever they are there, and left alone from then on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tiphys.api.core import v1 as core
from tiphys.node.host import huge_pages
from tiphys.node.volumes import atomic, mounts
from tiphys.node.volumes.empty_dir import empty_dir
from tiphys.node.volumes.payload import VolumeError

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts and gives files away")
DISK = core.EmptyDirVolumeSource()
MEMORY = core.EmptyDirVolumeSource(medium="Memory")


def state(path: Path) -> tuple[str, int]:
    info = path.stat()
    return f"{info.st_mode & 0o7777:o}", info.st_gid


@needs_root
@pytest.mark.parametrize("group", [None, 4321])
def test_a_directory_of_the_disk(group: int | None, tmp_path: Path) -> None:
    target = tmp_path / "volumes" / "v"
    assert empty_dir(target, DISK, group, None) == target
    assert state(target) == (("777", 0) if group is None else ("2777", group))
    target.chmod(0o700)
    (target / "file").touch()
    empty_dir(target, DISK, group, None)
    assert state(target)[0].endswith("700"), "what a container changed stays"
    assert os.listdir(target.parent) == ["v"]


@needs_root
def test_one_that_a_killed_kubelet_left_half_made_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    target = tmp_path / "v"
    with monkeypatch.context() as patch:
        patch.setattr(atomic, "give_to_group", die)
        with pytest.raises(KeyboardInterrupt):
            empty_dir(target, DISK, 4321, None)
    empty_dir(target, DISK, 4321, None)
    assert state(target) == ("2777", 4321)


@needs_root
@pytest.mark.parametrize("group", [None, 4321])
def test_one_in_memory(group: int | None, tmp_path: Path) -> None:
    target = tmp_path / "v"
    empty_dir(target, MEMORY, group, 1 << 20)
    try:
        assert state(target) == (("1777", 0) if group is None else ("3777", group))
        assert os.statvfs(target).f_blocks * os.statvfs(target).f_frsize == 1 << 20
        with pytest.raises(OSError, match="No space"):
            (target / "file").write_bytes(bytes(2 << 20))
    finally:
        mounts.unmount(target)


@needs_root
@pytest.mark.skipif(2 << 20 not in huge_pages.pages(), reason="the kernel has no huge pages of 2 MiB")
@pytest.mark.parametrize("group", [None, 4321])
def test_one_in_huge_pages(group: int | None, tmp_path: Path) -> None:
    target = tmp_path / "v"
    source = core.EmptyDirVolumeSource(medium="HugePages-2Mi")
    for _ in range(2):
        empty_dir(target, source, group, None, 2 << 20)
    try:
        assert state(target) == (("777", 0) if group is None else ("2777", group))
        assert os.statvfs(target).f_bsize == 2 << 20
        assert len(mounts.mounts_below(target)) == 1
    finally:
        mounts.unmount(target)


def test_other_media_are_refused(tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match='unknown storage medium "Disk"'):
        empty_dir(tmp_path / "v", core.EmptyDirVolumeSource(medium="Disk"), None, None)
    assert not (tmp_path / "v").exists()
