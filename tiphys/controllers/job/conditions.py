"""Conditions of Jobs, and what makes a Job end ("Job": job termination and cleanup, success policy, pod failure policy). Pure.

A Job ends in two steps. FailureTarget or SuccessCriteriaMet says how it will end and is final from then on; Failed or Complete follows when
all its pods have ended and are counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tiphys.api.batch import v1 as batch
from tiphys.api.helpers.jobs import has_condition, is_indexed
from tiphys.api.machinery.base import time
from tiphys.api.machinery.durations import later
from tiphys.controllers.job.failure_policy import match
from tiphys.controllers.job.indexes import Indexes
from tiphys.controllers.job.pods import Observed
from tiphys.controllers.job.tally import Tally

FAILURE_TARGET = "FailureTarget"
SUCCESS_MET = "SuccessCriteriaMet"
FINAL = {FAILURE_TARGET: "Failed", SUCCESS_MET: "Complete"}
"""The condition that follows each verdict."""


def make(type_: str, reason: str, message: str, now: datetime, *, status: str = "True") -> batch.JobCondition:
    """Return a condition that begins now."""
    moment = time(now)
    return batch.JobCondition(type=type_, status=status, lastProbeTime=moment, lastTransitionTime=moment, reason=reason, message=message)


def find(conditions: Sequence[batch.JobCondition], type_: str) -> batch.JobCondition | None:
    """Return the condition of a type."""
    return next((condition for condition in conditions if condition.type == type_), None)


def verdict_of(conditions: Sequence[batch.JobCondition]) -> batch.JobCondition | None:
    """Return the verdict that is recorded already."""
    for type_ in (SUCCESS_MET, FAILURE_TARGET):
        condition = find(conditions, type_)
        if condition is not None and condition.status == "True":
            return condition
    return None


def judge(job: batch.Job, observed: Observed, results: Tally, now: datetime) -> batch.JobCondition | None:
    """Return the recorded verdict, or a new one; None while the Job goes on. Failures are looked for before successes."""
    recorded = verdict_of(job.status.conditions)
    if recorded is not None:
        return recorded
    reason, message = _failure(job, observed, results, now)
    if reason:
        return make(FAILURE_TARGET, reason, message, now)
    if is_indexed(job.spec):
        met = success_rule(job.spec.successPolicy, results.done, job.spec.completions or 0)
        if met is not None:
            return make(SUCCESS_MET, "SuccessPolicy", f"Matched rules at index {met}", now)
    return None


def completions_reached(now: datetime) -> batch.JobCondition:
    """Return the verdict on a Job of which enough pods succeeded."""
    return make(SUCCESS_MET, "CompletionsReached", "Reached expected number of succeeded pods", now)


def _failure(job: batch.Job, observed: Observed, results: Tally, now: datetime) -> tuple[str, str]:
    spec = job.spec
    for seen in observed.tracked if spec.podFailurePolicy is not None else ():
        verdict = match(spec.podFailurePolicy, seen.pod) if seen.failed else None
        if verdict is not None and verdict.action == "FailJob":
            return "PodFailurePolicy", verdict.message
    if results.failed > backoff_limit(spec) or _restarted_too_often(spec, observed):
        return "BackoffLimitExceeded", "Job has reached the specified backoff limit"
    deadline = deadline_of(job)
    if deadline is not None and now >= deadline:
        return "DeadlineExceeded", "Job was active longer than specified deadline"
    broken = results.broken.total if results.broken is not None else 0
    if spec.maxFailedIndexes is not None and broken > spec.maxFailedIndexes:
        return "MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes"
    if broken and broken + results.done.total >= (spec.completions or 0):
        return "FailedIndexes", "Job has failed indexes"
    return "", ""


def backoff_limit(spec: batch.JobSpec) -> int:
    """Return the number of failures that a Job may have; defaults fill it in."""
    return 6 if spec.backoffLimit is None else spec.backoffLimit


def _restarted_too_often(spec: batch.JobSpec, observed: Observed) -> bool:
    """Return whether containers that are restarted in place were so more often than the limit allows."""
    if spec.template.spec.restartPolicy != "OnFailure":
        return False
    restarts = 0
    for seen in (*observed.active, *observed.terminating):
        status = seen.pod.status
        restarts += sum(container.restartCount for container in (*status.containerStatuses, *status.initContainerStatuses))
    return restarts >= max(backoff_limit(spec), 1)


def deadline_of(job: batch.Job) -> datetime | None:
    """Return when an active Job runs out of time; None for one without a deadline, or that is suspended or not started (again)."""
    seconds, started = job.spec.activeDeadlineSeconds, job.status.startTime
    if seconds is None or started is None or job.spec.suspend or has_condition(job.status, "Suspended"):
        return None
    return later(started, seconds)


def success_rule(policy: batch.SuccessPolicy | None, done: Indexes, completions: int) -> int | None:
    """Return the number of the first rule of a success policy that is met."""
    if not done.intervals:
        return None
    for number, rule in enumerate(policy.rules if policy is not None else ()):
        if rule.succeededIndexes is None:
            enough = rule.succeededCount is not None and done.total >= rule.succeededCount
        else:
            required = Indexes.parse(rule.succeededIndexes, completions)
            common = required.overlap(done)
            count = required.total if rule.succeededCount is None else min(rule.succeededCount, required.total)
            enough = bool(required.intervals) and common >= count
        if enough:
            return number
    return None
