"""Results of health checks as metrics, at `/metrics/slis`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tiphys.obs.metrics import Registry


class HealthMetrics:
    """`/metrics/slis`: the result of each health check at each scrape, and how often there was which ("Kubernetes Component SLIs")."""

    def __init__(self) -> None:
        self._registry = Registry()
        self._now = self._registry.gauge(
            "kubernetes_healthcheck", "Result of a health check, 1 for success.", "name", "type", stability="STABLE"
        )
        self._counts = self._registry.counter(
            "kubernetes_healthchecks_total", "Results of health checks.", "name", "type", "status", stability="STABLE"
        )

    def lines(self, results: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
        """Return the text of the page for results by endpoint and name of the check: the reason for which it fails, or ""."""
        for endpoint, checks in results.items():
            for name, reason in checks.items():
                self._now.labels(name, endpoint).set(0.0 if reason else 1.0)
                self._counts.labels(name, endpoint, "error" if reason else "success").inc()
        return self._registry.lines()
