"""Opening paths of directories that others write: a link planted there cannot lead out.

The path is opened with openat2's rule "stay beneath this directory", which refuses links that are absolute or climb above it.
"""

from __future__ import annotations

import ctypes
import errno
import os

_SYS_OPENAT2 = 437
_RESOLVE_NO_XDEV = 0x01
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_NO_SYMLINKS = 0x04
_RESOLVE_BENEATH = 0x08


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_RACES = 16
"""Attempts while renames in the directory keep the kernel from telling whether a path stays inside."""
_libc = ctypes.CDLL(None, use_errno=True)


def open_beneath(root: int, path: str, *, what: str = "directory") -> int:
    """A descriptor (O_PATH) of what a path names below the directory `root`. Raises OSError, EXDEV for a path that leads out of it."""
    if "\0" in path:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
    number = errno.EAGAIN
    for _ in range(_RACES):
        try:
            return _openat2(root, path, os.O_PATH | os.O_CLOEXEC, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS)
        except OSError as error:
            number = error.errno or errno.EIO
            if number != errno.EAGAIN:
                break
    if number == errno.EXDEV:
        raise OSError(number, f"the path leads out of the {what}", path)
    raise OSError(number, os.strerror(number), path)


def open_directory(parent: int, name: str) -> int:
    """A descriptor of a directory in the directory `parent`. Raises OSError: EXDEV if something is mounted there, ELOOP for a link."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    return _openat2(parent, name, flags, _RESOLVE_NO_XDEV | _RESOLVE_NO_SYMLINKS)


def is_mount_point(path: str | os.PathLike[str]) -> bool:
    """Return whether something is mounted exactly there, bind mounts of the same file system included. Raises OSError."""
    above, name = os.path.split(os.path.abspath(path))
    try:
        parent = os.open(above, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        os.close(_openat2(parent, name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, _RESOLVE_NO_XDEV))
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.ENOENT):
            raise
        return error.errno == errno.EXDEV
    finally:
        os.close(parent)
    return False


def _openat2(parent: int, path: str, flags: int, resolve: int) -> int:
    how = _How(flags, 0, resolve)
    fd = int(_libc.syscall(_SYS_OPENAT2, parent, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how)))
    if fd < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return fd
