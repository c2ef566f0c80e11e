"""The topology of this machine, read from sysfs."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from tiphys.node.host import huge_pages
from tiphys.node.host.cpuset import parse_cpus
from tiphys.node.resources.topology import Place, Topology

ROOT = Path("/sys/devices/system")
_SHARED_LEVEL = 3
"""Caches of this level and above belong to several cores."""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _number(path: Path, default: int) -> int:
    text = _text(path)
    return int(text) if text.isascii() and text.isdigit() else default


def _cpus(path: Path) -> frozenset[int]:
    try:
        return parse_cpus(_text(path))
    except ValueError:
        return frozenset()


def read_topology(root: Path = ROOT, allowed: Collection[int] | None = None) -> Topology:
    """Return the CPUs that are online, and of the `allowed` ones if they are given.

    What sysfs does not tell is taken as the simplest machine: one socket, one NUMA node, cores without siblings.
    """
    online = _cpus(root / "cpu" / "online")
    usable = online & frozenset(allowed) if allowed is not None else online
    nodes = _nodes(root / "node")
    sockets = {cpu: _number(root / "cpu" / f"cpu{cpu}" / "topology" / "physical_package_id", 0) for cpu in usable}
    places = {}
    for cpu in sorted(usable):
        directory = root / "cpu" / f"cpu{cpu}"
        socket = sockets[cpu]
        siblings = _cpus(directory / "topology" / "thread_siblings_list") & usable
        shared = _shared(directory / "cache") & usable
        same_socket = {other for other, number in sockets.items() if number == socket}
        places[cpu] = Place(socket, nodes.get(cpu, 0), cache=min(shared or same_socket), core=min(siblings or {cpu}))
    return Topology(places)


def read_distances(root: Path = ROOT) -> dict[int, dict[int, int]]:
    """Return the distance of each NUMA node to each, as the kernel gives them; {} where it does not."""
    nodes = sorted(_cpus(root / "node" / "online"))
    rows = {node: [int(word) for word in _text(root / "node" / f"node{node}" / "distance").split() if word.isdigit()] for node in nodes}
    if any(len(row) != len(nodes) for row in rows.values()):
        return {}
    return {node: dict(zip(nodes, row, strict=True)) for node, row in rows.items()}


def read_memory(root: Path = ROOT) -> dict[int, dict[str, int]]:
    """Return the bytes of each NUMA node by resource: all of its `memory`, and the huge pages among it. {} without NUMA nodes."""
    result = {}
    for node in sorted(_cpus(root / "node" / "online")):
        directory = root / "node" / f"node{node}"
        match = re.search(r"MemTotal:\s+(\d+) kB", _text(directory / "meminfo"))
        if match is not None:
            by_size = huge_pages.pages(directory / "hugepages")
            sizes = {huge_pages.resource_name(size): size * count for size, count in sorted(by_size.items())}
            result[node] = {"memory": int(match[1]) * 1024, **sizes}
    return result


def _nodes(root: Path) -> dict[int, int]:
    """Return the NUMA node of each CPU."""
    return {cpu: node for node in _cpus(root / "online") for cpu in _cpus(root / f"node{node}" / "cpulist")}


def _shared(caches: Path) -> frozenset[int]:
    """Return the CPUs that share the outermost cache, () without one that is shared by cores."""
    by_level: dict[int, frozenset[int]] = {}
    for index in caches.glob("index*"):
        level = _number(index / "level", 0)
        if level >= _SHARED_LEVEL:
            by_level[level] = _cpus(index / "shared_cpu_list")
    return by_level[max(by_level)] if by_level else frozenset()
