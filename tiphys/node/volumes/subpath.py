"""Sub-paths of volumes, opened so that a link planted by a container cannot lead out of its volume.

The path is opened beneath the volume (`tiphys.node.host.beneath`), and what was found is bind mounted by file descriptor: nothing that
happens to the names afterwards matters. Directories that are missing are made one by one, each opened without following links before its
mode is set.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from tiphys.node.host.beneath import open_beneath
from tiphys.node.volumes import mounts
from tiphys.node.volumes.payload import VolumeError


def _open_inside(root: int, path: str) -> int:
    return open_beneath(root, path, what="volume")


def expose(volume: Path, sub_path: str, target: Path) -> Path:
    """Bind mount `sub_path` of a volume at `target`, made as a directory if it is not there; returns `target`.

    Raises VolumeError for a path that leaves the volume, or that leads through a file.
    """
    parts = Path(sub_path).parts
    if ".." in parts or Path(sub_path).is_absolute():
        raise VolumeError(f"subPath {sub_path!r} must stay inside the volume")
    root = os.open(volume, os.O_PATH | os.O_CLOEXEC)
    try:
        fd = _open_or_make(root, parts)
        try:
            _bind(fd, target)
        finally:
            os.close(fd)
    except OSError as error:
        raise VolumeError(f"failed to prepare subPath {sub_path!r}: {error.strerror or error}") from error
    finally:
        os.close(root)
    return target


def _open_or_make(root: int, parts: tuple[str, ...]) -> int:
    """Open the path below `root`, making the directories that are missing with the volume's own mode."""
    here = "."
    for part in parts:
        parent, here = here, f"{here}/{part}"
        try:
            os.close(_open_inside(root, here))
        except FileNotFoundError:
            fd = _open_inside(root, parent)
            try:
                _make(fd, part, stat.S_IMODE(os.fstat(root).st_mode))
            finally:
                os.close(fd)
    return _open_inside(root, here)


def _make(parent: int, name: str, mode: int) -> None:
    """Make a directory with exactly this mode; whatever takes its name meanwhile is left alone."""
    os.mkdir(name, 0o700, dir_fd=parent)
    descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def _bind(fd: int, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError):
        mounts.unmount(target)
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        target.mkdir(exist_ok=True)
    else:
        target.touch()
    mounts.bind(f"/proc/self/fd/{fd}", target)
