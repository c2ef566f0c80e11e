"""Levels of the signals, from files of the kernel's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tiphys.node.eviction.pressure import Level
from tiphys.node.eviction.signals import SignalMeter
from tiphys.node.host import machine

MI = 1 << 20
NODE = 1000 * MI


def groups(root: Path, version: int, *, topmost: bool = True) -> None:
    """A node that uses 300 MiB, of which 100 could be dropped, and pods that use 60 of 500, 10 of which could be dropped."""
    if version == 2:
        (root / "kubepods").mkdir(parents=True)
        (root / "cgroup.controllers").write_text("cpu memory pids")
        if topmost:
            (root / "memory.current").write_text(f"{300 * MI}\n")
        (root / "memory.stat").write_text(f"anon 5\ninactive_file {100 * MI}\n")
        (root / "kubepods" / "memory.current").write_text(f"{60 * MI}\n")
        (root / "kubepods" / "memory.stat").write_text(f"inactive_file {10 * MI}\n")
        (root / "kubepods" / "memory.max").write_text(f"{500 * MI}\n")
        return
    home = root / "memory"
    (home / "kubepods").mkdir(parents=True)
    (home / "tasks").touch()
    (home / "memory.usage_in_bytes").write_text(f"{300 * MI}\n")
    (home / "memory.stat").write_text(f"inactive_file 0\ntotal_inactive_file {100 * MI}\n")
    (home / "kubepods" / "memory.usage_in_bytes").write_text(f"{60 * MI}\n")
    (home / "kubepods" / "memory.stat").write_text(f"total_inactive_file {10 * MI}\n")
    (home / "kubepods" / "memory.limit_in_bytes").write_text(f"{500 * MI}\n")


@pytest.mark.parametrize("version", [1, 2])
def test_memory_that_could_be_dropped_is_available(tmp_path: Path, version: int) -> None:
    groups(tmp_path / "fs", version)
    levels = SignalMeter(tmp_path, "/kubepods", NODE, root=tmp_path / "fs").levels()
    assert levels["memory.available"] == Level(800 * MI, NODE)
    assert levels["allocatableMemory.available"] == Level(450 * MI, 500 * MI)


def test_the_topmost_group_of_version_2_has_no_use(tmp_path: Path) -> None:
    groups(tmp_path / "fs", 2, topmost=False)
    (tmp_path / "fs" / "memory.stat").unlink()
    levels = SignalMeter(tmp_path, "/kubepods", machine.memory(), root=tmp_path / "fs").levels()
    assert 0 < levels["memory.available"].available < levels["memory.available"].capacity == machine.memory()


def test_pods_without_a_limit_have_no_signal(tmp_path: Path) -> None:
    groups(tmp_path / "fs", 2)
    (tmp_path / "fs" / "kubepods" / "memory.max").write_text("max\n")
    assert "allocatableMemory.available" not in SignalMeter(tmp_path, "/kubepods", NODE, root=tmp_path / "fs").levels()


def test_disks_and_processes_of_this_machine(tmp_path: Path) -> None:
    meter = SignalMeter(tmp_path, "/kubepods", NODE)
    info, levels = os.statvfs(tmp_path), meter.levels()
    assert levels["nodefs.available"].capacity == info.f_blocks * info.f_frsize
    assert 0 < levels["pid.available"].available < levels["pid.available"].capacity
    assert "imagefs.available" not in levels
    meter.use_images("/proc/self")
    assert "imagefs.available" not in meter.levels(), "a file system without a size is not measured"
    meter.use_images(str(tmp_path))
    assert meter.levels()["imagefs.available"].capacity == levels["nodefs.available"].capacity
    assert not meter.has_image_disk
    meter.use_images("/dev")
    assert meter.has_image_disk
