"""Use by containers, pods and the node, as plain values that the pages are written from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from tiphys.node.metrics.groups import Interface, Stalls, Values


class Usage(msgspec.Struct, frozen=True):
    """Use by a control group at one time: nanoseconds of CPU time, bytes of memory; None where the kernel does not report a figure."""

    cpu: int = 0
    cpu_rate: int = 0
    """Nanoseconds of CPU time per second."""
    memory: int = 0
    """Working set: memory that cannot be given back easily."""
    memory_usage: int = 0
    memory_limit: int | None = None
    rss: int = 0
    faults: int | None = None
    major_faults: int | None = None
    swap: int | None = None
    swap_limit: int | None = None
    stalls: Stalls = {}
    at: float = 0.0
    """Seconds since 1970, as `started`."""
    started: float = 0.0


class FileSystem(msgspec.Struct, frozen=True):
    """Size of a file system in bytes and inodes, and use of it by one thing or by all."""

    capacity: int | None = None
    available: int | None = None
    used: int | None = None
    inodes: int | None = None
    inodes_free: int | None = None
    inodes_used: int | None = None


class ContainerUse(msgspec.Struct, frozen=True):
    """A container's names and use."""

    namespace: str
    pod: str
    uid: str
    name: str
    usage: Usage
    layer: FileSystem | None = None
    """Its writable layer; None until the runtime has measured it."""
    logs: FileSystem | None = None


class PodUse(msgspec.Struct, frozen=True):
    """A pod's use, with its sandbox and overhead, and that of its containers."""

    namespace: str
    pod: str
    uid: str
    usage: Usage
    containers: Sequence[ContainerUse] = ()
    network: Sequence[Interface] = ()
    processes: int | None = None


class NodeStats(msgspec.Struct, frozen=True):
    """Use by the machine as a whole."""

    usage: Usage
    capacity: int = 0
    """Bytes of memory."""
    system: Mapping[str, Usage] = {}
    """Use by the `kubelet`, the `runtime` and all `pods`."""
    network: Sequence[Interface] = ()
    disk: FileSystem | None = None
    """The file system of the kubelet's directory."""
    images: FileSystem | None = None
    """The file system of images, and their use of it."""
    layers: FileSystem | None = None
    """The file system of writable layers."""
    pid_limit: int | None = None
    threads: int | None = None


def usage(values: Values, at: float, *, rate: int = 0, started: float = 0.0, stalls: Stalls | None = None) -> Usage:
    """Return the use by a group, from the values that `groups` reads."""

    def whole(name: str) -> int | None:
        return int(values[name]) if name in values else None

    return Usage(
        cpu=round(values.get("cpu", 0) * 1e9),
        cpu_rate=rate,
        memory=whole("working_set") or 0,
        memory_usage=whole("memory") or 0,
        memory_limit=whole("memory_limit") or None,
        rss=whole("rss") or 0,
        faults=whole("faults_below"),
        major_faults=whole("major_faults_below"),
        swap=whole("swap"),
        swap_limit=whole("swap_limit") or None,
        stalls=stalls or {},
        at=at,
        started=started,
    )
