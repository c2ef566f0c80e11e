"""Families about the requests that the kubelet's server answers ("Kubernetes Metrics Reference")."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from tiphys.aio.clock import monotonic
from tiphys.obs import metrics

_LABELS = ("method", "path", "server_type", "long_running")
REQUESTS = metrics.counter("kubelet_http_requests_total", "Requests to the kubelet's server.", *_LABELS)
SECONDS = metrics.histogram("kubelet_http_requests_duration_seconds", "Time until the answer to a request began, in seconds.", *_LABELS)
INFLIGHT = metrics.gauge("kubelet_http_inflight_requests", "Requests whose answer has not begun yet.", *_LABELS)

METHODS = frozenset({"GET", "POST", "PUT", "HEAD", "DELETE", "PATCH", "OPTIONS"})
LONG = frozenset({"exec", "attach", "portForward"})
PAGES = frozenset({"cadvisor", "probes", "resource", "slis"})
OTHER = "other"


def labels(method: str, path: str, known: Collection[str]) -> tuple[str, str, str, str]:
    """Return the labels of a request; what is not among the `known` first segments of paths counts as one."""
    head, _, rest = path.strip("/").partition("/")
    page = rest.partition("/")[0]
    place = f"metrics/{page}" if head == "metrics" and page in PAGES else head if head in known else OTHER
    return method if method in METHODS else OTHER, place, "readwrite", "true" if head in LONG else "false"


@contextmanager
def counted(method: str, path: str, known: Collection[str]) -> Iterator[None]:
    """Count a request that is being answered."""
    values = labels(method, path, known)
    REQUESTS.labels(*values).inc()
    inflight, began = INFLIGHT.labels(*values), monotonic()
    inflight.inc()
    try:
        yield
    finally:
        inflight.dec()
        SECONDS.labels(*values).observe(monotonic() - began)
