"""Programs for file systems: Debian's packages e2fsprogs, xfsprogs and mount."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from tiphys.obs.process import CAP_SYS_RESOURCE, has_capability

PACKAGES: Final = {
    "mkfs.ext4": "e2fsprogs",
    "e2fsck": "e2fsprogs",
    "resize2fs": "e2fsprogs",
    "mkfs.xfs": "xfsprogs",
    "xfs_growfs": "xfsprogs",
    "mount": "mount",
}
"""The programs, by the package that has them."""
_DIRECTORIES = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_LONGEST_MESSAGE = 500


class ProgramError(Exception):
    """A program is missing or failed; the message says what it wrote, or which package has it."""


def find(name: str) -> str | None:
    """Return the path of a program, also where PATH lacks the directories for administration."""
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), *_DIRECTORIES)))


def run(name: str, *arguments: str, accepted: tuple[int, ...] = (0,)) -> str:
    """Run a program to its end and return its output. Raises ProgramError."""
    path = find(name)
    if path is None:
        raise ProgramError(f"{name} is not installed on this node: apt-get install {PACKAGES[name]}")
    environment = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run([path, *arguments], capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL, env=environment)
    if done.returncode not in accepted:
        # e2fsck writes the reason to one of them and "Cannot continue" to the other.
        message = " ".join(f"{done.stdout} {done.stderr}".split())[:_LONGEST_MESSAGE]
        raise ProgramError(f"{name} failed with exit status {done.returncode}: {message}")
    return done.stdout


def make_file_system(kind: str, image: Path) -> None:
    """Make a file system that fills a file or a device. Raises ProgramError."""
    if kind == "xfs":
        run("mkfs.xfs", "-q", "-f", "-m", "reflink=1", str(image))
    else:
        # No reserve for root: the claim's owner gets what was asked for. Small blocks would limit growth, and hardly ever free the disk's.
        run("mkfs.ext4", "-q", "-F", "-m", "0", "-b", "4096", "-E", "lazy_itable_init=1,lazy_journal_init=1", str(image))


def check_file_system(kind: str, device: Path) -> None:
    """Repair what can be repaired without loss. XFS does it when it is mounted. Raises ProgramError for damage that needs a person."""
    if kind == "ext4":
        run("e2fsck", "-p", str(device), accepted=(0, 1))


def grows_unmounted(kind: str) -> bool:
    """Return whether a file system can fill its device before it is mounted."""
    return kind == "ext4"


def may_grow_mounted(kind: str) -> bool:
    """Return whether this process may grow a file system in use: Linux asks CAP_SYS_RESOURCE of those that grow ext4."""
    return kind == "xfs" or has_capability(CAP_SYS_RESOURCE)


def grow_file_system(kind: str, device: Path, mounted_at: Path | None) -> None:
    """Let a file system fill its device. Raises ProgramError.

    Like the kernel, which grows ext4 in use, resize2fs is not to insist on a full check of what is clean: that check makes a directory
    `lost+found`, for which a volume that is full has no room.
    """
    if kind == "xfs":
        run("xfs_growfs", str(mounted_at))
    else:
        run("resize2fs", *(["-f"] if mounted_at is None else []), str(device))
