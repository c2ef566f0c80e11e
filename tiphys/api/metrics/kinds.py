"""Kinds of `metrics.k8s.io`: measured on request, never stored ("Resource metrics pipeline")."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tiphys.api.machinery.base import Quantity
from tiphys.api.machinery.columns import NAME, cell
from tiphys.api.machinery.quantity import milli, whole
from tiphys.api.machinery.scheme import Column, Kind
from tiphys.api.metrics.v1beta1 import NodeMetrics, PodMetrics

GROUP, VERSION = "metrics.k8s.io", "v1beta1"
_READ = ("get", "list")
_NONE = Quantity("0")


def _usages(obj: NodeMetrics | PodMetrics) -> Iterable[Mapping[str, Quantity]]:
    return [obj.usage] if isinstance(obj, NodeMetrics) else [container.usage for container in obj.containers]


def _cpu(obj: NodeMetrics | PodMetrics) -> str:
    return f"{sum(milli(usage.get('cpu', _NONE)) for usage in _usages(obj))}m"


def _memory(obj: NodeMetrics | PodMetrics) -> str:
    return f"{sum(whole(usage.get('memory', _NONE)) for usage in _usages(obj)) >> 20}Mi"


COLUMNS = (
    NAME,
    Column("Cpu", cell(_cpu), description="Thousandths of a core in use."),
    Column("Memory", cell(_memory), description="Working set."),
    Column("Window", cell(lambda obj: obj.window), description="Length of the window in which the use was measured."),
)

NODE_METRICS: Kind[NodeMetrics] = Kind(
    type=NodeMetrics, plural="nodes", group=GROUP, version=VERSION, namespaced=False, verbs=_READ, columns=COLUMNS
)
POD_METRICS: Kind[PodMetrics] = Kind(type=PodMetrics, plural="pods", group=GROUP, version=VERSION, verbs=_READ, columns=COLUMNS)

KINDS: tuple[Kind[Any], ...] = (NODE_METRICS, POD_METRICS)
