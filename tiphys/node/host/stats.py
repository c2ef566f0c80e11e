"""Use by pods, in the two forms that monitoring reads: `/stats/summary` (JSON) and `/metrics/resource` (text). Pure.

Metric names and fields are upstream's ("Node metrics data", KEP-727).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from tiphys.node.volumes.volume_stats import Measured


class Usage(msgspec.Struct, frozen=True):
    """Use of one container or of the node: CPU nanoseconds since its start, bytes of memory that cannot be given back easily."""

    cpu: int = 0
    cpu_rate: int = 0
    memory: int = 0
    memory_usage: int = 0
    rss: int = 0
    at: float = 0.0
    started: float = 0.0


class ContainerUse(msgspec.Struct, frozen=True):
    """A container's names and use."""

    namespace: str
    pod: str
    uid: str
    name: str
    usage: Usage


def resource_metrics(node: Usage, uses: Sequence[ContainerUse]) -> str:
    """`/metrics/resource` in Prometheus' text format."""
    lines: list[str] = []

    def family(name: str, kind: str, help_: str, samples: Iterable[tuple[str, float]]) -> None:
        lines.append(f"# HELP {name} [STABLE] {help_}")
        lines.append(f"# TYPE {name} {kind}")
        lines.extend(f"{name}{labels} {value:.10g}" for labels, value in samples)

    pods = _by_pod(uses)
    family("container_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed by the container in core-seconds",
           ((_labels(one), one.usage.cpu / 1e9) for one in uses))  # fmt: skip
    family("container_memory_working_set_bytes", "gauge", "Current working set of the container in bytes",
           ((_labels(one), one.usage.memory) for one in uses))  # fmt: skip
    family("container_start_time_seconds", "gauge", "Start time of the container since unix epoch in seconds",
           ((_labels(one), one.usage.started) for one in uses))  # fmt: skip
    family("node_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed by the node in core-seconds", [("", node.cpu / 1e9)])
    family("node_memory_working_set_bytes", "gauge", "Current working set of the node in bytes", [("", node.memory)])
    family("pod_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed by the pod in core-seconds",
           ((_pod_labels(key), sum(one.usage.cpu for one in group) / 1e9) for key, group in pods.items()))  # fmt: skip
    family("pod_memory_working_set_bytes", "gauge", "Current working set of the pod in bytes",
           ((_pod_labels(key), sum(one.usage.memory for one in group)) for key, group in pods.items()))  # fmt: skip
    family("resource_scrape_error", "gauge", "1 if there was an error while getting container metrics, 0 otherwise", [("", 0)])
    return "\n".join(lines) + "\n"


PodKey = tuple[str, str, str]


def _by_pod(uses: Iterable[ContainerUse]) -> dict[PodKey, list[ContainerUse]]:
    pods: dict[PodKey, list[ContainerUse]] = {}
    for one in uses:
        pods.setdefault((one.namespace, one.pod, one.uid), []).append(one)
    return pods


def _labels(one: ContainerUse) -> str:
    return f'{{container="{one.name}",namespace="{one.namespace}",pod="{one.pod}"}}'


def _pod_labels(key: PodKey) -> str:
    return f'{{namespace="{key[0]}",pod="{key[1]}"}}'


def summary(name: str, node: Usage, uses: Sequence[ContainerUse], volumes: Sequence[Measured] = ()) -> dict[str, Any]:
    """`/stats/summary` as a document."""
    by_uid: dict[str, list[dict[str, Any]]] = {}
    for one in volumes:
        by_uid.setdefault(one.record.uid, []).append(_volume(one))
    pods = []
    for (namespace, pod, uid), group in _by_pod(uses).items():
        total = Usage(
            cpu=sum(one.usage.cpu for one in group),
            cpu_rate=sum(one.usage.cpu_rate for one in group),
            memory=sum(one.usage.memory for one in group),
            memory_usage=sum(one.usage.memory_usage for one in group),
            rss=sum(one.usage.rss for one in group),
            at=max(one.usage.at for one in group),
            started=min(one.usage.started for one in group),
        )
        pods.append(
            {
                "podRef": {"name": pod, "namespace": namespace, "uid": uid},
                "startTime": _time(total.started),
                "containers": [{"name": one.name, "startTime": _time(one.usage.started), **_usage(one.usage)} for one in group],
                **_usage(total),
                **({"volume": by_uid[uid]} if uid in by_uid else {}),
            }
        )
    return {"node": {"nodeName": name, "startTime": _time(node.started), **_usage(node)}, "pods": pods}


def _volume(measured: Measured) -> dict[str, Any]:
    stats, record = measured.stats, measured.record
    document: dict[str, Any] = {
        "time": measured.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "availableBytes": stats.available or 0,
        "capacityBytes": stats.capacity or 0,
        "usedBytes": stats.used or 0,
        "inodesFree": stats.inodes_free or 0,
        "inodes": stats.inodes or 0,
        "inodesUsed": stats.inodes_used or 0,
        "name": record.volume,
    }
    if record.claim:
        document["pvcRef"] = {"name": record.claim, "namespace": record.namespace}
    if stats.abnormal is not None:
        document["volumeHealthStats"] = {"abnormal": stats.abnormal}
    return document


def _usage(usage: Usage) -> dict[str, Any]:
    at = _time(usage.at)
    return {
        "cpu": {"time": at, "usageNanoCores": usage.cpu_rate, "usageCoreNanoSeconds": usage.cpu},
        "memory": {"time": at, "workingSetBytes": usage.memory, "usageBytes": usage.memory_usage or usage.memory, "rssBytes": usage.rss},
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
