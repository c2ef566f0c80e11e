"""The table of mounts, from lines as the kernel writes them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tiphys.node.host import mount_table
from tiphys.node.volumes import mounts

LINES = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
36 22 7:259 / /pods/u1/data rw,nosuid shared:7 master:2 - ext4 /dev/loop259 rw
37 36 0:45 /sub\\040path /pods/u1/data/a\\040b ro - tmpfs tmpfs rw
38 22 0:46 / /mnt/\u6570\u636e\u00e9 rw - tmpfs tmpfs rw
39 38 0:47 / /mnt/\u6570\u636e\u00e9 ro - tmpfs tmpfs rw
40 22 0:48 / /pods/u10 rw - tmpfs tmpfs rw
41 22 0:49 / /mnt/\udcff rw - tmpfs tmpfs rw
"""


@pytest.fixture(autouse=True)
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mountinfo"
    file.write_text(LINES, encoding="utf-8", errors="surrogateescape")
    monkeypatch.setattr(mount_table, "_FILE", file)


def test_fields() -> None:
    root, disk, part, *_ = mount_table.mount_table()
    assert (root.point, root.shared) == ("/", True)
    assert disk == ("/pods/u1/data", os.makedev(7, 259), "/", frozenset({"rw", "nosuid"}), True, "ext4", "/dev/loop259")
    assert part == ("/pods/u1/data/a b", os.makedev(0, 45), "/sub path", frozenset({"ro"}), False, "tmpfs", "tmpfs")


def test_points_are_names_as_os_has_them() -> None:
    points = [mount.point for mount in mount_table.mount_table()]
    assert "/mnt/\u6570\u636e\u00e9" in points
    assert os.fsencode(points[-1]) == b"/mnt/\xff"


def test_mounts_below_a_path() -> None:
    assert mounts.mounts_below("/pods/u1/") == ["/pods/u1/data/a b", "/pods/u1/data"]
    assert mounts.mounts_below(Path("/pods/u1/data")) == ["/pods/u1/data/a b", "/pods/u1/data"]
    assert mounts.mounts_below("/mnt/\u6570\u636e\u00e9") == ["/mnt/\u6570\u636e\u00e9"] * 2
    assert mounts.mounts_below("/none") == []


def test_the_newest_of_several_mounts_counts() -> None:
    assert mounts.options_of("/mnt/\u6570\u636e\u00e9") == {"ro"}
    assert mounts.options_of("/mnt") == set()
    assert not mounts.is_shared("/mnt/\u6570\u636e\u00e9/below")
    assert mounts.is_shared("/pods/u1/data/below")
