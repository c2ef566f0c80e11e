"""The mounts of this process's namespace ("proc_pid_mountinfo(5)"). No path is looked at, which may wait for a server."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

_FILE = Path("/proc/self/mountinfo")


class Mount(NamedTuple):
    """An entry of the table; paths decode as those of `os` do."""

    point: str
    device: int
    """Number of the device whose file system is mounted, as stat has it."""
    root: str
    """Path of what is mounted within its file system."""
    options: frozenset[str]
    """Options of the mount itself."""
    shared: bool
    """True if mounts below it appear in other mount namespaces as well."""
    type: str = ""
    """Type of the file system."""
    source: str = ""
    """The file system's own name of what it is on, such as a device's path."""


def mount_table() -> list[Mount]:
    """Return the mounts, the newest last."""
    with _FILE.open(encoding="utf-8", errors="surrogateescape") as lines:
        return [_entry(line) for line in lines]


def _entry(line: str) -> Mount:
    fields = line.split(" ")
    major, _, minor = fields[2].partition(":")
    end = fields.index("-", 6)
    optional = fields[6:end]
    return Mount(
        point=_plain(fields[4]),
        device=os.makedev(int(major), int(minor)),
        root=_plain(fields[3]),
        options=frozenset(fields[5].split(",")),
        shared=any(field.startswith("shared:") for field in optional),
        type=fields[end + 1],
        source=_plain(fields[end + 2]),
    )


def _plain(text: str) -> str:
    """Undo the kernel's escapes of white space, backslash and number sign."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
