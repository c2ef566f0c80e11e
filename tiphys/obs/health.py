"""Health checks as pages ("Kubernetes API health endpoints") and as metrics, at `/metrics/slis`.

Anybody may read the page of all checks, so it names what fails and withholds why; the page of a single check says it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from tiphys.obs.metrics import Registry

Check = Callable[[], str]
"""Health check that returns the reason of its failure, or ""."""


class Page(NamedTuple):
    """Answer of a health endpoint."""

    status: int
    text: str
    failed: Mapping[str, str]
    """Failures of checks, by name."""


def page(endpoint: str, checks: Mapping[str, Check], query: Sequence[tuple[str, str]]) -> Page:
    """Return the page of all checks. The query may ask for every line (`verbose`) and leave out checks (`exclude=etcd`)."""
    excluded = {value for key, value in query if key == "exclude"}
    lines, failed = [], {}
    for name, check in checks.items():
        if name in excluded:
            excluded.discard(name)
            lines.append(f"[+]{name} excluded: ok")
        elif reason := check():
            failed[name] = reason
            lines.append(f"[-]{name} failed: reason withheld")
        else:
            lines.append(f"[+]{name} ok")
    if excluded:
        names = ",".join(f'"{name}"' for name in sorted(excluded))
        lines.append(f"warn: some health checks cannot be excluded: no matches for {names}")
    if failed:
        return Page(500, "\n".join((*lines, f"{endpoint} check failed")) + "\n", failed)
    if not any(key == "verbose" for key, _ in query):
        return Page(200, "ok", failed)
    return Page(200, "\n".join((*lines, f"{endpoint} check passed")) + "\n", failed)


def page_of_one(name: str, check: Check) -> Page:
    """Return the page of one check."""
    reason = check()
    return Page(500, f"internal server error: {reason}\n", {name: reason}) if reason else Page(200, "ok", {})


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
