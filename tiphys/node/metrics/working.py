"""Families about the pods that the kubelet works on, read from its workers when they are scraped."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from tiphys.obs import metrics

_LIFECYCLES = {"syncing": "sync", "terminating": "terminating"}
"""Upstream's name of each state of a worker in which it has work to do; in all others the pod has terminated."""


class Work(NamedTuple):
    """A pod's worker: its state, and what is known of the pod."""

    state: str
    desired: bool
    """True for a pod that the API server, or a manifest, wants to run."""
    known: bool
    """False for a pod that only the runtime knows."""
    static: bool = False
    ephemeral: int = 0
    """Number of its ephemeral containers."""


class LogSize(NamedTuple):
    """Bytes of a container's logs on disk."""

    uid: str
    namespace: str
    pod: str
    container: str
    size: int


def working_lines(work: Sequence[Work], mirrors: int) -> Iterator[str]:
    """Yield the numbers of pods by what becomes of them, and of containers that were added to them."""
    for name, doc, counted in (
        ("kubelet_desired_pods", "Pods that the kubelet is to run.", [one for one in work if one.desired]),
        ("kubelet_active_pods", "Pods that count when others are admitted.", [one for one in work if one.state in _LIFECYCLES]),
    ):
        yield metrics.head(name, "gauge", doc, "ALPHA")
        for static in (False, True):
            yield metrics.sample(name, metrics.pairs(("static",), (_static(static),)), sum(1 for one in counted if one.static is static))
    yield metrics.head("kubelet_working_pods", "gauge", "Pods by state, by whether they are desired, and by their source.", "ALPHA")
    names = ("lifecycle", "config", "static")
    for labels, count in Counter((_LIFECYCLES.get(one.state, "terminated"), _config(one), _static(one.static)) for one in work).items():
        yield metrics.sample("kubelet_working_pods", metrics.pairs(names, labels), count)
    yield from _gauge("kubelet_mirror_pods", "Mirror pods that the kubelet keeps.", mirrors)
    yield from _gauge("kubelet_managed_ephemeral_containers", "Ephemeral containers of pods.", sum(one.ephemeral for one in work))


def machine_lines(*, v2: bool) -> Iterator[str]:
    """Yield what does not change while the kubelet runs: the version of control groups, and the source of its figures."""
    yield from _gauge("kubelet_cgroup_version", "Version of control groups; hybrid counts as 1.", 2 if v2 else 1)
    yield metrics.head("kubelet_metrics_provider", "gauge", "Source of figures about containers; the value is 1.", "ALPHA")
    yield metrics.sample("kubelet_metrics_provider", 'provider="cadvisor"', 1)


def log_lines(sizes: Sequence[LogSize]) -> Iterator[str]:
    """Yield the sizes of containers' logs."""
    if sizes:
        name = "kubelet_container_log_filesystem_used_bytes"
        yield metrics.head(name, "gauge", "Bytes that a container's logs use, rotated ones included.", "ALPHA")
        for one in sizes:
            yield metrics.sample(name, metrics.pairs(("uid", "namespace", "pod", "container"), one[:4]), one.size)


def log_sizes(paths: Sequence[tuple[tuple[str, str, str, str], str]]) -> list[LogSize]:
    """Measure the directories of logs, given by the labels of their container. Touches files: for a thread."""
    sizes = []
    for labels, path in paths:
        with suppress(OSError), os.scandir(Path(path).parent) as entries:
            sizes.append(LogSize(*labels, sum(entry.stat(follow_symlinks=False).st_blocks * 512 for entry in entries)))
    return sizes


def _config(one: Work) -> str:
    return "desired" if one.desired else "orphan" if one.known else "runtime_only"


def _static(static: bool) -> str:
    return "true" if static else ""


def _gauge(name: str, doc: str, value: float) -> Iterator[str]:
    yield metrics.head(name, "gauge", doc, "ALPHA")
    yield metrics.sample(name, "", value)
