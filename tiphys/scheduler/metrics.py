"""Metrics of the scheduler ("Kubernetes Metrics Reference"), and the functions that its parts count with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from tiphys.obs import metrics
from tiphys.scheduler.queue import Place, SchedulingQueue, Waiting

ATTEMPT_BUCKETS = metrics.exponential(0.001, 2, 15)
MOST_ATTEMPTS = 15
"""Highest number of attempts with a label of its own."""

ATTEMPTS = metrics.counter(
    "scheduler_schedule_attempts_total", "Attempts to place pods, by result.", "result", "profile", stability="STABLE"
)
ALGORITHM = metrics.histogram(
    "scheduler_scheduling_algorithm_duration_seconds", "Time to choose a node, in seconds.", buckets=ATTEMPT_BUCKETS
)
ATTEMPT_SECONDS = metrics.histogram(
    "scheduler_scheduling_attempt_duration_seconds", "Time to decide on a pod, in seconds, by result.", "result", "profile",
    buckets=ATTEMPT_BUCKETS, stability="STABLE",
)  # fmt: skip
INCOMING = metrics.counter(
    "scheduler_queue_incoming_pods_total", "Pods that came into a queue, by queue and event.", "queue", "event", stability="STABLE"
)
SLI_SECONDS = metrics.histogram(
    "scheduler_pod_scheduling_sli_duration_seconds", "Time from the first attempt to the binding, in seconds.", "attempts",
    buckets=metrics.exponential(0.01, 2, 20), stability="BETA",
)  # fmt: skip
TRIES = metrics.histogram(
    "scheduler_pod_scheduling_attempts", "Attempts that it took to place a pod.", buckets=metrics.exponential(1, 2, 5), stability="STABLE"
)
PREEMPTIONS = metrics.counter("scheduler_preemption_attempts_total", "Attempts to make room.", stability="STABLE")
VICTIMS = metrics.histogram(
    "scheduler_preemption_victims", "Pods that had to go for another.", buckets=metrics.exponential(1, 2, 7), stability="STABLE"
)
POINT_SECONDS = metrics.histogram(
    "scheduler_framework_extension_point_duration_seconds", "Time of the parts of an attempt, in seconds.", "extension_point", "status",
    "profile", buckets=metrics.exponential(0.0001, 2, 12), stability="STABLE",
)  # fmt: skip
VOLUME_ERRORS = metrics.counter(
    "scheduler_volume_scheduling_stage_error_total", "Failures to bind the volumes of a pod, by stage.", "operation"
)
QUEUES: dict[Place, str] = {"active": "active", "backoff": "backoff", "parked": "unschedulable", "gated": "gated"}
"""Upstream's names of the queue's places."""


def declare(queue: SchedulingQueue, profile: str) -> None:
    """Declare the metrics read from the queue at scrape time, and start those without labels at 0."""
    for family in (ALGORITHM, TRIES, VICTIMS):
        family.labels()
    PREEMPTIONS.labels()
    metrics.collected(
        "scheduler_pending_pods", "gauge", "Pods that wait, by queue.", "queue", stability="STABLE",
        read=lambda: [((name,), queue.places[place]) for place, name in QUEUES.items()],
    )  # fmt: skip
    metrics.collected(
        "scheduler_unschedulable_pods", "gauge", "Pods that were turned down, by the plugin that did.", "plugin", "profile",
        stability="BETA", read=lambda: _turned_down(queue.parked, profile),
    )  # fmt: skip


def _turned_down(parked: Iterable[Waiting], profile: str) -> metrics.Samples:
    counted = Counter(rule for one in parked for rule in one.rules)
    return [((rule, profile), count) for rule, count in counted.items()]


def came(place: Place, event: str) -> None:
    """Count a pod that came into a queue."""
    INCOMING.labels(QUEUES[place], event).inc()


def placed(attempts: int, seconds: float) -> None:
    """Count a pod that is bound, `seconds` after its first attempt."""
    TRIES.labels().observe(attempts)
    SLI_SECONDS.labels(f"{attempts}" if attempts < MOST_ATTEMPTS else f"{MOST_ATTEMPTS}+").observe(seconds)


def spent(point: str, status: str, profile: str, seconds: float) -> None:
    """Count the time of a part of an attempt."""
    POINT_SECONDS.labels(point, status, profile).observe(seconds)
