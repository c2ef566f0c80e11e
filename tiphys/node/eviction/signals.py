"""Levels of the eviction signals, read from control groups, file systems and /proc. Blocking: meant for a thread."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from tiphys.node.eviction.pressure import Level
from tiphys.node.eviction.thresholds import Signal
from tiphys.node.host import machine
from tiphys.node.metrics import node
from tiphys.node.metrics.groups import GroupReader
from tiphys.node.runtime import cgroups as files

_MEMORY = ("memory", "working_set", "memory_limit")


class SignalMeter:
    """Measures a node: its memory, that of all pods, the disks of the kubelet and of images, and processes."""

    def __init__(self, home: Path, parent: str, memory: int, *, root: Path = files.ROOT) -> None:
        """Take the kubelet's directory, the group of all pods, and the node's memory in bytes."""
        self.home = home
        self.images: Path | None = None
        """The runtime's directory of images; None while it is unknown."""
        self._parent = parent
        self._memory = memory
        self._root = root

    def use_images(self, mount_point: str) -> None:
        """Take the runtime's directory of images, "" if it names none."""
        self.images = Path(mount_point) if mount_point else None

    @property
    def has_image_disk(self) -> bool:
        """True if images have a file system of their own. Looks at the disks."""
        with suppress(OSError):
            return self.images is not None and os.stat(self.images).st_dev != os.stat(self.home).st_dev
        return False

    def levels(self) -> dict[Signal, Level]:
        """Return the level of each signal that can be measured."""
        reader = GroupReader(self._root, _MEMORY)
        levels: dict[Signal, Level | None] = {
            "memory.available": self._of_node(reader),
            "allocatableMemory.available": self._of_pods(reader),
            "pid.available": _processes(),
        }
        levels["nodefs.available"], levels["nodefs.inodesFree"] = _disk(self.home)
        if self.images is not None:
            levels["imagefs.available"], levels["imagefs.inodesFree"] = _disk(self.images)
        return {signal: level for signal, level in levels.items() if level is not None}

    def _of_node(self, reader: GroupReader) -> Level:
        values = reader.read("/").values
        # The topmost group of version 2 has no use of its own.
        used = values.get("working_set") or self._memory - machine.memory_available()
        return Level(max(self._memory - int(used), 0), self._memory)

    def _of_pods(self, reader: GroupReader) -> Level | None:
        values = reader.read(self._parent).values
        limit = int(values.get("memory_limit", 0))
        return Level(max(limit - int(values.get("working_set", 0)), 0), limit) if limit else None


def _disk(path: Path) -> tuple[Level | None, Level | None]:
    size = node.file_system(path)
    if size is None:
        return None, None
    # Some file systems have no fixed number of inodes, and report none.
    inodes = Level(size.inodes_free or 0, size.inodes) if size.inodes else None
    return (Level(size.available or 0, size.capacity) if size.capacity else None), inodes


def _processes() -> Level | None:
    most, present = node.pid_limit(), node.threads()
    return Level(max(most - present, 0), most) if most is not None and present is not None else None
