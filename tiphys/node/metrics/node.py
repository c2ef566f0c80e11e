"""Use by the node itself: the machine, its file systems, and the processes that run pods. Touches files: for a thread."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from tiphys.node.host import machine
from tiphys.node.host.mount_table import mount_table
from tiphys.node.metrics.cadvisor import Machine
from tiphys.node.metrics.groups import TICK, GroupReader, Interface, interfaces_of_machine
from tiphys.node.metrics.usage import FileSystem, Usage, usage
from tiphys.node.services import Machine as Size

_PAGE = os.sysconf("SC_PAGE_SIZE")
_VIRTUAL = ("veth", "cali", "cni", "docker", "br-", "flannel", "lxc")
"""Beginnings of the names of interfaces that belong to pods, or that carry their traffic once more."""
_LOCAL = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "vfat"})


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


def swap() -> int:
    """Bytes of swap that the machine has."""
    return machine.meminfo(_text("/proc/meminfo")).get("SwapTotal", 0)


def disks() -> dict[str, FileSystem]:
    """The machine's own file systems by device, each once: neither those of servers, which may hang, nor volumes on loop devices."""
    points: dict[int, tuple[str, str]] = {}
    for mount in mount_table():
        if (mount.type in _LOCAL and not mount.source.startswith("/dev/loop")) or (mount.point == "/" and mount.type == "overlay"):
            points.setdefault(mount.device, (mount.source, mount.point))
    sized = ((source, file_system(point)) for source, point in points.values())
    return {source: size for source, size in sized if size is not None}


def device_of(directory: str) -> str:
    """Return the device that a directory's file system is on, "" if it is unknown."""
    with suppress(OSError):
        device = os.stat(directory).st_dev
        return next((mount.source for mount in mount_table() if mount.device == device), "")
    return ""


def descriptors(pids: Iterable[int]) -> int:
    """Count the open file descriptors of processes; those that are gone have none."""
    count = 0
    for pid in pids:
        with suppress(OSError):
            place = f"/proc/{pid}/fd"
            count += os.stat(place).st_size or len(os.listdir(place))  # Kernels before 6.2 do not tell the number.
    return count


def descriptor_limit(pid: int) -> int | None:
    """Return the soft limit of a process's file descriptors, -1 for none, None for a process that is gone."""
    with suppress(OSError, ValueError, StopIteration), open(f"/proc/{pid}/limits", encoding="ascii") as lines:
        word = next(line for line in lines if line.startswith("Max open files")).split()[3]
        return -1 if word == "unlimited" else int(word)
    return None


def facts(size: Size) -> Machine:
    """Return the machine's size and identity, which do not change while it runs."""
    info = machine.system_info("", "")
    topologies = Path("/sys/devices/system/cpu").glob("cpu[0-9]*/topology")
    cores = {(_text(f"{one}/physical_package_id"), _text(f"{one}/core_id")) for one in topologies}
    return Machine(
        size.cores, size.memory, len(cores) or size.cores, len({package for package, _ in cores}) or 1, swap(),
        info.machineID, info.systemUUID, info.bootID, info.kernelVersion, info.osImage,
    )  # fmt: skip


def _text(path: str) -> str:
    with suppress(OSError):
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    return ""


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
