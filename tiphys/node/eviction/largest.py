"""Directories that fill a file system. Blocking, and bounded: meant for a thread."""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path

import msgspec

from tiphys.api.machinery import quantity

ENTRIES = 100_000
"""Most files and directories to look at."""
COUNT = 5
MINOR = 0.05
"""Share of what was counted below which a directory is not named."""
MOST = 0.6
"""A directory that holds so much of the one above stands for it."""
_SECTOR = 512
_LONGEST = 200


class _Directory(msgspec.Struct):
    path: str
    above: int
    """Its parent's place in the list."""
    bytes: int = 0
    below: list[int] = []


class Largest(msgspec.Struct, frozen=True):
    """Largest directories, with the bytes in and below each."""

    directories: tuple[tuple[str, int], ...] = ()
    is_complete: bool = True
    """False if there were too many files to count them all."""

    def __str__(self) -> str:
        parts = ", ".join(f"{_printable(path)} {_rounded(size)}" for path, size in self.directories)
        return parts + ("" if self.is_complete or not parts else " (of the files that could be counted in time)")


def largest(root: Path, *, entries: int = ENTRIES, count: int = COUNT) -> Largest:
    """Return the directories below `root`, on its own file system, that hold most of what is there.

    The tree is read level by level, so that a huge directory does not hide its neighbors when there is more than can be read.
    """
    tree = [_Directory(str(root), -1)]
    queue, left = deque([0]), entries
    try:
        device = os.stat(root).st_dev
    except OSError:
        return Largest()
    while queue and left > 0:
        left -= _read(tree, queue, device, left)
    for place in range(len(tree) - 1, 0, -1):
        tree[tree[place].above].bytes += tree[place].bytes
    least = max(int(tree[0].bytes * MINOR), 1)
    named = sorted(_named(tree, least), key=lambda one: (-one.bytes, one.path))
    return Largest(tuple((one.path, one.bytes) for one in named[:count]), not queue)


def _read(tree: list[_Directory], queue: deque[int], device: int, left: int) -> int:
    """Count the files of the next directory and add those below it; returns the number of entries."""
    place = queue[0]
    above, number = tree[place], 0
    try:
        with os.scandir(above.path) as listing:
            for entry in listing:
                number += 1
                if number > left:
                    return number  # not finished, so it stays in the queue
                _count(tree, queue, place, entry, device)
    except OSError:
        pass  # gone, or deeper than a path can be long
    queue.popleft()
    return max(number, 1)


def _count(tree: list[_Directory], queue: deque[int], place: int, entry: os.DirEntry[str], device: int) -> None:
    try:
        info = entry.stat(follow_symlinks=False)
    except OSError:
        return
    if info.st_dev != device:
        return
    size = info.st_blocks * _SECTOR
    if not entry.is_dir(follow_symlinks=False):
        tree[place].bytes += size // max(info.st_nlink, 1)
        return
    tree[place].below.append(len(tree))
    queue.append(len(tree))
    tree.append(_Directory(entry.path, place, size))


def _named(tree: list[_Directory], least: int) -> list[_Directory]:
    """Return directories that are not within each other: each the deepest one that still holds most of its parent."""
    named, stack = [], [tree[0]]
    while stack:
        one = stack.pop()
        large = [tree[place] for place in one.below if tree[place].bytes >= least]
        inside = sum(each.bytes for each in large)
        if large and inside >= MOST * one.bytes:
            stack += large
        elif one.bytes >= least:
            named.append(one)
    return named


def _printable(path: str) -> str:
    """Return a path for a message: containers choose some of the names in it."""
    text = "".join(letter if letter.isprintable() else "?" for letter in path)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _rounded(size: int) -> str:
    for power, suffix in ((40, "Ti"), (30, "Gi"), (20, "Mi"), (10, "Ki")):
        if size >= 1 << power:
            return f"{size / (1 << power):.1f}{suffix}"
    return quantity.format_value(size)
