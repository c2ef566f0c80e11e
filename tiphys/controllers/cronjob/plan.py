"""Next step of a CronJob, as data ("CronJob"). Pure.

Of the times that have passed since the last run, only the latest is started, however many were missed, and only within the starting
deadline. The status names every run before anything is deleted: with the Job itself gone, it is all that says that a time had its run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tiphys.api.batch import v1 as batch
from tiphys.api.batch.schedule import ScheduleError, is_zone, parse_schedule
from tiphys.api.core import v1 as core
from tiphys.controllers.cronjob.runs import Remark, job_name, observe, surplus
from tiphys.controllers.cronjob.times import YEARS, Times

MANY = 100
"""Missed times beyond which there is a warning."""


class Plan(NamedTuple):
    """Next step, in this order."""

    status: batch.CronJobStatus
    """Status as the Jobs call for it. It must be written before what follows."""
    news: Sequence[Remark]
    """Events to record once the status is written."""
    standing: Sequence[Remark]
    """Events to record once, for as long as they hold."""
    delete: Sequence[batch.Job]
    """Finished Jobs beyond the history limits."""
    replace: Sequence[core.ObjectReference]
    """Active Jobs that make way for the run that starts."""
    start: int | None
    """Time whose run is to start, in seconds since the epoch."""
    next: int | None
    """Time at which to look again, in seconds since the epoch; None when no time will come, or none may start."""


class _Decision(NamedTuple):
    standing: list[Remark]
    start: int | None = None
    replace: Sequence[core.ObjectReference] = ()
    next: int | None = None


def plan(
    cron_job: batch.CronJob,
    jobs: Sequence[batch.Job],
    now: datetime,
    *,
    zone: tzinfo = UTC,
    floor: float = 0.0,
    is_taken: Callable[[str], bool] = lambda _: False,
) -> Plan:
    """Plan the next step. `jobs` are all that the CronJob controls, and `is_taken` returns whether any Job has a name.

    `zone` is for schedules that name none. Times up to `floor` (seconds since the epoch) do not start any more: the schedule was another
    one then.
    """
    observation = observe(cron_job, jobs, now)
    status = observation.status
    if cron_job.metadata.deletionTimestamp is not None:
        return Plan(status, observation.news, observation.unexpected, (), (), None, None)
    decision = _decide(cron_job, status, now, zone, floor)
    if decision.start is not None:
        own = {job.metadata.name for job in jobs}
        if status.lastScheduleTime is not None:
            # Its Job may be gone.
            own.add(job_name(cron_job.metadata.name, int(status.lastScheduleTime.timestamp())))
        decision = _check_name(cron_job, decision, own, is_taken)
    standing = [*observation.unexpected, *decision.standing]
    return Plan(status, observation.news, standing, surplus(cron_job, jobs), decision.replace, decision.start, decision.next)


def _check_name(cron_job: batch.CronJob, decision: _Decision, own: set[str], is_taken: Callable[[str], bool]) -> _Decision:
    """Start nothing when the name is taken: by a run within the same minute (`@every 10s`), or by a Job of somebody else."""
    due = decision.start or 0
    name = job_name(cron_job.metadata.name, due)
    if name in own:
        return _Decision(decision.standing, next=decision.next)
    if not is_taken(name):
        return decision
    remark = Remark("Warning", "FailedCreate", f"Error creating job: another owner has a job with the name {name}", due)
    return _Decision([*decision.standing, remark], next=decision.next)


def _decide(cron_job: batch.CronJob, status: batch.CronJobStatus, now: datetime, zone: tzinfo, floor: float) -> _Decision:
    spec = cron_job.spec
    times, remarks = _times(cron_job, status, now, zone)
    if times is None or spec.suspend:
        return _Decision(remarks)
    moment = now.timestamp()
    due, following = times.latest(int(moment)), times.after(int(moment))
    if due is None and following is None:
        text = f"invalid schedule: {spec.schedule} : no date of the next {YEARS} years matches it"
        return _Decision([*remarks, Remark("Warning", "InvalidSchedule", text)])
    if due is None or due <= floor:
        return _Decision(remarks, next=following)
    deadline = spec.startingDeadlineSeconds
    if deadline is not None and due <= moment - deadline:
        text = f"Missed scheduled time to start a job: {datetime.fromtimestamp(due, UTC):%a, %d %b %Y %H:%M:%S +0000}"
        return _Decision([*remarks, Remark("Warning", "MissSchedule", text, due)], next=following)
    since = max(times.anchor, floor, 0.0 if deadline is None else moment - deadline)
    if times.count(int(since), due, MANY + 1) > MANY:
        text = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
        remarks.append(Remark("Warning", "TooManyMissedTimes", text, due))
    if spec.concurrencyPolicy == "Forbid" and status.active:
        text = "Not starting job because prior execution is running and concurrency policy is Forbid"
        return _Decision([*remarks, Remark("Normal", "JobAlreadyActive", text, due)], next=following)
    return _Decision(remarks, due, status.active if spec.concurrencyPolicy == "Replace" else (), following)


def _times(cron_job: batch.CronJob, status: batch.CronJobStatus, now: datetime, zone: tzinfo) -> tuple[Times | None, list[Remark]]:
    """Return when the CronJob is due since its last run; None and the reason when that can't be told."""
    spec = cron_job.spec
    if spec.timeZone is not None and not is_zone(spec.timeZone):
        text = f'invalid timeZone: "{spec.timeZone}": unknown time zone {spec.timeZone}'
        return None, [Remark("Warning", "UnknownTimeZone", text)]
    try:
        schedule = parse_schedule(spec.schedule)
    except ScheduleError as error:
        return None, [Remark("Warning", "UnparseableSchedule", f'unparseable schedule: "{spec.schedule}" : {error}')]
    remarks = []
    if schedule.zone is not None:
        zone = ZoneInfo(schedule.zone or "UTC")
        text = (
            f'CRON_TZ or TZ used in schedule "{spec.schedule}" is not officially supported, '
            "see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"
        )
        remarks.append(Remark("Warning", "UnsupportedSchedule", text))
    elif spec.timeZone is not None:
        zone = ZoneInfo(spec.timeZone)
    last = status.lastScheduleTime or cron_job.metadata.creationTimestamp or now
    return Times(schedule.rule, zone, int(last.timestamp())), remarks
