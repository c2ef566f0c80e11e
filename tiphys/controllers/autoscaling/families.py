"""Metrics of autoscaling itself, with the names and labels of upstream's controller ("Kubernetes Metrics Reference")."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from tiphys.aio.clock import Clock
from tiphys.obs import metrics
from tiphys.obs.metrics import Counter, Family, Histogram

_OUTCOME = ("action", "error")
_BUCKETS = metrics.exponential(0.001, 2, 15)


class Steps(NamedTuple):
    """Number and duration of steps of one sort."""

    total: Family[Counter]
    seconds: Family[Histogram]


LOOKS = Steps(
    metrics.counter(
        "horizontal_pod_autoscaler_controller_reconciliations_total", "Looks at autoscalers, by outcome.", *_OUTCOME, stability="BETA"
    ),
    metrics.histogram(
        "horizontal_pod_autoscaler_controller_reconciliation_duration_seconds",
        "Duration of looks at autoscalers.",
        *_OUTCOME,
        buckets=_BUCKETS,
        stability="BETA",
    ),
)
COMPUTATIONS = Steps(
    metrics.counter(
        "horizontal_pod_autoscaler_controller_metric_computation_total",
        "Computations of the replicas that one metric asks for, by outcome.",
        *_OUTCOME,
        "metric_type",
        stability="BETA",
    ),
    metrics.histogram(
        "horizontal_pod_autoscaler_controller_metric_computation_duration_seconds",
        "Duration of computations of the replicas that one metric asks for.",
        *_OUTCOME,
        "metric_type",
        buckets=_BUCKETS,
        stability="BETA",
    ),
)


class Outcome:
    """Outcome of a step: `action` is `scale_up`, `scale_down` or `none`, `error` is `internal` or `none`.

    Upstream's third error, `spec`, is about specs that validation lets nobody write.
    """

    def __init__(self) -> None:
        self.action = self.error = "none"

    def note(self, current: int, desired: int) -> None:
        """Note the number of replicas before and after."""
        self.action = "scale_up" if desired > current else "scale_down" if desired < current else "none"


@contextmanager
def observed(steps: Steps, clock: Clock, *labels: str) -> Iterator[Outcome]:
    """Count a step when it is over. An exception is an internal error."""
    outcome, started = Outcome(), clock.monotonic()
    try:
        yield outcome
    except Exception:
        outcome.error = "internal"
        raise
    finally:
        steps.total.labels(outcome.action, outcome.error, *labels).inc()
        steps.seconds.labels(outcome.action, outcome.error, *labels).observe(clock.monotonic() - started)
