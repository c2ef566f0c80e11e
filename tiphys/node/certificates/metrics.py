"""Metrics of a kubelet's certificates, with upstream's names ("Kubernetes Metrics Reference")."""

from __future__ import annotations

import math
from datetime import datetime

from cryptography import x509

from tiphys.aio.clock import Clock
from tiphys.obs import metrics

CLIENT_ERRORS = metrics.counter(
    "kubelet_certificate_manager_client_expiration_renew_errors", "Attempts to renew the client certificate that failed."
)
SERVING_ERRORS = metrics.counter("kubelet_server_expiration_renew_errors", "Attempts to renew the serving certificate that failed.")
SERVING_ROTATIONS = metrics.histogram(
    "kubelet_certificate_manager_server_rotation_seconds",
    "Age of the previous serving certificate when it was replaced, in seconds.",
    buckets=(60, 3600, 14400, 86400, 604800, 2592000, 7776000, 15552000, 31104000, 124416000),
)


class Measures:
    """Figures of one certificate."""

    def __init__(self, kind: str, clock: Clock) -> None:
        """`kind` is `client` or `server`, as in the names of the families."""
        self._is_client = kind == "client"
        self._clock = clock
        self.expires: datetime | None = None
        self.errors = (CLIENT_ERRORS if self._is_client else SERVING_ERRORS).labels()
        use = "client" if self._is_client else "serving"
        metrics.collected(
            f"kubelet_certificate_manager_{kind}_ttl_seconds",
            "gauge",
            f"Seconds until the {use} certificate expires, negative afterwards; +Inf without one.",
            read=lambda: [((), self._ttl())],
        )

    def _ttl(self) -> float:
        return (self.expires - self._clock.now()).total_seconds() if self.expires is not None else math.inf

    def observe_rotation(self, previous: x509.Certificate, now: datetime) -> None:
        """Record that a certificate was replaced. Upstream measures this of serving certificates only."""
        if not self._is_client:
            SERVING_ROTATIONS.labels().observe((now - previous.not_valid_before_utc).total_seconds())
