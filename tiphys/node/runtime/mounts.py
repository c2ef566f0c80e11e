"""Mounts below a directory: list, removal, and a test of overlayfs there."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import tempfile
from pathlib import Path

_MNT_DETACH = 2
_UMOUNT_NOFOLLOW = 8

_libc = ctypes.CDLL(None, use_errno=True)


def mounts_under(directory: Path) -> list[Path]:
    """The mount points at or below `directory`, deepest and newest first."""
    below = os.path.realpath(directory)
    mounts = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        for line in table:
            point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), line.split(" ", 5)[4])
            if point == below or point.startswith(below + "/"):
                mounts.append(Path(point))
    mounts.reverse()
    mounts.sort(key=lambda point: len(point.parts), reverse=True)
    return mounts


def unmount_under(directory: Path) -> list[Path]:
    """Detach every mount at or below `directory`, stacked ones too; returns those that would not go."""
    left = mounts_under(directory)
    while left:
        failed = [point for point in left if _libc.umount2(os.fsencode(point), _MNT_DETACH | _UMOUNT_NOFOLLOW) != 0]
        before, left = len(left), mounts_under(directory)
        if failed and len(left) >= before:
            return left
    return []


def overlay_works(directory: Path) -> bool:
    """True if overlayfs accepts `directory` for its layers: tried, because no list of filesystems would be complete."""
    directory.mkdir(parents=True, exist_ok=True)
    trial = Path(tempfile.mkdtemp(prefix=".overlay-", dir=directory))
    try:
        for part in ("lower", "upper", "work", "merged"):
            (trial / part).mkdir()
        options = f"lowerdir={trial}/lower,upperdir={trial}/upper,workdir={trial}/work"
        target = os.fsencode(trial / "merged")
        if _libc.mount(b"overlay", target, b"overlay", 0, os.fsencode(options)) != 0:
            return False
        _libc.umount2(target, _MNT_DETACH)
        return True
    finally:
        shutil.rmtree(trial, ignore_errors=True)
