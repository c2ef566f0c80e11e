"""Counts and durations of requests to the store, in upstream's `etcd_request*` families ("Kubernetes Metrics Reference").

A write looks its children up once, by the prefix of the kind's keys, and adds to them without a call in between: writes are the hot path.
"""

from __future__ import annotations

from tiphys.aio.clock import monotonic
from tiphys.obs import metrics

BUCKETS = (0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60)
FIRST_BUCKET = BUCKETS[0]
_LABELS = ("operation", "group", "resource")
REQUESTS = metrics.counter("etcd_requests_total", "Requests to the store.", *_LABELS)
ERRORS = metrics.counter("etcd_request_errors_total", "Requests that the store refused or failed.", *_LABELS)
SECONDS = metrics.histogram("etcd_request_duration_seconds", "Time that the store takes, in seconds.", *_LABELS, buckets=BUCKETS)


class StoreRequest:
    """The requests of one operation on one kind."""

    __slots__ = ("_count", "_labels", "_seconds")

    def __init__(self, operation: str, group: str, resource: str) -> None:
        self._labels = (operation, group, resource)
        self._count, self._seconds = REQUESTS.labels(*self._labels), SECONDS.labels(*self._labels)

    def done(self, started: float) -> None:
        """Count a request that began at `started`, in seconds of the monotonic clock."""
        self._count.value += 1.0
        took, seconds = monotonic() - started, self._seconds
        if took < FIRST_BUCKET:
            seconds.counts[0] += 1
            seconds.sum += took
        else:
            seconds.observe(took)

    def failed(self, started: float) -> None:
        """Count a request that the store refused or failed."""
        self.done(started)
        ERRORS.labels(*self._labels).inc()


class StoreRequests(dict[str, StoreRequest]):
    """The requests of one operation, by the prefix of the kind's keys: `/registry/apps/deployments/`."""

    def __init__(self, operation: str) -> None:
        super().__init__()
        self._operation = operation

    def __missing__(self, prefix: str) -> StoreRequest:
        _, _, group, resource, _ = prefix.split("/")
        request = self[prefix] = StoreRequest(self._operation, "" if group == "core" else group, resource)
        return request
