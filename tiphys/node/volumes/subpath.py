"""Sub-paths of volumes, opened so that a link planted by a container cannot lead out of its volume.

The path is walked component by component below the volume with openat2's rule "stay in this root", and what was found is bind mounted
by file descriptor: nothing that happens to the names afterwards matters.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
from pathlib import Path

from tiphys.node.volumes import mounts
from tiphys.node.volumes.payload import VolumeError

_SYS_OPENAT2 = 437
_RESOLVE_IN_ROOT = 0x10
_RESOLVE_NO_MAGICLINKS = 0x02


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def _open_inside(root: int, path: str) -> int:
    how = _How(os.O_PATH | os.O_CLOEXEC, 0, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)
    libc = ctypes.CDLL(None, use_errno=True)
    fd = int(libc.syscall(_SYS_OPENAT2, root, path.encode(), ctypes.byref(how), ctypes.sizeof(how)))
    if fd < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)
    return fd


def expose(volume: Path, sub_path: str, target: Path) -> Path:
    """Bind mount `sub_path` of a volume at `target`, made as a directory if it is not there; returns `target`.

    Raises VolumeError for a path that leaves the volume.
    """
    parts = Path(sub_path).parts
    if ".." in parts or Path(sub_path).is_absolute():
        raise VolumeError(f"subPath {sub_path!r} must stay inside the volume")
    root = os.open(volume, os.O_PATH | os.O_CLOEXEC)
    try:
        fd = _open_or_make(root, volume, parts)
        try:
            _bind(fd, target)
        finally:
            os.close(fd)
    except OSError as error:
        raise VolumeError(f"failed to prepare subPath {sub_path!r}: {error.strerror or error}") from error
    finally:
        os.close(root)
    return target


def _open_or_make(root: int, volume: Path, parts: tuple[str, ...]) -> int:
    """Open the path below `root`, making the directories that are missing with the volume's own mode and owner."""
    if not os.path.isdir(volume):
        return os.dup(root)
    here = "."
    for part in parts:
        parent, here = here, f"{here}/{part}"
        try:
            os.close(_open_inside(root, here))
        except FileNotFoundError:
            fd = _open_inside(root, parent)
            try:
                like = os.fstat(root)
                os.mkdir(part, 0o777, dir_fd=fd)
                os.chmod(part, stat.S_IMODE(like.st_mode), dir_fd=fd)
                os.chown(part, like.st_uid, like.st_gid, dir_fd=fd)
            finally:
                os.close(fd)
    return _open_inside(root, here)


def _bind(fd: int, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError):
        mounts.unmount(target)
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        target.mkdir(exist_ok=True)
    else:
        target.touch()
    mounts.bind(f"/proc/self/fd/{fd}", target)
