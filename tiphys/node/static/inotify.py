"""Notices of changes in a directory, from the kernel (inotify(7))."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import struct
from collections.abc import Callable
from pathlib import Path

_CLOSE_WRITE, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x8, 0x40, 0x80, 0x100, 0x200
_DELETE_SELF, _MOVE_SELF, _Q_OVERFLOW, _IGNORED = 0x400, 0x800, 0x4000, 0x8000
_ONLYDIR = 0x1000000
_MASK = _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF | _ONLYDIR
_LOST = _DELETE_SELF | _MOVE_SELF | _IGNORED
_HEAD = struct.Struct("iIII")
_libc = ctypes.CDLL(None, use_errno=True)


class DirectoryWatch:
    """Calls `changed` on the event loop when files of a directory are written, moved, linked or removed.

    A file that is created is reported once its writer closes it: until then it is half a file. After the directory itself has gone, or
    before it is there, `attach` watches it anew.
    """

    def __init__(self, directory: Path, changed: Callable[[], None]) -> None:
        self._directory = directory
        self._changed = changed
        self._descriptor = -1

    def attach(self) -> bool:
        """Watch the directory unless it is watched. False where that is impossible: no such directory, or no watches left."""
        if self._descriptor >= 0:
            return True
        descriptor = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if descriptor < 0:
            return False
        if _libc.inotify_add_watch(descriptor, os.fsencode(self._directory), _MASK) < 0:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        asyncio.get_running_loop().add_reader(descriptor, self._read)
        return True

    def close(self) -> None:
        """Stop watching."""
        if self._descriptor >= 0:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _read(self) -> None:
        data = b""
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._descriptor, 1 << 16)
        offset, lost, relevant = 0, False, False
        while offset + _HEAD.size <= len(data):
            _, mask, _, length = _HEAD.unpack_from(data, offset)
            name = data[offset + _HEAD.size : offset + _HEAD.size + length].rstrip(b"\0")
            offset += _HEAD.size + length
            lost = lost or bool(mask & _LOST)
            relevant = relevant or not mask & _CREATE or (self._directory / os.fsdecode(name)).is_symlink()
        if lost:
            self.close()
        if relevant:
            self._changed()
