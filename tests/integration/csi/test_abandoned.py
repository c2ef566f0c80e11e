"""Tests of what the suite for drivers does about runs that were killed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tiphys.testing.mounts import LOCK, claimed, mount_count, remove_abandoned, unmount_below


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_unmounts_what_nobody_claims_any_more(tmp_path: Path) -> None:
    dead, live, foreign = tmp_path / "dead", tmp_path / "live", tmp_path / "foreign"
    try:
        for directory in (dead, live, foreign):
            (directory / "mnt").mkdir(parents=True)
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(directory / "mnt")], check=True)
        (dead / LOCK).touch()
        with claimed(live):
            remove_abandoned()
            assert [mount_count(directory / "mnt") for directory in (dead, live, foreign)] == [0, 1, 1]
    finally:
        unmount_below(tmp_path)
