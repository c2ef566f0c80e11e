"""Mounts of volumes: the table of the kernel, file systems on devices, binds, and their end. Everything here waits for the kernel."""

from __future__ import annotations

import ctypes
import os
import re
from pathlib import Path
from typing import NamedTuple

from tiphys.node.local_path import loop
from tiphys.node.local_path.programs import run

_BIND, _REMOUNT, _READ_ONLY = 4096, 32, 1
_NOFOLLOW = 8
_ABSENT = (2, 22)
"""ENOENT, and EINVAL for a path where nothing is mounted."""

_libc = ctypes.CDLL(None, use_errno=True)


class Mount(NamedTuple):
    """An entry of the table: where, which device, which part of its file system, and the mount's own options."""

    point: str
    device: int
    root: str
    options: frozenset[str]


def table() -> list[Mount]:
    """Return the mounts of this process's namespace, the newest last."""
    mounts = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            fields = line.split(" ")
            major, _, minor = fields[2].partition(":")
            mounts.append(Mount(_plain(fields[4]), os.makedev(int(major), int(minor)), _plain(fields[3]), frozenset(fields[5].split(","))))
    return mounts


def mounted_at(path: Path) -> list[Mount]:
    """Return the mounts exactly at a path, of which the last is the visible one."""
    point = real(path)
    return [mount for mount in table() if mount.point == point]


def loop_number(mount: Mount) -> int | None:
    """Return the number of the loop device whose file system, or whose node below /dev, is mounted."""
    number = loop.number_of(mount.device)
    if number is None and mount.root.startswith("/loop") and mount.root[5:].isdecimal():
        return int(mount.root[5:])
    return number


def is_mounted(number: int) -> bool:
    """Return whether a loop device is mounted anywhere."""
    return any(loop_number(mount) == number for mount in table())


def mount_device(device: Path, target: Path, kind: str, options: list[str]) -> None:
    """Mount the file system of a device. Raises ProgramError, with what mount(8) says."""
    run("mount", "--no-canonicalize", "-t", kind, "-o", ",".join(options), str(device), str(target))


def bind(source: Path, target: Path, *, read_only: bool) -> None:
    """Make a directory or a file appear at another path. Raises OSError; then nothing is mounted."""
    _mount(os.fsencode(source), target, _BIND)
    if read_only:
        try:
            # A mount's own flags are set in a second step.
            _mount(b"", target, _BIND | _REMOUNT | _READ_ONLY)
        except OSError:
            _libc.umount2(os.fsencode(target), _NOFOLLOW)
            raise


def unmount(path: Path) -> None:
    """Unmount everything that is mounted at a path. Raises OSError, EBUSY while it is in use."""
    for _ in mounted_at(path):
        if _libc.umount2(os.fsencode(real(path)), _NOFOLLOW) != 0 and (number := ctypes.get_errno()) not in _ABSENT:
            raise OSError(number, os.strerror(number), str(path))


def _mount(source: bytes, target: Path, flags: int) -> None:
    if _libc.mount(source, os.fsencode(target), None, ctypes.c_ulong(flags), None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))


def real(path: Path) -> str:
    """Return a path as the table has it: its directories are resolved, the last component is not."""
    return os.path.join(os.path.realpath(path.parent), path.name)


def _plain(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
