"""Results and durations of probes, at `/metrics/probes`. A pod's series go with the pod."""

from __future__ import annotations

from collections.abc import Iterator

from tiphys.api.core import v1 as core
from tiphys.obs import metrics


class ProbeMetrics:
    """Counts the probes of one node's pods."""

    def __init__(self) -> None:
        self._registry = metrics.Registry()
        self._results = self._registry.counter(
            "prober_probe_total", "Probes by result.", "probe_type", "result", "container", "pod", "namespace", "pod_uid", stability="BETA"
        )
        self._seconds = self._registry.histogram(
            "prober_probe_duration_seconds", "Time of probes, in seconds.", "probe_type", "container", "pod", "namespace"
        )
        self._counted: dict[str, set[tuple[str, str, str, str]]] = {}

    def observe(self, pod: core.Pod, container: str, kind: str, ok: bool, seconds: float) -> None:
        """Count one probe."""
        meta = pod.metadata
        probe = (kind.capitalize(), container, meta.name, meta.namespace)
        self._counted.setdefault(meta.uid, set()).add(probe)
        self._results.labels(probe[0], "successful" if ok else "failed", *probe[1:], meta.uid).inc()
        self._seconds.labels(*probe).observe(seconds)

    def forget(self, uid: str) -> None:
        """Drop the series of a pod that is gone."""
        for probe in self._counted.pop(uid, ()):
            self._seconds.forget(*probe)
            for result in ("successful", "failed"):
                self._results.forget(probe[0], result, *probe[1:], uid)

    def lines(self) -> Iterator[str]:
        """The text of the page."""
        return self._registry.lines()
