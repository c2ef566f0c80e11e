"""Metrics of Jobs, with the names and labels of upstream's job controller ("Kubernetes Metrics Reference")."""

from __future__ import annotations

from tiphys.api.batch import v1 as batch
from tiphys.api.helpers.jobs import TRACKING, is_finished
from tiphys.api.helpers.pods import is_finished as has_ended
from tiphys.controllers.job.conditions import SUCCESS_MET, verdict_of
from tiphys.controllers.job.failure_policy import match
from tiphys.controllers.job.plan import Plan
from tiphys.controllers.shared.slim import SlimPod
from tiphys.obs import metrics

_STEP = ("completion_mode", "result", "action")
SYNCS = metrics.counter("job_controller_job_syncs_total", "Steps of Jobs.", *_STEP, stability="STABLE")
SECONDS = metrics.histogram(
    "job_controller_job_sync_duration_seconds",
    "Duration of steps of Jobs.",
    *_STEP,
    buckets=metrics.exponential(0.004, 2, 15),
    stability="STABLE",
)
FINISHED = metrics.counter(
    "job_controller_jobs_finished_total", "Finished Jobs.", "completion_mode", "result", "reason", stability="STABLE"
)
PODS_FINISHED = metrics.counter(
    "job_controller_job_pods_finished_total", "Pods that Jobs counted.", "completion_mode", "result", stability="STABLE"
)
POLICY = metrics.counter(
    "job_controller_pod_failures_handled_by_failure_policy_total",
    "Failed pods that a rule of a failure policy was about.",
    "action",
    stability="BETA",
)
UNCOUNTED = metrics.counter(
    "job_controller_terminated_pods_tracking_finalizer_total",
    "Pods that ended while they carried the tracking finalizer (add), and that lost it (delete).",
    "event",
    stability="BETA",
)


def note_step(step: Plan, seconds: float, *, failed: bool) -> None:
    """Record a step that was planned, and how it ended."""
    action = "pods_created" if step.create else "pods_deleted" if step.kill or step.discard else "tracking"
    labels = step.job.spec.completionMode or "NonIndexed", "error" if failed else "success", action
    SYNCS.labels(*labels).inc()
    SECONDS.labels(*labels).observe(seconds)


def note_policy(step: Plan) -> None:
    """Record the rules that pods met which are counted now."""
    policy = step.job.spec.podFailurePolicy
    uncounted = step.job.status.uncountedTerminatedPods
    named = uncounted.failed if uncounted is not None else ()
    for seen in step.settle if policy is not None else ():
        verdict = match(policy, seen.pod) if seen.failed and seen.uid not in named else None
        if verdict is not None and verdict.action:
            POLICY.labels(verdict.action).inc()


def note_status(job: batch.Job, before: batch.JobStatus, after: batch.JobStatus) -> None:
    """Record what a written status counts that the one before did not."""
    mode = job.spec.completionMode or "NonIndexed"
    for result in ("succeeded", "failed"):
        # An elastic Job forgets indexes.
        PODS_FINISHED.labels(mode, result).inc(max(getattr(after, result) - getattr(before, result), 0))
    verdict = verdict_of(after.conditions)
    if verdict is not None and is_finished(after) and not is_finished(before):
        FINISHED.labels(mode, "succeeded" if verdict.type == SUCCESS_MET else "failed", verdict.reason).inc()


def note_pod(old: SlimPod | None, new: SlimPod | None) -> None:
    """Record that a pod began or ceased to be one that ended and is to be counted."""
    before, after = _waits(old), _waits(new)
    if before != after:
        UNCOUNTED.labels("add" if after else "delete").inc()


def _waits(pod: SlimPod | None) -> bool:
    return pod is not None and has_ended(pod) and TRACKING in pod.metadata.finalizers
