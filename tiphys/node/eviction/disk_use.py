"""Bytes and inodes below a directory that containers write to meanwhile. Blocking: meant for a thread."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_SECTOR = 512
"""Unit of `st_blocks` in bytes, whatever the file system's block size."""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_Inode = tuple[int, int]


class Size(NamedTuple):
    """Bytes that are allocated, and inodes."""

    bytes: int = 0
    inodes: int = 0

    def plus(self, other: Size) -> Size:
        """Return the sum."""
        return Size(self.bytes + other.bytes, self.inodes + other.inodes)


def used_bytes(root: Path) -> int:
    """Bytes that are allocated to everything below `root` on its own file system; 0 when it is not there."""
    return tree_size(root).bytes


def tree_size(root: Path) -> Size:
    """Size of everything below `root` on its own file system, itself included; nothing when it is not there.

    Links are not followed and files with several names count once. One descriptor is open at a time, however deep the tree. A tree whose
    folders are moved away while they are read counts as far as it was read.
    """
    try:
        fd = os.open(root, _DIRECTORY)
    except OSError:
        return Size()
    walk = _Walk(fd)
    try:
        walk.run()
    except OSError:
        pass
    finally:
        os.close(walk.fd)
    return Size(walk.used, walk.inodes)


class _Walk:
    def __init__(self, fd: int) -> None:
        self.fd = fd
        """The folder that is being read."""
        info = os.fstat(fd)
        self.used = info.st_blocks * _SECTOR
        self.inodes = 1
        self._device = info.st_dev
        self._counted: set[_Inode] = set()
        self._above: list[tuple[_Inode, list[str]]] = []
        """Folders from the root to this one, with those below each that are still to be read."""

    def run(self) -> None:
        self._above.append((_inode(os.fstat(self.fd)), self._read()))
        while self._above:
            _, folders = self._above[-1]
            if folders:
                self._descend(folders.pop())
            elif not self._ascend():
                return

    def _read(self) -> list[str]:
        """Count the entries of this folder; returns the folders among them."""
        folders = []
        with os.scandir(self.fd) as entries:
            for entry in entries:
                with suppress(OSError):
                    info = entry.stat(follow_symlinks=False)
                    if info.st_dev != self._device:
                        continue
                    if stat.S_ISDIR(info.st_mode):
                        folders.append(entry.name)
                    elif info.st_nlink > 1:
                        if _inode(info) in self._counted:
                            continue
                        self._counted.add(_inode(info))
                    self.used += info.st_blocks * _SECTOR
                    self.inodes += 1
        return folders

    def _descend(self, name: str) -> None:
        try:
            below = os.open(name, _DIRECTORY, dir_fd=self.fd)
        except OSError:
            return  # gone, or something else by now
        info = os.fstat(below)
        if info.st_dev != self._device:
            os.close(below)
            return
        self._move(below)
        self._above.append((_inode(info), self._read()))

    def _ascend(self) -> bool:
        self._above.pop()
        if not self._above:
            return False
        self._move(os.open("..", _DIRECTORY, dir_fd=self.fd))
        # A folder that was moved meanwhile has another parent, which may be anywhere.
        return _inode(os.fstat(self.fd)) == self._above[-1][0]

    def _move(self, fd: int) -> None:
        os.close(self.fd)
        self.fd = fd


def _inode(info: os.stat_result) -> _Inode:
    return info.st_dev, info.st_ino


def allocated(path: Path) -> int:
    """Bytes of one file; 0 when it is not there."""
    try:
        return path.lstat().st_blocks * _SECTOR
    except OSError:
        return 0


def file_system_bytes(root: Path) -> int:
    """Bytes in use on the file system at `root`, which is a volume of its own; 0 when it is not there."""
    try:
        info = os.statvfs(root)
    except OSError:
        return 0
    return (info.f_blocks - info.f_bfree) * info.f_frsize
