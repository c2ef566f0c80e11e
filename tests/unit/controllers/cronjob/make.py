"""CronJobs and Jobs in the states that the plan looks at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tiphys.api.batch import v1 as batch
from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import ObjectMeta, OwnerReference
from tiphys.controllers.cronjob.runs import SCHEDULED_AT
from tiphys.runtime import reference_to

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
POD = core.PodTemplateSpec(spec=core.PodSpec(restartPolicy="Never", containers=[core.Container(name="main", image="busybox:1")]))


def at(minutes: float = 0) -> datetime:
    """Return the time some minutes after noon."""
    return NOON + timedelta(minutes=minutes)


def cron_job(
    schedule: str = "* * * * *",
    *,
    last: datetime | None = None,
    active: tuple[batch.Job, ...] = (),
    born: datetime = NOON,
    deleting: bool = False,
    **spec: object,
) -> batch.CronJob:
    """Return the CronJob `tick`, created at noon."""
    desired: dict[str, object] = {
        "schedule": schedule,
        "concurrencyPolicy": "Allow",
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 1,
        "jobTemplate": batch.JobTemplateSpec(
            metadata=ObjectMeta(labels={"app": "tick"}, annotations={"note": "kept"}), spec=batch.JobSpec(template=POD)
        ),
        **spec,
    }
    status = batch.CronJobStatus(active=[reference_to(job) for job in active], lastScheduleTime=last)
    return batch.CronJob(
        metadata=ObjectMeta(
            name="tick", namespace="default", uid="u-tick", creationTimestamp=born, deletionTimestamp=NOON if deleting else None
        ),
        spec=batch.CronJobSpec(**desired),  # type: ignore[arg-type]
        status=status,
    )


def job(
    minutes: int = 0,
    *,
    done: str = "",
    name: str = "",
    owner: str = "u-tick",
    manual: bool = False,
    deleting: bool = False,
    started: datetime | None = None,
) -> batch.Job:
    """Return the Job of a time, in minutes after noon; `done` is Complete or Failed, and it ends half a minute after it began."""
    due = at(minutes)
    name = name or ("by-hand" if manual else f"tick-{int(due.timestamp()) // 60}")
    status = batch.JobStatus(startTime=started or due)
    if done:
        status.conditions = [batch.JobCondition(type="SuccessCriteriaMet", status="True"), batch.JobCondition(type=done, status="True")]
        status.completionTime = at(minutes + 0.5) if done == "Complete" else None
    return batch.Job(
        metadata=ObjectMeta(
            name=name,
            namespace="default",
            uid=f"u-{name}",
            annotations={} if manual else {SCHEDULED_AT: due.isoformat().replace("+00:00", "Z")},
            creationTimestamp=due,
            deletionTimestamp=due if deleting else None,
            ownerReferences=[OwnerReference(apiVersion="batch/v1", kind="CronJob", name="tick", uid=owner, controller=True)],
        ),
        spec=batch.JobSpec(template=POD),
        status=status,
    )
