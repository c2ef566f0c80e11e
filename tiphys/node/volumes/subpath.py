"""Sub-paths of volumes, opened so that a link planted by a container cannot lead out of its volume.

The path is opened with openat2's rule "stay beneath this directory", which refuses links that are absolute or climb above the volume, and
what was found is bind mounted by file descriptor: nothing that happens to the names afterwards matters. Directories that are missing are
made one by one, each opened without following links before its mode is set.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
from pathlib import Path

from tiphys.node.volumes import mounts
from tiphys.node.volumes.payload import VolumeError

_SYS_OPENAT2 = 437
_RESOLVE_BENEATH = 0x08
_RESOLVE_NO_MAGICLINKS = 0x02


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_RACES = 16
"""Attempts while renames in the volume keep the kernel from telling whether a path stays inside."""
_libc = ctypes.CDLL(None, use_errno=True)


def open_inside(root: int, path: str) -> int:
    """Open (O_PATH) what is at `path` beneath the directory `root`; raises OSError for what leads out of it."""
    how = _How(os.O_PATH | os.O_CLOEXEC, 0, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS)
    for _ in range(_RACES):
        fd = int(_libc.syscall(_SYS_OPENAT2, root, path.encode(), ctypes.byref(how), ctypes.sizeof(how)))
        if fd >= 0:
            return fd
        if (number := ctypes.get_errno()) != errno.EAGAIN:
            break
    if number == errno.EXDEV:
        raise OSError(number, "the path leads out of the volume", path)
    raise OSError(number, os.strerror(number), path)


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
            os.close(open_inside(root, here))
        except FileNotFoundError:
            fd = open_inside(root, parent)
            try:
                _make(fd, part, stat.S_IMODE(os.fstat(root).st_mode))
            finally:
                os.close(fd)
    return open_inside(root, here)


def _make(parent: int, name: str, mode: int) -> None:
    """Make a directory with exactly this mode; whatever takes its name meanwhile is left alone."""
    os.mkdir(name, 0o700, dir_fd=parent)
    made = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        os.fchmod(made, mode)
    finally:
        os.close(made)


def _bind(fd: int, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError):
        mounts.unmount(target)
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        target.mkdir(exist_ok=True)
    else:
        target.touch()
    mounts.bind(f"/proc/self/fd/{fd}", target)
