"""The document `/stats/summary`, in upstream's form ("Node metrics data", KEP-4205 for stalls). Pure.

Figures that are unknown are left out, as upstream does, rather than shown as 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from tiphys.node.metrics.groups import Interface, Stall
from tiphys.node.metrics.usage import ContainerUse, FileSystem, NodeStats, PodUse, Usage
from tiphys.node.volumes.volume_stats import Measured

Document = dict[str, Any]
DEFAULT_INTERFACE = "eth0"
"""The interface of a pod whose counters are shown as the pod's own."""


def summary(name: str, node: NodeStats, pods: Sequence[PodUse], volumes: Sequence[Measured] = (), *, brief: bool = False) -> Document:
    """Return the document; `brief` leaves CPU and memory alone in it, which is what `only_cpu_and_memory=true` asks for."""
    mounted: dict[str, list[Document]] = {}
    for one in () if brief else volumes:
        mounted.setdefault(one.record.uid, []).append(_volume(one))
    return {"node": _node(name, node, brief), "pods": [_pod(pod, mounted.get(pod.uid, []), brief) for pod in pods]}


def _node(name: str, node: NodeStats, brief: bool) -> Document:
    at = _time(node.usage.at)
    document = {
        "nodeName": name,
        "systemContainers": [{"name": of, **_used(used, brief)} for of, used in node.system.items()],
        **_used(node.usage, brief),
    }
    document["memory"] |= {"availableBytes": max(node.capacity - node.usage.memory, 0)}
    if brief:
        return document
    if node.network:
        document["network"] = _network(at, node.network)
    if node.disk is not None:
        document["fs"] = _file_system(at, node.disk)
    runtime = {"imageFs": node.images, "containerFs": node.layers}
    document["runtime"] = {key: _file_system(at, one) for key, one in runtime.items() if one is not None}
    document["rlimit"] = _known(time=at, maxpid=node.pid_limit, curproc=node.threads)
    return document


def _pod(pod: PodUse, volumes: list[Document], brief: bool) -> Document:
    at = _time(pod.usage.at)
    document = {
        "podRef": {"name": pod.pod, "namespace": pod.namespace, "uid": pod.uid},
        **_used(pod.usage, brief),
        "containers": [_container(one, brief) for one in pod.containers],
    }
    if brief:
        return document
    if pod.network:
        document["network"] = _network(at, pod.network)
    if volumes:
        document["volume"] = volumes
    if pod.processes is not None:
        document["process_stats"] = {"process_count": pod.processes}
    parts = [part for one in pod.containers for part in (one.layer, one.logs) if part is not None]
    if parts:
        used, inodes = (sum(getattr(part, field) or 0 for part in parts) for field in ("used", "inodes_used"))
        size = parts[0]
        whole = FileSystem(size.capacity, size.available, used, size.inodes, size.inodes_free, inodes)
        document["ephemeral-storage"] = _file_system(at, whole)
    return document


def _container(one: ContainerUse, brief: bool) -> Document:
    document = {"name": one.name, **_used(one.usage, brief)}
    if not brief:
        at = _time(one.usage.at)
        document |= {key: _file_system(at, part) for key, part in (("rootfs", one.layer), ("logs", one.logs)) if part is not None}
    return document


def _used(used: Usage, brief: bool) -> Document:
    at = _time(used.at)
    available = used.memory_limit - used.memory if used.memory_limit is not None else None
    document: Document = {
        "startTime": _time(used.started),
        "cpu": {"time": at, "usageNanoCores": used.cpu_rate, "usageCoreNanoSeconds": used.cpu},
        "memory": _known(
            time=at,
            availableBytes=None if available is None else max(available, 0),
            usageBytes=used.memory_usage or used.memory,
            workingSetBytes=used.memory,
            rssBytes=used.rss,
            pageFaults=used.faults,
            majorPageFaults=used.major_faults,
        ),
    }
    if used.swap is not None:
        left = None if used.swap_limit is None else max(used.swap_limit - used.swap, 0)
        document["swap"] = _known(time=at, swapAvailableBytes=left, swapUsageBytes=used.swap)
    if brief:
        return document
    for kind, stalls in used.stalls.items():
        document.setdefault(kind, {"time": at})["psi"] = {of: _stall(stalls.get(of)) for of in ("full", "some")}
    return document


def _stall(stall: Stall | None) -> Document:
    if stall is None:
        return {"total": 0, "avg10": 0.0, "avg60": 0.0, "avg300": 0.0}
    return {"total": round(stall.total * 1e9), "avg10": stall.avg10, "avg60": stall.avg60, "avg300": stall.avg300}


def _network(at: str, interfaces: Sequence[Interface]) -> Document:
    listed = [_interface(one) for one in interfaces]
    own = next((one for one in listed if one["name"] == DEFAULT_INTERFACE), listed[0] if len(listed) == 1 else {"name": ""})
    return {"time": at, **own, "interfaces": listed}


def _interface(one: Interface) -> Document:
    received, transmitted = one.receive, one.transmit
    return {"name": one.name, "rxBytes": received[0], "rxErrors": received[2], "txBytes": transmitted[0], "txErrors": transmitted[2]}


def _file_system(at: str, size: FileSystem) -> Document:
    return _known(
        time=at, availableBytes=size.available, capacityBytes=size.capacity, usedBytes=size.used,
        inodesFree=size.inodes_free, inodes=size.inodes, inodesUsed=size.inodes_used,
    )  # fmt: skip


def _volume(measured: Measured) -> Document:
    stats, record = measured.stats, measured.record
    document: Document = {
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


def _known(**figures: object) -> Document:
    return {name: figure for name, figure in figures.items() if figure is not None}


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
