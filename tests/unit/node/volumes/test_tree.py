"""Trees that containers write to: removed and given to groups without leaving them."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tiphys.node.volumes import mounts, ownership
from tiphys.node.volumes.ownership import give_to_group, is_given
from tiphys.node.volumes.tree import remove_tree
from tiphys.testing.eventually import eventually

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts and gives files away")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory that nobody may touch."""
    directory = tmp_path / "outside"
    directory.mkdir(mode=0o700)
    (directory / "precious").write_text("1")
    (directory / "precious").chmod(0o600)
    return directory


@pytest.fixture
def volume(tmp_path: Path, outside: Path) -> Path:
    """A volume with links that lead out of it."""
    directory = tmp_path / "volume"
    (directory / "a/b").mkdir(parents=True)
    (directory / "a/b/file").write_text("x")
    (directory / "absolute").symlink_to(outside)
    (directory / "a/relative").symlink_to("../../outside/precious")
    os.mkfifo(directory / "a/pipe")
    return directory


@pytest.fixture
def mounted(volume: Path, outside: Path) -> Iterator[Path]:
    """A bind mount in the volume."""
    target = volume / "a/mounted"
    target.mkdir()
    mounts.bind(str(outside), target)
    yield target
    mounts.unmount(target)


def untouched(outside: Path) -> bool:
    precious = (outside / "precious").stat()
    return stat.S_IMODE(outside.stat().st_mode) == 0o700 and (stat.S_IMODE(precious.st_mode), precious.st_gid) == (0o600, os.getegid())


def test_links_are_removed_and_not_followed(volume: Path, outside: Path) -> None:
    remove_tree(volume)
    assert not volume.exists()
    assert untouched(outside)
    remove_tree(volume)


def test_deep_trees_are_removed(tmp_path: Path) -> None:
    root = tmp_path / "deep"
    root.mkdir()
    fd = os.open(root, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("directory", dir_fd=fd)
        below = os.open("directory", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    remove_tree(root)
    assert not root.exists()


@needs_root
def test_nothing_is_removed_through_a_mount(volume: Path, outside: Path, mounted: Path) -> None:
    assert mounts.is_mount(mounted), "a bind mount of the same file system is a mount too"
    with pytest.raises(OSError, match="mounted") as caught:
        remove_tree(volume)
    assert caught.value.errno == errno.EBUSY
    with pytest.raises(OSError, match="mounted"):
        remove_tree(mounted)
    assert untouched(outside)
    assert (mounted / "precious").exists()


@needs_root
async def test_the_group_gets_all_files_and_nothing_else(volume: Path, outside: Path, mounted: Path) -> None:
    (volume / "a/b/file").chmod(0o4704)
    await give_to_group(volume, 4321, on_root_mismatch=False, where="v", report=print)
    found = {name: (volume / name).lstat() for name in (".", "a", "a/b", "a/b/file", "a/pipe", "absolute", "a/relative")}
    assert {info.st_gid for info in found.values()} == {4321}
    assert stat.S_IMODE(found["a/b"].st_mode) == 0o2775
    assert stat.S_IMODE(found["a/b/file"].st_mode) == 0o4764
    assert untouched(outside)


@needs_root
async def test_a_root_that_is_right_spares_the_rest(volume: Path) -> None:
    await give_to_group(volume, 4321, on_root_mismatch=True, where="v", report=print)
    assert is_given(volume, 4321)
    os.chown(volume / "a/b/file", -1, 0)
    await give_to_group(volume, 4321, on_root_mismatch=True, where="v", report=print)
    assert (volume / "a/b/file").stat().st_gid == 0
    os.chmod(volume, 0o770)
    await give_to_group(volume, 4321, on_root_mismatch=True, where="v", report=print)
    assert (volume / "a/b/file").stat().st_gid == 4321


@needs_root
async def test_the_root_comes_last(volume: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change that is broken off must not look complete to OnRootMismatch."""

    def fail(root: int, *arguments: object) -> None:
        os.close(root)
        raise OSError(errno.EIO, "broken disk")

    monkeypatch.setattr(ownership, "visit_below", fail)
    with pytest.raises(OSError, match="broken disk"):
        await give_to_group(volume, 4321, on_root_mismatch=True, where="v", report=print)
    assert not is_given(volume, 4321)


@needs_root
async def test_changes_that_hang_hold_no_others(volume: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()

    def hang(root: int, *arguments: object) -> None:
        os.close(root)
        begun.append(root)
        go_on.wait()

    other = tmp_path / "other"
    other.mkdir()
    begun, messages = list[int](), list[str]()
    with monkeypatch.context() as patch:
        patch.setattr(ownership, "visit_below", hang)
        patch.setattr(ownership, "FIRST_REPORT", 0.01)
        hanging = [
            asyncio.create_task(give_to_group(volume, 4321, on_root_mismatch=False, where="v", report=messages.append)) for _ in range(16)
        ]
        await eventually(lambda: len(begun) == len(messages) == 16)
    assert "Setting volume ownership for v is taking longer than expected" in messages[0]
    hanging.pop().cancel()
    await give_to_group(other, 4321, on_root_mismatch=False, where="o", report=print)
    assert is_given(other, 4321)
    assert not is_given(volume, 4321)
    go_on.set()
    await asyncio.gather(*hanging)
    assert is_given(volume, 4321)


@needs_root
def test_a_read_only_bind_mount(volume: Path, outside: Path, mounted: Path) -> None:
    mounts.restrict_bind(mounted, mounts.MS_RDONLY | mounts.MS_NOEXEC)
    with pytest.raises(OSError, match="Read-only"):
        (mounted / "precious").write_text("2")
    flags = os.statvfs(mounted).f_flag
    assert flags & os.ST_NOEXEC
    (outside / "precious").write_text("1")
