"""Opening paths of directories that others write: a link planted there cannot lead out.

The path is opened with openat2's rule "stay beneath this directory", which refuses links that are absolute or climb above it.
"""

from __future__ import annotations

import ctypes
import errno
import os

_SYS_OPENAT2 = 437
_RESOLVE_BENEATH = 0x08
_RESOLVE_NO_MAGICLINKS = 0x02


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_RACES = 16
"""Attempts while renames in the directory keep the kernel from telling whether a path stays inside."""
_libc = ctypes.CDLL(None, use_errno=True)


def open_beneath(root: int, path: str, *, what: str = "directory") -> int:
    """A descriptor (O_PATH) of what a path names below the directory `root`. Raises OSError, EXDEV for a path that leads out of it."""
    if "\0" in path:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
    how = _How(os.O_PATH | os.O_CLOEXEC, 0, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS)
    for _ in range(_RACES):
        fd = int(_libc.syscall(_SYS_OPENAT2, root, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how)))
        if fd >= 0:
            return fd
        if (number := ctypes.get_errno()) != errno.EAGAIN:
            break
    if number == errno.EXDEV:
        raise OSError(number, f"the path leads out of the {what}", path)
    raise OSError(number, os.strerror(number), path)
