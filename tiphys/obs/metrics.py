"""Metrics: declared at import, costing nothing until the first is touched, since prometheus-client is imported only then.

RECONCILES = counter("controller_reconcile_total", "Reconciles by outcome.", "controller", "outcome")
RECONCILES.labels("deployment", "done").inc()
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

MetricT = TypeVar("MetricT", "Counter", "Gauge", "Histogram")

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Histogram buckets for durations, in seconds."""


class Lazy(Generic[MetricT]):
    """A metric that is made when it is first used. Children for label values are remembered, as looking them up is the dear part."""

    def __init__(self, make: Callable[[], MetricT]) -> None:
        self._make: Callable[[], MetricT] = make
        self._metric: MetricT | None = None
        self._children: dict[tuple[str, ...], MetricT] = {}

    @property
    def metric(self) -> MetricT:
        """The prometheus-client metric."""
        if self._metric is None:
            self._metric = self._make()
        return self._metric

    def labels(self, *values: str) -> MetricT:
        """The child for these label values, in the order of the declaration; the metric itself without any."""
        child = self._children.get(values)
        if child is None:
            child = self._children[values] = self.metric.labels(*values) if values else self.metric
        return child

    def forget(self, *values: str) -> None:
        """Drop a child, for label values that will not come back."""
        if self._children.pop(values, None) is not None and values:
            self.metric.remove(*values)


def counter(name: str, doc: str, *labels: str) -> Lazy[Counter]:
    """A counter; Prometheus wants its name to end in `_total`."""

    def make() -> Counter:
        from prometheus_client import Counter

        return Counter(name, doc, labels)

    return Lazy(make)


def gauge(name: str, doc: str, *labels: str) -> Lazy[Gauge]:
    """A gauge."""

    def make() -> Gauge:
        from prometheus_client import Gauge

        return Gauge(name, doc, labels)

    return Lazy(make)


def histogram(name: str, doc: str, *labels: str, buckets: Sequence[float] = SECONDS) -> Lazy[Histogram]:
    """A histogram, by default of seconds."""

    def make() -> Histogram:
        from prometheus_client import Histogram

        return Histogram(name, doc, labels, buckets=tuple(buckets))

    return Lazy(make)


CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def render(registry: CollectorRegistry | None = None) -> bytes:
    """Everything measured, in the Prometheus text format, to be served as `CONTENT_TYPE`."""
    from prometheus_client import REGISTRY, generate_latest

    return generate_latest(registry or REGISTRY)
