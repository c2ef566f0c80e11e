"""The process itself: its capabilities, and metrics of time, memory, files and version ("process_*", "python_info",
"kubernetes_build_info").
"""

from __future__ import annotations

import gc
import os
import platform
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from tiphys.obs import metrics

CAP_SYS_RESOURCE: Final = 24
"""Number of the capability to exceed limits of resources ("capabilities(7)")."""

_TICKS = os.sysconf("SC_CLK_TCK")


def _boot_time() -> float:
    with open("/proc/stat", encoding="ascii") as file:
        return next(float(line.split()[1]) for line in file if line.startswith("btime "))


def _started() -> float:
    with suppress(OSError, ValueError, StopIteration), open("/proc/self/stat", encoding="utf-8", errors="replace") as file:
        return _boot_time() + int(file.read().rpartition(")")[2].split()[19]) / _TICKS
    return time.time()  # noqa: TID251 - when it began, and this package stands below the clock


STARTED = _started()
"""Start time of the process, in seconds since the epoch."""


def resident() -> int:
    """Return the resident memory in bytes, 0 where the system does not report it."""
    return _memory()[1]


def _memory() -> tuple[int, int]:
    with suppress(OSError, ValueError, IndexError), open("/proc/self/statm", encoding="ascii") as file:
        size, pages = file.read().split()[:2]
        unit = os.sysconf("SC_PAGE_SIZE")
        return int(size) * unit, int(pages) * unit
    return 0, 0


def has_capability(number: int) -> bool:
    """Return whether this process holds a capability of the Linux kernel, given by its number."""
    with suppress(OSError), open("/proc/self/status", encoding="utf-8", errors="replace") as file:
        effective = next((int(line.split()[1], 16) for line in file if line.startswith("CapEff:")), 0)
        return bool(effective >> number & 1)
    return False


def process_lines() -> Iterator[str]:
    """Yield the lines of the process's own metrics."""
    virtual, held = _memory()
    files = 0
    with suppress(OSError):
        files = len(os.listdir("/proc/self/fd")) - 1
    for name, type_, doc, value in (
        ("process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.", time.process_time()),
        ("process_max_fds", "gauge", "Maximum number of open file descriptors.", resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
        ("process_open_fds", "gauge", "Number of open file descriptors.", files),
        ("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", held),
        ("process_start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds.", STARTED),
        ("process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", virtual),
    ):
        yield metrics.head(name, type_, doc)
        yield metrics.sample(name, "", value)
    version = (platform.python_implementation(), str(sys.version_info.major), str(sys.version_info.minor), platform.python_version())
    yield metrics.head("python_info", "gauge", "Python platform information.")
    yield metrics.sample("python_info", metrics.pairs(("implementation", "major", "minor", "version"), version), 1)
    yield metrics.head("python_gc_collections_total", "counter", "Number of times this generation was collected.")
    for generation, numbers in enumerate(gc.get_stats()):
        yield metrics.sample("python_gc_collections_total", f'generation="{generation}"', numbers["collections"])


def _registered() -> metrics.Samples:
    levels = [family.stability for family in metrics.REGISTRY.families.values()]
    return [((level, ""), levels.count(level)) for level in ("ALPHA", "BETA", "STABLE")]


for _name, _doc in (
    ("disabled_metrics_total", "Number of disabled metrics."),
    ("hidden_metrics_total", "Number of hidden metrics."),
):
    metrics.collected(_name, "counter", _doc, read=lambda: [((), 0)], stability="BETA")  # None can be hidden or disabled.
metrics.collected(
    "registered_metrics_total", "counter", "Number of registered metrics by stability level and deprecation version.",
    "stability_level", "deprecated_version", read=_registered, stability="BETA",
)  # fmt: skip
