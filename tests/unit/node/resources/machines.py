"""Machines of other shapes than this one, as sysfs shows them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from tiphys.node.host.cpuset import format_cpus
from tiphys.node.resources.sysfs import read_topology
from tiphys.node.resources.topology import Topology


def write_sysfs(root: Path, *, sockets: int = 2, nodes: int = 2, cores: int = 4, threads: int = 2, caches: int = 1) -> Path:
    """Write `/sys/devices/system` of a machine: `nodes` per socket, `cores` and `caches` per node, `threads` per core.

    CPUs are numbered as Linux does: first the first threads of all cores, then the second ones.
    """
    total = sockets * nodes * cores
    _write(root / "cpu" / "online", f"0-{total * threads - 1}")
    _write(root / "node" / "online", f"0-{sockets * nodes - 1}")
    for node in range(sockets * nodes):
        mine = [core + total * thread for core in range(node * cores, (node + 1) * cores) for thread in range(threads)]
        _write(root / "node" / f"node{node}" / "cpulist", format_cpus(mine))
    for core in range(total):
        node, inside = divmod(core, cores)
        cache, per_cache = inside * caches // cores, cores // caches
        first = node * cores + cache * per_cache
        shared = [one + total * thread for one in range(first, first + per_cache) for thread in range(threads)]
        siblings = [core + total * thread for thread in range(threads)]
        for cpu in siblings:
            directory = root / "cpu" / f"cpu{cpu}"
            _write(directory / "topology" / "physical_package_id", str(node // nodes))
            _write(directory / "topology" / "thread_siblings_list", format_cpus(siblings))
            _write(directory / "cache" / "index0" / "level", "1")
            _write(directory / "cache" / "index0" / "shared_cpu_list", format_cpus(siblings))
            _write(directory / "cache" / "index3" / "level", "3")
            _write(directory / "cache" / "index3" / "shared_cpu_list", format_cpus(shared))
    return root


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")


@cache
def machine(sockets: int = 2, nodes: int = 2, cores: int = 4, threads: int = 2, caches: int = 1) -> Topology:
    """Return the topology of a machine that `write_sysfs` describes."""
    with TemporaryDirectory() as root:
        return read_topology(write_sysfs(Path(root), sockets=sockets, nodes=nodes, cores=cores, threads=threads, caches=caches))
