"""Jobs: `batch`."""

from __future__ import annotations

from typing import Any

from tiphys.api.batch import v1 as batch
from tiphys.api.columns import workloads as columns
from tiphys.api.kinds.rules_batch import CronJobRules, JobRules
from tiphys.api.machinery.scheme import Kind
from tiphys.api.machinery.subresources import STATUS

CRON_JOBS: Kind[batch.CronJob] = Kind(
    type=batch.CronJob,
    plural="cronjobs",
    rules=CronJobRules(),
    columns=columns.CRON_JOBS,
    group="batch",
    short_names=("cj",),
    categories=("all",),
    subresources=(STATUS,),
    unattended=True,
)

JOBS: Kind[batch.Job] = Kind(
    type=batch.Job,
    plural="jobs",
    rules=JobRules(),
    columns=columns.JOBS,
    group="batch",
    categories=("all",),
    subresources=(STATUS,),
    selectable={"status.successful": lambda job: str(job.status.succeeded)},
    unattended=True,
)

KINDS: tuple[Kind[Any], ...] = (CRON_JOBS, JOBS)
