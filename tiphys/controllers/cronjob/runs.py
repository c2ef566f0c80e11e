"""Runs of a CronJob: the Job of a time, and what a CronJob's status says of its Jobs ("CronJob"). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from datetime import UTC, datetime
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from tiphys.api.batch import v1 as batch
from tiphys.api.helpers.jobs import has_condition, is_finished
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.controllers.shared.claim import reference
from tiphys.runtime import controller_of, reference_to

SCHEDULED_AT: Final = "batch.kubernetes.io/cronjob-scheduled-timestamp"
"""Annotation of a Job: the time that it is the run of, as clocks of the CronJob's zone show it."""


class Remark(NamedTuple):
    """Event about a CronJob."""

    type: str
    reason: str
    message: str
    about: int = 0
    """Scheduled time that the event is about, so that an event repeated for each time differs from the last."""


class Observation(NamedTuple):
    """Status that the Jobs of a CronJob call for, and events."""

    status: batch.CronJobStatus
    news: list[Remark]
    """Changes since the status was written."""
    unexpected: list[Remark]
    """Jobs that run and are not runs of a time, such as those that people start by hand."""


def job_name(name: str, due: int) -> str:
    """Return the name of the Job of a time: the same for whoever starts it, so that nobody starts a second one."""
    return f"{name}-{due // 60}"


def job_of(cron_job: batch.CronJob, due: int) -> batch.Job:
    """Return the Job to create for a time."""
    template, meta = cron_job.spec.jobTemplate, cron_job.metadata
    zone = ZoneInfo(cron_job.spec.timeZone) if cron_job.spec.timeZone else UTC
    at = datetime.fromtimestamp(due, zone).isoformat().replace("+00:00", "Z")
    return batch.Job(
        metadata=ObjectMeta(
            name=job_name(meta.name, due),
            namespace=meta.namespace,
            labels=dict(template.metadata.labels),
            annotations={**template.metadata.annotations, SCHEDULED_AT: at},
            ownerReferences=[reference(cron_job)],
        ),
        spec=template.spec,
    )


def time_of(cron_job: batch.CronJob, job: batch.Job) -> int | None:
    """Return the time that a Job is the run of, None for a Job that is not one."""
    owner = controller_of(job)
    if owner is None or owner.uid != cron_job.metadata.uid:
        return None
    try:
        due = int(datetime.fromisoformat(job.metadata.annotations.get(SCHEDULED_AT, "")).timestamp())
    except (ValueError, OverflowError):
        return None
    return due if job.metadata.name == job_name(cron_job.metadata.name, due) else None


def unseen(cron_job: batch.CronJob, jobs: Iterable[batch.Job]) -> list[str]:
    """Return the names of active Jobs that are not among `jobs`."""
    seen = {job.metadata.uid for job in jobs}
    return [ref.name for ref in cron_job.status.active if ref.uid not in seen]


def observe(cron_job: batch.CronJob, jobs: Iterable[batch.Job], now: datetime) -> Observation:
    """Return the status that the Jobs of a CronJob call for: `jobs` are all that it controls.

    A run that is not in the status yet is entered: whoever started it has stopped before it could write. One of a time to come is none,
    lest a Job that somebody makes up keeps all runs until then from starting.
    """
    before = cron_job.status
    news: list[Remark] = []
    by_uid = {job.metadata.uid: job for job in jobs}
    active = []
    for ref in before.active:
        job = by_uid.get(ref.uid)
        if job is None:
            news.append(Remark("Normal", "MissingJob", f"Active job went missing: {ref.name}"))
        elif is_finished(job.status):
            kind = "Complete" if has_condition(job.status, "Complete") else "Failed"
            news.append(Remark("Normal", "SawCompletedJob", f"Saw completed job: {ref.name}, condition: {kind}"))
        else:
            active.append(ref)
    unexpected = []
    last, succeeded = before.lastScheduleTime, before.lastSuccessfulTime
    known = {ref.uid for ref in before.active}
    for job in sorted(by_uid.values(), key=lambda job: job.metadata.name):
        due = time_of(cron_job, job)
        if due is not None and due > now.timestamp():
            due = None
        if due is not None:
            last = max(last or _moment(due), _moment(due))
        if has_condition(job.status, "Complete") and job.status.completionTime is not None:
            succeeded = max(succeeded or job.status.completionTime, job.status.completionTime)
        if job.metadata.uid in known or is_finished(job.status) or job.metadata.deletionTimestamp is not None:
            continue
        if due is not None:
            active.append(reference_to(job))
        else:
            text = f"Saw a job that the controller did not create or forgot: {job.metadata.name}"
            unexpected.append(Remark("Warning", "UnexpectedJob", text))
    status = batch.CronJobStatus(active=active, lastScheduleTime=last, lastSuccessfulTime=succeeded)
    return Observation(status, news, unexpected)


def with_run(status: batch.CronJobStatus, job: batch.Job, due: int) -> batch.CronJobStatus:
    """Return the status after the Job of a time was created."""
    active = list(status.active)
    if not is_finished(job.status) and job.metadata.uid not in {ref.uid for ref in active}:
        active.append(reference_to(job))
    last = max(status.lastScheduleTime or _moment(due), _moment(due))
    return msgspec.structs.replace(status, active=active, lastScheduleTime=last)


def without(status: batch.CronJobStatus, uids: Set[str]) -> batch.CronJobStatus:
    """Return the status after active Jobs were deleted."""
    return msgspec.structs.replace(status, active=[ref for ref in status.active if ref.uid not in uids])


def surplus(cron_job: batch.CronJob, jobs: Iterable[batch.Job]) -> list[batch.Job]:
    """Return the finished Jobs beyond the history limits, those that started first."""
    limits: Mapping[str, int | None] = {
        "Complete": cron_job.spec.successfulJobsHistoryLimit,
        "Failed": cron_job.spec.failedJobsHistoryLimit,
    }
    finished: dict[str, list[batch.Job]] = {"Complete": [], "Failed": []}
    for job in jobs:
        kind = next((kind for kind in finished if has_condition(job.status, kind)), None)
        if kind is not None and job.metadata.deletionTimestamp is None:
            finished[kind].append(job)
    surplus = []
    for kind, group in finished.items():
        limit = limits[kind]
        if limit is not None:
            surplus += sorted(group, key=_started)[: max(len(group) - limit, 0)]
    return surplus


def _started(job: batch.Job) -> tuple[bool, datetime, str]:
    start = job.status.startTime
    return start is None, start or datetime.min.replace(tzinfo=UTC), job.metadata.name


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
