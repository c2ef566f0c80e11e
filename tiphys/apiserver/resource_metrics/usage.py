"""Use of containers and nodes from readings of kubelets' `/metrics/resource`. Pure.

A reading has cumulative CPU time, so it takes two to know how much is used: the newest, and one before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec

CPU, MEMORY, STARTED = "cpu", "memory", "started"
_SAMPLE = re.compile(r"(\w+)(?:\{([^}]*)\})? (\S+)(?: (\d+))?")
_LABEL = re.compile(r'(?<!\w)(\w+)="([^"]*)"')
_FAMILIES = {
    "container_cpu_usage_seconds_total": CPU,
    "container_memory_working_set_bytes": MEMORY,
    "container_start_time_seconds": STARTED,
    "node_cpu_usage_seconds_total": CPU,
    "node_memory_working_set_bytes": MEMORY,
}


class Subject(NamedTuple):
    """Container that was measured; all fields are empty for the node itself."""

    namespace: str = ""
    pod: str = ""
    container: str = ""


NODE = Subject()


class Reading(msgspec.Struct, frozen=True):
    """Values of all subjects of a node at one time, in seconds since 1970."""

    at: float
    values: Mapping[Subject, Mapping[str, float]]


class Usage(NamedTuple):
    """Use by a subject: cores, averaged over a window in seconds, and bytes at its end, in seconds since 1970."""

    cores: float
    memory: int
    at: float
    window: float


def read(page: str, at: float) -> Reading:
    """Return the reading of a page that came at this time. Lines that are not understood count for nothing."""
    values: dict[Subject, dict[str, float]] = {}
    for line in page.splitlines():
        matched = _SAMPLE.fullmatch(line)
        name = _FAMILIES.get(matched[1]) if matched is not None else None
        if matched is None or name is None:
            continue
        labels = dict(_LABEL.findall(matched[2] or ""))
        subject = Subject(labels.get("namespace", ""), labels.get("pod", ""), labels.get("container", ""))
        try:
            values.setdefault(subject, {})[name] = float(matched[3])
        except ValueError:
            continue
    return Reading(at, values)


def usages(before: Reading, after: Reading) -> Iterator[tuple[Subject, Usage]]:
    """Yield the use of every subject between two readings.

    What began after the first one is measured from its start; what has no CPU time or memory yet is left out.
    """
    for subject, values in after.values.items():
        if CPU not in values or not values.get(MEMORY):
            continue
        earlier = before.values.get(subject, {})
        started = values.get(STARTED, 0.0)
        if CPU in earlier and earlier[CPU] <= values[CPU] and earlier.get(STARTED, 0.0) == started:
            window, used = after.at - before.at, values[CPU] - earlier[CPU]
        elif started > before.at:
            window, used = after.at - started, values[CPU]
        else:
            continue
        if window > 0:
            yield subject, Usage(used / window, int(values[MEMORY]), after.at, window)
