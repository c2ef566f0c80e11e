"""Use by the node itself: the machine, its file systems, and the processes that run pods. Touches files: for a thread."""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress
from pathlib import Path

from tiphys.node.host import machine
from tiphys.node.metrics.groups import TICK, GroupReader, Interface, interfaces_of_machine
from tiphys.node.metrics.usage import FileSystem, Usage, usage

_PAGE = os.sysconf("SC_PAGE_SIZE")
_VIRTUAL = ("veth", "cali", "cni", "docker", "br-", "flannel", "lxc")
"""Beginnings of the names of interfaces that belong to pods, or that carry their traffic once more."""


def node_usage(reader: GroupReader, at: float, started: float, *, rate: int = 0) -> Usage:
    """Return the machine's use. Memory is counted as for the node's conditions, the rest comes from the topmost group."""
    use = reader.read("/")
    used = machine.memory() - machine.memory_available()
    values = use.values | {"cpu": cpu_seconds(), "working_set": used}
    return usage(values | {"memory": max(values.get("memory", 0), used)}, at, rate=rate, started=started, stalls=use.stalls)


def cpu_seconds() -> float:
    """CPU time that was used since the machine's start, in seconds."""
    with suppress(OSError, ValueError), open("/proc/stat", encoding="ascii") as file:
        busy = [int(word) for word in file.readline().split()[1:9]]
        return (sum(busy) - busy[3] - busy[4]) * TICK
    return 0.0


def process_usage(pid: int, at: float, started: float) -> Usage | None:
    """Return the use by one process, None for one that is gone. The working set of a process is what it holds in memory."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    minor, major, user, system, rss = (int(words[place]) for place in (7, 9, 11, 12, 21))
    cpu, memory = int((user + system) * TICK * 1e9), rss * _PAGE
    return Usage(cpu, 0, memory, memory, rss=memory, faults=minor + major, major_faults=major, at=at, started=started)


def peer(path: str) -> int:
    """Return the process that listens at a socket's path, 0 for none."""
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        probe.connect(path)
        pid: int = struct.unpack("3i", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))[0]
        return pid
    return 0


def file_system(path: str | Path, *, used: int | None = None, inodes_used: int | None = None) -> FileSystem | None:
    """Return the size of the file system at a path with its use, or with the given use by one thing; None where there is none."""
    try:
        info = os.statvfs(path)
    except OSError:
        return None
    return FileSystem(
        capacity=info.f_blocks * info.f_frsize,
        available=info.f_bavail * info.f_frsize,
        used=(info.f_blocks - info.f_bfree) * info.f_frsize if used is None else used,
        inodes=info.f_files,
        inodes_free=info.f_ffree,
        inodes_used=info.f_files - info.f_ffree if inodes_used is None and used is None else inodes_used,
    )


def network() -> list[Interface]:
    """The machine's interfaces without loopback and those of pods."""
    return [one for one in interfaces_of_machine() if not one.name.startswith(_VIRTUAL)]


def pid_limit() -> int | None:
    """Processes and threads that the machine can have."""
    limits = []
    for name in ("pid_max", "threads-max"):
        with suppress(OSError, ValueError):
            limits.append(int(Path(f"/proc/sys/kernel/{name}").read_text(encoding="ascii")))
    return min(limits, default=None)


def threads() -> int | None:
    """Processes and threads that the machine has."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/loadavg").read_text(encoding="ascii").split()[3].partition("/")[2])
    return None
