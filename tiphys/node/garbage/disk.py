"""Room on a disk."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec


class DiskRoom(msgspec.Struct, frozen=True):
    """Size of a file system and what is free on it, in bytes."""

    device: int = 0
    capacity: int = 0
    available: int = 0


def room(path: Path) -> DiskRoom:
    """Measure the file system of a path. Blocking: meant for a thread. Raises OSError."""
    info = os.statvfs(path)
    return DiskRoom(os.stat(path).st_dev, info.f_blocks * info.f_frsize, info.f_bavail * info.f_frsize)


class Progress:
    """Bytes that an attempt to make room has freed so far, compared with those that it is to free."""

    def __init__(self, path: Path, goal: int) -> None:
        self.goal = goal
        self._path = path
        self._before = room(path).available
        self._counted = 0
        self._removals = 0

    def count(self, size: int = 0) -> None:
        """Note that something was removed, with its size if that is known."""
        self._counted += size
        self._removals += 1

    def freed(self) -> int:
        """Return the bytes: what was counted, or what the disk shows if that is more. Blocking; raises OSError.

        Without a removal it is 0: others, too, free room.
        """
        return self._gained() if self._removals else 0

    def is_enough(self) -> bool:
        """True if the goal is reached, also because others freed room. Blocking; raises OSError."""
        return self._gained() >= self.goal

    def _gained(self) -> int:
        return max(self._counted, room(self._path).available - self._before)
