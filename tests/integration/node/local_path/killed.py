"""Runs steps of a volume's life in processes that are killed before each of their system calls in turn: `python killed.py PLACE KIND`.

After each death another process carries out the step to its end, and the state from before the step is made again for the next death.
Prints a line of JSON for each step: its name, and the number of processes that were killed.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tiphys.node.host.mount_table import mount_table
from tiphys.node.local_path import loop, staging
from tiphys.node.local_path.programs import ProgramError, may_grow_mounted
from tiphys.node.local_path.records import Record
from tiphys.node.local_path.storage import Storage
from tiphys.node.volumes.mounts import libc

MIB = 1 << 20
CALLS = frozenset(("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "os.chmod", "fcntl.ioctl", "subprocess.Popen"))
"""Audit events of what changes the world; the call follows the event."""
WRAPPED = ("fsync", "ftruncate", "copy_file_range")
"""Functions of `os` that have no event."""
Step = Callable[[Storage], None]
BUSY = 2
PATIENCE = 10.0


class Killer:
    """Ends this process before its call number `at`."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.calls = 0

    def count(self) -> None:
        self.calls += 1
        if self.calls == self.at:
            os._exit(9)

    def watch(self) -> None:
        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            # A death before a mere look is one before the next change.
            if event in CALLS and not (event == "open" and arguments[2] & os.O_ACCMODE == os.O_RDONLY):
                self.count()

        sys.addaudithook(hook)
        for module, names in ((os, WRAPPED), (libc, ("mount", "umount2"))):
            for name in names:
                setattr(module, name, self.counted(getattr(module, name)))

    def counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            self.count()
            return function(*arguments)

        return call


class Life:
    """Steps of a volume's life on a storage directory."""

    def __init__(self, place: Path, kind: str) -> None:
        self.place = place
        self.staged, self.target = place / "staged", place / "pod" / "mount"
        for directory in (self.staged, self.target.parent):
            directory.mkdir(parents=True, exist_ok=True)
        self.first = Record(
            id="pvc-1",
            name="pvc-1",
            capacity=320 * MIB,
            mode="Block" if kind == "block" else "Filesystem",
            fs_type="" if kind == "block" else kind,
            fs_size=320 * MIB,
            is_fresh=kind != "block",
        )
        self.size = self.first.capacity
        self.fresh = True

    def steps(self) -> list[tuple[Step, Step]]:
        """Return the steps in the order of a life, each with what takes it back."""
        return [
            (self.create, self.remove),
            (self.use, self.end),
            (self.grow, self.want_more),
            (self.end, self.use),
            (self.grow_unused, self.want_more),
            (self.use_grown, self.end_and_grow),
            (self.end, self.use),
            (self.remove, self.create),
        ]

    def create(self, storage: Storage) -> None:
        if storage.records.read("pvc-1") is None:
            storage.create(self.first, {})

    def use(self, storage: Storage) -> None:
        staging.stage(storage, self.record(storage), self.staged, [])
        staging.publish(storage, self.record(storage), self.staged, self.target, read_only=False)

    def want_more(self, _: Storage | None = None) -> None:
        """Make the next growth one from the present size."""
        self.size += 8 * MIB

    def grow(self, storage: Storage) -> None:
        record = storage.expand(self.record(storage), self.size)
        if record.mode == "Block" or may_grow_mounted(record.fs_type):
            staging.grow(storage, record, self.staged)

    def grow_unused(self, storage: Storage) -> None:
        assert storage.expand(self.record(storage), self.size).capacity == self.size

    def use_grown(self, storage: Storage) -> None:
        self.use(storage)
        record = self.record(storage)
        assert record.mode == "Block" or record.fs_size == record.capacity

    def end_and_grow(self, storage: Storage) -> None:
        self.end(storage)
        storage.expand(self.record(storage), self.record(storage).capacity + 8 * MIB)

    def end(self, storage: Storage) -> None:
        staging.unpublish(storage, self.target)
        staging.unstage(storage, storage.records.read("pvc-1"), self.staged)

    def remove(self, storage: Storage) -> None:
        storage.remove("pvc-1")

    def record(self, storage: Storage) -> Record:
        record = storage.records.read("pvc-1")
        assert record is not None
        return record

    def check(self, before: str) -> None:
        """Assert what holds at every moment."""
        devices = loop.attached(self.place)
        assert len(devices) <= 1, f"{before}: {devices}"
        entries = sorted(path.name for path in (self.place / "storage").iterdir()) if (self.place / "storage").exists() else []
        assert len(entries) <= 1, f"{before}: {entries}"
        if before not in ("create", "remove"):
            assert entries == ["pvc-1"], f"{before}: {entries}"
        mounts = [mount for mount in mount_table() if mount.point.startswith(f"{self.place}/")]
        assert len(mounts) <= 2, f"{before}: {mounts}"

    def mark(self) -> None:
        """Write data that must be there ever after, or read it."""
        file = self.target if self.target.is_block_device() else self.target / "data"
        if self.fresh:
            with file.open("r+b" if file.is_block_device() else "wb") as out:
                out.write(b"precious")
            self.fresh = False
        with file.open("rb") as data:
            assert data.read(8) == b"precious"


def attempt(life: Life, step: Step, at: int = 0) -> bool:
    """Carry out a step in a process that is killed before call `at`, never for 0; returns whether it came to its end.

    Another process of the machine that looks at the mounts at the wrong moment keeps a device busy: then the step is repeated, as a
    kubelet would.
    """
    deadline = time.monotonic() + PATIENCE
    while (status := _child(life, step, at)) == BUSY and time.monotonic() < deadline:
        time.sleep(0.05)
    assert status in (0, 9), f"{step.__name__} ended with {status}"
    life.check(step.__name__)
    return status == 0


def _child(life: Life, step: Step, at: int) -> int:
    child = os.fork()
    if child == 0:
        Killer(at).watch()
        try:
            storage = Storage(life.place / "storage")
            left = storage.recover()
            assert left == [], left
            step(storage)
        except BaseException as error:
            print(f"{step.__name__}, killed at {at}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            is_busy = (isinstance(error, ProgramError) and "in use" in str(error)) or (isinstance(error, OSError) and error.errno == 16)
            os._exit(BUSY if is_busy else 1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def enumerate_deaths(life: Life, step: Step, back: Step) -> int:
    """Kill a step before each of its calls; returns their number. In the end the step has been carried out."""
    if step in (life.grow, life.grow_unused):
        life.want_more()
    at = 1
    while not attempt(life, step, at):
        assert attempt(life, step)
        if back == life.want_more:
            life.want_more()
        else:
            assert attempt(life, back)
        at += 1
    return at - 1


def main(place: Path, kind: str) -> None:
    life = Life(place, kind)
    for step, back in life.steps():
        deaths = enumerate_deaths(life, step, back)
        if step in (life.use, life.use_grown):
            life.mark()
        if step == life.end:
            assert loop.attached(place) == []
        print(json.dumps({"step": step.__name__, "killed": deaths}), flush=True)
    assert list((place / "storage").iterdir()) == []


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
