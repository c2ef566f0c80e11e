"""Status of a Job before a step, and the one that follows from it. Pure."""

from __future__ import annotations

from collections.abc import Sequence, Set
from datetime import datetime
from typing import NamedTuple

import msgspec

from tiphys.api.batch import v1 as batch
from tiphys.api.helpers import pods as pod_state
from tiphys.api.helpers.jobs import is_indexed
from tiphys.api.machinery.base import time
from tiphys.controllers.job.conditions import FINAL, SUCCESS_MET, find, make, verdict_of
from tiphys.controllers.job.pods import JobPod, Observed
from tiphys.controllers.job.tally import Tally
from tiphys.controllers.job.tracking import Ledger, count


class Outcome(NamedTuple):
    """Result of a step: uids of the pods whose finalizers are gone and of those deleted, and the number of pods created."""

    settled: Set[str] = frozenset()
    deleted: Set[str] = frozenset()
    created: int = 0


class Event(NamedTuple):
    """An event on the Job."""

    type: str
    reason: str
    message: str


def recorded(
    job: batch.Job, observed: Observed, results: Tally, ledger: Ledger, verdict: batch.JobCondition | None, now: datetime
) -> batch.JobStatus:
    """Return the status that must be written before finalizers are removed and, once there is a verdict, before pods are deleted."""
    before = job.status
    conditions = before.conditions
    if verdict is not None and verdict not in conditions:
        conditions = [*conditions, verdict]
    status = msgspec.structs.replace(
        before,
        conditions=conditions,
        startTime=time(now) if before.startTime is None and not job.spec.suspend else before.startTime,
        uncountedTerminatedPods=ledger.uncounted,
        active=len(observed.active),
        ready=_ready(observed.active),
        terminating=len(observed.terminating),
    )
    if is_indexed(job.spec):
        status.succeeded = results.done.total
        status.completedIndexes = str(results.done)
        status.failedIndexes = str(results.broken) if results.broken is not None else None
    return count(status, (seen.uid for seen in observed.tracked), indexed=is_indexed(job.spec))


def must_record(before: batch.JobStatus, status: batch.JobStatus, ledger: Ledger) -> bool:
    """Return whether a status holds something that the next writes rely on, rather than counts that may follow them."""
    results = status.completedIndexes != before.completedIndexes or (status.failedIndexes or "") != (before.failedIndexes or "")
    return ledger.added or results or len(status.conditions) > len(before.conditions)


def finished(
    job: batch.Job, status: batch.JobStatus, observed: Observed, outcome: Outcome, now: datetime
) -> tuple[batch.JobStatus, list[Event]]:
    """Return the status after a step that began with `status`, and the events that it causes once it is written."""
    left = [seen.uid for seen in observed.tracked if seen.uid not in outcome.settled]
    active = [seen for seen in observed.active if seen.uid not in outcome.deleted]
    status = count(status, left, indexed=is_indexed(job.spec))
    status.active = len(active) + outcome.created
    status.ready = _ready(active)
    status.terminating = len(observed.terminating) + len(observed.active) - len(active)
    verdict = verdict_of(status.conditions)
    if verdict is not None:
        return _end(job, status, verdict, now) if not left else (status, [])
    if job.metadata.deletionTimestamp is None:
        return _suspend(job, status, now)
    return status, []


def _ready(active: Sequence[JobPod]) -> int:
    return sum(pod_state.is_ready(seen.pod) for seen in active)


def _end(job: batch.Job, status: batch.JobStatus, verdict: batch.JobCondition, now: datetime) -> tuple[batch.JobStatus, list[Event]]:
    """Add the final condition when nothing of the Job runs and everything is counted."""
    uncounted = status.uncountedTerminatedPods
    waits = uncounted is not None and (uncounted.succeeded or uncounted.failed)
    if status.active or status.terminating or waits:
        return status, []
    final = make(FINAL[verdict.type], verdict.reason, verdict.message, now)
    status.conditions = [*(one for one in status.conditions if one.type != final.type), final]
    if status.startTime is None and not (job.spec.suspend and job.spec.completions == 0):
        # A Job that was suspended when it ended: the server wants to know a start.
        status.startTime = time(now)
    if verdict.type != SUCCESS_MET:
        return status, [Event("Warning", final.reason, final.message)]
    status.completionTime = max(time(now), status.startTime or time(now))
    events = [Event("Normal", "Completed", "Job completed")]
    if job.spec.completions is not None and status.succeeded > job.spec.completions:
        events.insert(0, Event("Warning", "TooManySucceededPods", "Too many succeeded pods running after completion count reached"))
    return status, events


def _suspend(job: batch.Job, status: batch.JobStatus, now: datetime) -> tuple[batch.JobStatus, list[Event]]:
    """Update the condition Suspended. A suspended Job has no start; one that is resumed starts anew, and so does its deadline."""
    known = find(status.conditions, "Suspended")
    suspended = known is not None and known.status == "True"
    if bool(job.spec.suspend) == suspended:
        return status, []
    if job.spec.suspend:
        condition, status.startTime = make("Suspended", "JobSuspended", "Job suspended", now), None
        event = Event("Normal", "Suspended", "Job suspended")
    else:
        condition, status.startTime = make("Suspended", "JobResumed", "Job resumed", now, status="False"), time(now)
        event = Event("Normal", "Resumed", "Job resumed")
    if known is None:
        status.conditions = [*status.conditions, condition]
    else:
        status.conditions = [condition if one is known else one for one in status.conditions]
    return status, [event]
