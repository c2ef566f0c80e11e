"""Mounts of volumes: file systems on devices, binds, and their end. Everything here waits for the kernel."""

from __future__ import annotations

import os
from pathlib import Path

from tiphys.node.host.mount_table import Mount, mount_table
from tiphys.node.local_path import loop
from tiphys.node.local_path.programs import run
from tiphys.node.volumes import mounts


def mounted_at(path: Path) -> list[Mount]:
    """Return the mounts exactly at a path, of which the last is the visible one."""
    point = real(path)
    return [mount for mount in mount_table() if mount.point == point]


def loop_number(mount: Mount) -> int | None:
    """Return the number of the loop device whose file system, or whose node below /dev, is mounted."""
    number = loop.number_of(mount.device)
    if number is None and mount.root.startswith("/loop") and mount.root[5:].isdecimal():
        return int(mount.root[5:])
    return number


def is_mounted(number: int) -> bool:
    """Return whether a loop device is mounted anywhere."""
    return any(loop_number(mount) == number for mount in mount_table())


def mount_device(device: Path, target: Path, kind: str, options: list[str]) -> None:
    """Mount the file system of a device. Raises ProgramError, with what mount(8) says."""
    run("mount", "--no-canonicalize", "-t", kind, "-o", ",".join(options), str(device), str(target))


def bind(source: Path, target: Path, *, read_only: bool) -> None:
    """Make a directory or a file appear at another path. Raises OSError; then nothing is mounted."""
    mounts.bind(str(source), target)
    if read_only:
        try:
            # A mount's own flags are set in a second step.
            mounts.restrict_bind(target, mounts.MS_RDONLY)
        except OSError:
            mounts.unmount(target, strict=True)
            raise


def unmount(path: Path) -> None:
    """Unmount everything that is mounted at a path. Raises OSError, EBUSY while it is in use."""
    for _ in mounted_at(path):
        mounts.unmount(real(path), strict=True)


def real(path: Path) -> str:
    """Return a path as the table has it: its directories are resolved, the last component is not."""
    return os.path.join(os.path.realpath(path.parent), path.name)
