"""Mounts and loop devices of tests: each test claims its directory, and what is mounted below one that nobody claims is removed."""

from __future__ import annotations

import fcntl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOCK = ".mounts"
"""File in the directories of tests that mount, locked while they run."""


def mount_count(path: Path) -> int:
    """Return how many mounts are on top of one another at a path."""
    return _mount_points().count(str(path))


@contextmanager
def claimed(directory: Path) -> Iterator[None]:
    """Mark a directory as one in which a test mounts things, for as long as its process lives."""
    with open(directory / LOCK, "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def remove_abandoned() -> None:
    """Unmount what killed runs left in directories that they had claimed."""
    places = [*_mount_points(), *_loop_files().values()]
    for directory in {parent for place in places for parent in Path(place).parents if (parent / LOCK).exists()}:
        with open(directory / LOCK, "rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            unmount_below(directory)


def unmount_below(directory: Path) -> list[str]:
    """Unmount everything below a directory and detach the loop devices of files there; return what there was."""
    left = [path for path in reversed(_mount_points()) if path.startswith(f"{directory}/")]
    for path in left:
        subprocess.run(["umount", "--lazy", path], check=False)
    for device, file in _loop_files().items():
        if file.startswith(f"{directory}/"):
            subprocess.run(["losetup", "--detach", device], check=False)
            left.append(file)
    return left


def _mount_points() -> list[str]:
    return [line.split(" ")[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]


def _loop_files() -> dict[str, str]:
    """Return the files of the loop devices in use, but for those that are detached as soon as whoever looks at them closes them."""
    files = {}
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        with suppress(OSError):
            if backing.with_name("autoclear").read_text().strip() == "1":
                continue
            files[f"/dev/{backing.parts[3]}"] = backing.read_text(errors="surrogateescape").strip()
    return files
