"""Making, growing and removing volumes, and the room for them. No volume is used here: see `staging.py`. Everything waits for the disk.

Images are sparse: they take what is in them. What they may still grow by is promised to their claims and no room for others.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from tiphys.node.local_path import loop, mounting
from tiphys.node.local_path.programs import make_file_system
from tiphys.node.local_path.records import Damaged, Missing, Record, Records, directory_name

_CLONE = 0x40049409
"""FICLONE: the copy shares the blocks until one of the two changes."""
BLOCK = 4096
SMALLEST = {"": BLOCK, "ext4": 16 << 20, "xfs": 300 << 20}
"""Bytes of the smallest volume by file system: a smaller ext4 has no journal, and mkfs.xfs refuses less."""


class NoRoom(Exception):
    """The disk has no room for a volume; the message names the sizes."""


class InUse(Exception):
    """The volume is in use on this node."""


class Room(NamedTuple):
    """Bytes of the disk: its size, what is free of it, and what volumes may still grow by."""

    size: int
    free: int
    promised: int

    @property
    def available(self) -> int:
        """Bytes for new volumes."""
        return max(self.free - self.promised, 0)


class Storage:
    """The volumes of one directory. With `overcommit`, promises do not count: volumes may promise more than the disk has."""

    def __init__(self, root: Path, *, overcommit: bool = False) -> None:
        self.records = Records(root)
        self._overcommit = overcommit
        self._lock = threading.Lock()
        self._making: dict[str, int] = {}

    def close(self) -> None:
        """Close the directory."""
        self.records.close()

    def recover(self) -> list[str]:
        """Go on where a crash or a reboot interrupted: drafts and graves are removed, devices without a volume detached.

        Returns a message for each volume or directory that needs attention.
        """
        left = self.records.sweep()
        known = set()
        for record in self.records.all():
            try:
                with self.records.image(record.id) as image:
                    known.add((os.fstat(image).st_dev, os.fstat(image).st_ino))
                    self.fill(record, image)
            except (OSError, Damaged) as error:
                left.append(str(error))
        for device in loop.attached(self.records.root):
            if (device.device, device.inode) not in known:
                loop.detach(device)
        return left

    def room(self) -> Room:
        """Return how much room there is."""
        with self._lock:
            return self._room()

    def summary(self) -> str:
        """Return a line of text with the volumes' number and sizes."""
        records, room = self.records.allocated(), self.room()
        used, promised = sum(size for _, size in records), sum(one.capacity for one, _ in records)
        volumes = f"{len(records)} volume{'' if len(records) == 1 else 's'}"
        return f"{volumes}, {text(used)} used of {text(promised)}; {text(room.available)} left for others"

    def create(self, record: Record, parameters: Mapping[str, str]) -> Record:
        """Make a volume with its file system, or a copy of its source. Raises NoRoom, InUse, ProgramError, OSError, Damaged."""
        with self._reserved(record.id, record.capacity), self.records.making(record, directory_name(record.id, parameters)) as image:
            if record.source:
                self._copy(record.source, image)
            os.ftruncate(image, record.capacity)
            if record.mode == "Filesystem" and not record.source:
                # By descriptor: nobody can put another file there meanwhile.
                make_file_system(record.fs_type, Path(f"/proc/{os.getpid()}/fd/{image}"))
        return record

    def expand(self, record: Record, capacity: int) -> Record:
        """Enlarge a volume's image; `staging.grow` does the rest. Raises NoRoom, OSError, Damaged."""
        if capacity > record.capacity:
            with self._reserved(record.id, capacity - record.capacity):
                # First the promise: a crash before the image has grown is made good by whoever comes next.
                record = msgspec.structs.replace(record, capacity=capacity)
                self.records.update(record)
        with self.records.image(record.id) as image:
            self.fill(record, image)
        return record

    def remove(self, identity: str) -> None:
        """Remove a volume and its data. Raises InUse, OSError, Damaged."""
        device = self.device(identity)
        if device is not None and (not device.autoclear or mounting.is_mounted(device.number)):
            raise InUse(f"volume {identity} is in use on this node")
        if device is not None:  # Whoever still has it open only looks.
            loop.detach(device)
        self.records.remove(identity)

    def device(self, identity: str) -> loop.Loop | None:
        """Return the device of a volume, None without one, also if somebody has removed the image below it. Raises OSError, Damaged."""
        name = self.records.find(identity)
        if name is None:
            return None
        try:
            with self.records.image(identity) as image:
                return loop.of_file(image)
        except Missing:
            return next(iter(loop.attached(self.records.root / name)), None)

    def fill(self, record: Record, image: int) -> None:
        """Let an image have the size of its volume, if an expansion was interrupted. Raises Damaged for one that somebody has shortened."""
        size = os.fstat(image).st_size
        if size < record.fs_size:
            raise Damaged(f"the image of volume {record.id} has been truncated: it has {size} bytes, its file system {record.fs_size}")
        if size < record.capacity:
            os.ftruncate(image, record.capacity)
            os.fsync(image)

    def _room(self) -> Room:
        free, size = self.records.room()
        promised = sum(self._making.values())
        if not self._overcommit:
            promised += sum(max(record.capacity - allocated, 0) for record, allocated in self.records.allocated())
        return Room(size, free, promised)

    @contextmanager
    def _reserved(self, identity: str, size: int) -> Iterator[None]:
        """Hold room for a volume while it is made, when no record promises it yet."""
        with self._lock:
            room = self._room()
            if size > room.available:
                raise NoRoom(
                    f"not enough room: {text(size)} requested, {text(room.available)} available "
                    f"(of the disk's {text(room.size)}, {text(room.free)} are free and {text(room.promised)} promised to other volumes)"
                )
            self._making[identity] = size
        try:
            yield
        finally:
            with self._lock:
                del self._making[identity]

    def _copy(self, source: str, target: int) -> None:
        with self.records.image(source) as image:
            if loop.of_file(image) is None:
                _copy_data(image, target)
                return
            os.fsync(image)
            try:
                fcntl.ioctl(target, _CLONE, image)
            except OSError as error:
                raise InUse(f"volume {source} is in use, and the disk's file system cannot copy a file in an instant (reflink)") from error


def _copy_data(source: int, target: int) -> None:
    """Copy a file and its holes."""
    try:
        fcntl.ioctl(target, _CLONE, source)
        return
    except OSError:  # The file system cannot.
        end = os.fstat(source).st_size
    offset = 0
    while offset < end:
        try:
            offset = os.lseek(source, offset, os.SEEK_DATA)
        except OSError:  # Holes up to the end.
            break
        hole = os.lseek(source, offset, os.SEEK_HOLE)
        while offset < hole:
            copied = os.copy_file_range(source, target, hole - offset, offset, offset)
            if copied == 0:
                return
            offset += copied


def text(size: int) -> str:
    """Write a number of bytes for people: 1.5Gi."""
    for unit, factor in (("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)):
        if size >= factor:
            return f"{size / factor:.1f}".removesuffix(".0") + unit
    return str(size)
