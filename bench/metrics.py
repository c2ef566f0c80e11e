"""Cost of the kubelet's pages of use at many pods, from control groups that are plain files.

    python -m bench.metrics [--pods N] [--real] [--json FILE]

With `--real` (root) the groups are the kernel's, without processes, below a group of their own that is removed at the end; the kernel's
part of a read is what dominates there. Times are CPU time of one thread: the best and the median of several scrapes, in milliseconds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from tiphys.node.metrics import node
from tiphys.node.metrics.cadvisor import Machine, cadvisor_lines
from tiphys.node.metrics.groups import GroupReader
from tiphys.node.metrics.pods import PodReader, Sizes, subjects
from tiphys.node.metrics.resource import resource_lines
from tiphys.node.metrics.summary import summary
from tiphys.node.metrics.usage import NodeStats
from tiphys.node.pod.observed import Observed, SeenContainer, SeenSandbox
from tiphys.node.runtime import cgroups
from tiphys.obs import metrics

ROUNDS = 15
PARENT = "/tiphys-bench-metrics"
SIZE = Machine(2, 1 << 33)
STAT = "".join(f"{name} {number}\n" for number, name in enumerate((
    "anon", "file", "kernel", "kernel_stack", "pagetables", "sec_pagetables", "percpu", "sock", "vmalloc", "shmem", "zswap", "zswapped",
    "file_mapped", "file_dirty", "file_writeback", "swapcached", "anon_thp", "file_thp", "shmem_thp", "inactive_anon", "active_anon",
    "inactive_file", "active_file", "unevictable", "slab_reclaimable", "slab_unreclaimable", "slab", "pgscan", "pgsteal", "pgfault",
    "pgmajfault", "pgrefill", "pgactivate", "pgdeactivate", "pglazyfree", "pglazyfreed", "thp_fault_alloc", "thp_collapse_alloc",
)))  # fmt: skip
STALLED = "".join(f"{of} avg10=0.00 avg60=0.00 avg300=0.00 total=3000\n" for of in ("some", "full"))
FILES = {
    "cpu.stat": "usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\nnr_periods 20\nnr_throttled 5\nthrottled_usec 250000\n",
    "cpu.max": "50000 100000\n", "cpu.weight": "20\n", "memory.current": "8192\n", "memory.max": "max\n", "memory.peak": "9000\n",
    "memory.low": "0\n", "memory.swap.current": "0\n", "memory.swap.max": "max\n", "memory.stat": STAT, "pids.current": "4\n",
    "memory.events": "low 0\nhigh 0\nmax 9\noom 2\noom_kill 2\n", "pids.max": "max\n", "cgroup.procs": "", "cgroup.controllers": "",
    "io.stat": "8:0 rbytes=4096 wbytes=512 rios=2 wios=1 dbytes=0 dios=0\n",
    "cpu.pressure": STALLED, "memory.pressure": STALLED, "io.pressure": STALLED,
}  # fmt: skip


def pods(count: int) -> list[Observed]:
    """Pods with a sandbox and one container each."""
    return [
        Observed(
            f"uid-{number}", "bench", f"pod-{number}", (SeenSandbox(f"box-{number}", 0, True, 5.0),),
            (SeenContainer(f"container-{number}", "app", 0, "running", f"box-{number}", started=6.0, image="app:1"),),
        )
        for number in range(count)
    ]  # fmt: skip


def paths(listed: list[Observed]) -> list[str]:
    """The groups of pods, all burstable."""
    return [
        f"{PARENT}/burstable/pod{pod.uid}{below}" for pod in listed for below in ("", f"/{pod.sandboxes[0].id}", f"/{pod.containers[0].id}")
    ]


def made_up(root: Path, listed: list[Observed]) -> None:
    """Write a tree of files as version 2 has them."""
    for path in ("/", PARENT, f"{PARENT}/burstable", *paths(listed)):
        home = root / path.strip("/")
        home.mkdir(parents=True, exist_ok=True)
        for name, text in FILES.items():
            (home / name).write_text(text, encoding="ascii")


def timed(scrape: Callable[[], object]) -> dict[str, float]:
    """Milliseconds of several scrapes."""
    took = []
    for _ in range(ROUNDS):
        began = time.thread_time()
        scrape()
        took.append((time.thread_time() - began) * 1000)
    return {"best": round(min(took), 2), "median": round(statistics.median(took), 2)}


def measure(root: Path, listed: list[Observed]) -> dict[str, dict[str, float]]:
    """The cost of each page."""
    read, sizes = PodReader(PARENT, started=1.0, root=root), Sizes()

    def resource() -> bytes:
        reader = read.reader()
        return metrics.page(resource_lines(node.node_usage(reader, 100.0, 1.0), read.uses(reader, listed, 100.0)))

    def whole() -> bytes:
        reader = read.reader(full=True, stalls=True)
        stats = NodeStats(node.node_usage(reader, 100.0, 1.0), network=node.network(), disk=node.file_system(root))
        return msgspec.json.encode(summary("bench", stats, read.uses(reader, listed, 100.0, sizes=sizes)))

    def cadvisor() -> bytes:
        return metrics.page(cadvisor_lines(SIZE, subjects(GroupReader(root), PARENT, listed, sizes, 100.0), {}))

    return {"/metrics/resource": timed(resource), "/stats/summary": timed(whole), "/metrics/cadvisor": timed(cadvisor)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure the kubelet's pages of use.")
    parser.add_argument("--pods", type=int, default=100)
    parser.add_argument("--real", action="store_true", help="use the kernel's control groups")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    listed = pods(options.pods)
    if options.real:
        try:
            for path in paths(listed):
                cgroups.ensure(path)
            result = measure(cgroups.ROOT, listed)
        finally:
            cgroups.remove(PARENT)
    else:
        with tempfile.TemporaryDirectory() as directory:
            made_up(Path(directory), listed)
            result = measure(Path(directory), listed)
    for page, took in result.items():
        print(f"{page:20} {options.pods} pods: best {took['best']:7.2f} ms, median {took['median']:7.2f} ms")
    if options.json:
        options.json.write_text(json.dumps({"pods": options.pods, "real": options.real, "milliseconds": result}, indent=2) + "\n")


if __name__ == "__main__":
    main()
