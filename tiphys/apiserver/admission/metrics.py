"""Durations of admission, by plugin and as a whole ("Kubernetes Metrics Reference")."""

from __future__ import annotations

from tiphys.obs import metrics

BUCKETS = (0.005, 0.025, 0.1, 0.5, 1.0, 2.5)
FIRST_BUCKET = BUCKETS[0]
PLUGIN_SECONDS = metrics.histogram(
    "apiserver_admission_controller_admission_duration_seconds", "Time of one admission plugin, in seconds.", "name", "type", "operation",
    "rejected", buckets=BUCKETS, stability="STABLE",
)  # fmt: skip
STEP_SECONDS = metrics.histogram(
    "apiserver_admission_step_admission_duration_seconds", "Time of all admission plugins, in seconds.", "type", "operation", "rejected",
    buckets=BUCKETS, stability="STABLE",
)  # fmt: skip


class Timed:
    """The histograms of one plugin (or, without a name, of all), for one type of step and operation."""

    __slots__ = ("_labels", "accepted")

    def __init__(self, type_: str, operation: str, name: str = "") -> None:
        self._labels = (name, type_, operation) if name else (type_, operation)
        self.accepted = self._child("false")

    def rejected(self, seconds: float) -> None:
        """Count a refusal, of which there are few."""
        self._child("true").observe(seconds)

    def _child(self, rejected: str) -> metrics.Histogram:
        family = PLUGIN_SECONDS if len(self._labels) == 3 else STEP_SECONDS
        return family.labels(*self._labels, rejected)
