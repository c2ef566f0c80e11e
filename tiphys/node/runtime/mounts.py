"""Mounts below a directory: list, removal, and a test of overlayfs there."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from tiphys.node.volumes.mounts import MNT_DETACH, mount, mounts_below, unmount_with


def mounts_under(directory: Path) -> list[Path]:
    """Return the mount points at or below `directory`, links followed, deepest and newest first."""
    return [Path(point) for point in mounts_below(os.path.realpath(directory))]


def unmount_under(directory: Path) -> list[Path]:
    """Detach every mount at or below `directory`, stacked ones too; returns those that would not go."""
    left = mounts_under(directory)
    while left:
        failed = False
        for point in left:
            try:
                unmount_with(point, MNT_DETACH)
            except OSError:
                failed = True
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
        try:
            mount("overlay", trial / "merged", "overlay", options=options)
        except OSError:
            return False
        unmount_with(trial / "merged", MNT_DETACH)
        return True
    finally:
        shutil.rmtree(trial, ignore_errors=True)
