"""Metrics of volumes and claims, under upstream's names ("Kubernetes Metrics Reference")."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from tiphys.aio.clock import Clock
from tiphys.api.core import v1 as core
from tiphys.api.core.volumes.classes import class_of_claim
from tiphys.api.helpers.volume_plugins import plugin_of
from tiphys.obs import metrics
from tiphys.runtime import Informer, Key

Operation = Literal["provision", "delete"]

_UNAVAILABLE = "N/A"
_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 25.0, 50.0, 120.0, 300.0, 600.0)
_LABELS = ("plugin_name", "operation_name")
_OF_CLAIMS = ("namespace", "storage_class", "volume_attributes_class")

ASSIGNMENTS = metrics.counter("retroactive_storageclass_total", "Assignments of the default class to claims that had none.")
ASSIGNMENT_ERRORS = metrics.counter("retroactive_storageclass_errors_total", "Failed assignments of the default class.")
ERRORS = metrics.counter("volume_operation_errors_total", "Failed operations on volumes.", *_LABELS)
ERRORS_BEFORE = metrics.counter("volume_operation_total_errors", "Failed operations on volumes; volume_operation_errors_total.", *_LABELS)
SECONDS = metrics.histogram(
    "volume_operation_total_seconds", "Duration of operations on volumes, from request to end.", *_LABELS, buckets=_BUCKETS
)


def collect(volumes: Informer[core.PersistentVolume], claims: Informer[core.PersistentVolumeClaim]) -> None:
    """Declare the families that are counted from the caches at scrape time."""

    def count_volumes() -> metrics.Samples:
        plugins = Counter((plugin_of(one) or _UNAVAILABLE, one.spec.volumeMode or "") for one in volumes.list())
        return [(labels, float(number)) for labels, number in plugins.items()]

    def count_by_class(*, bound: bool) -> metrics.Samples:
        classes = Counter((one.spec.storageClassName,) for one in volumes.list() if (one.status.phase == "Bound") is bound)
        return [(labels, float(number)) for labels, number in classes.items()]

    def count_claims(*, bound: bool) -> metrics.Samples:
        groups = Counter(
            (one.metadata.namespace, class_of_claim(one), one.spec.volumeAttributesClassName or "")
            for one in claims.list()
            if (one.status.phase == "Bound") is bound
        )
        return [(labels, float(number)) for labels, number in groups.items()]

    family = metrics.collected
    family("pv_collector_total_pv_count", "gauge", "Number of volumes.", "plugin_name", "volume_mode", read=count_volumes)
    family("pv_collector_bound_pv_count", "gauge", "Bound volumes.", "storage_class", read=lambda: count_by_class(bound=True))
    family("pv_collector_unbound_pv_count", "gauge", "Unbound volumes.", "storage_class", read=lambda: count_by_class(bound=False))
    family("pv_collector_bound_pvc_count", "gauge", "Bound claims.", *_OF_CLAIMS, read=lambda: count_claims(bound=True))
    family("pv_collector_unbound_pvc_count", "gauge", "Unbound claims.", *_OF_CLAIMS, read=lambda: count_claims(bound=False))


class Operations:
    """Operations of one kind that are under way, by the object that they are about. In memory alone: a restart forgets their begin."""

    def __init__(self, operation: Operation) -> None:
        self._operation = operation
        self._since: dict[Key, tuple[float, str]] = {}

    def begin(self, key: Key, plugin: str, clock: Clock) -> None:
        """Note that an operation was requested, unless it was before."""
        self._since.setdefault(key, (clock.monotonic(), plugin or _UNAVAILABLE))

    def fail(self, key: Key) -> None:
        """Count a failed try of an operation that goes on."""
        if (entry := self._since.get(key)) is not None:
            ERRORS.labels(entry[1], self._operation).inc()
            ERRORS_BEFORE.labels(entry[1], self._operation).inc()

    def end(self, key: Key, clock: Clock) -> None:
        """Observe how long an operation took."""
        if (entry := self._since.pop(key, None)) is not None:
            SECONDS.labels(entry[1], self._operation).observe(clock.monotonic() - entry[0])

    def abandon(self, key: Key) -> None:
        """Forget an operation that nobody needs any more."""
        self._since.pop(key, None)
