"""Room that was made on a disk."""

from __future__ import annotations

from pathlib import Path

from tiphys.node.garbage.disk import Progress, room


def test_removals_are_counted_at_least_with_their_size(tmp_path: Path) -> None:
    progress = Progress(tmp_path, 1 << 60)
    assert progress.freed() == 0
    progress.count(1 << 59)
    assert not progress.is_enough()
    progress.count(1 << 59)
    assert progress.freed() == 1 << 60
    assert progress.is_enough()


def test_a_disk_is_measured_by_what_users_may_fill(tmp_path: Path) -> None:
    disk = room(tmp_path)
    assert 0 < disk.available <= disk.capacity
    assert disk.device == tmp_path.stat().st_dev
