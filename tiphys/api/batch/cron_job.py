"""CronJob: defaults, validation, columns and registration."""

from __future__ import annotations

from datetime import datetime

from tiphys.api.batch import schedule as schedule_rules
from tiphys.api.batch import v1 as batch
from tiphys.api.batch.job import default_job_template, spec_warnings, validate_job_spec
from tiphys.api.batch.schedule import time_zone_messages
from tiphys.api.batch.v1 import CronJob, CronJobSpec
from tiphys.api.core.pods.kind import hostname_warning
from tiphys.api.core.v1 import Container
from tiphys.api.core.workloads import images_of, names_of
from tiphys.api.machinery.columns import AGE, NAME, NONE, cell, format_selector, since
from tiphys.api.machinery.errors import invalid, not_supported, required
from tiphys.api.machinery.scheme import Column, Kind, Rules
from tiphys.api.machinery.subresources import STATUS
from tiphys.api.rules.basics import Errors, non_negative


def default_cron_job(cron_job: CronJob) -> None:
    """The jobs that it makes get their own defaults when they are made."""
    spec = cron_job.spec
    default_job_template(spec.jobTemplate.spec)
    spec.concurrencyPolicy = spec.concurrencyPolicy or "Allow"
    spec.suspend = bool(spec.suspend)
    if spec.successfulJobsHistoryLimit is None:
        spec.successfulJobsHistoryLimit = 3
    if spec.failedJobsHistoryLimit is None:
        spec.failedJobsHistoryLimit = 1


_MAX_CRON_NAME = 52
"""A job's name is its cron job's with eleven characters more, and ends up in a label."""

_POLICIES = ("Allow", "Forbid", "Replace")


def validate_cron(cron_job: CronJob, old: CronJob | None = None) -> Errors:
    """Everything wrong with a cron job, new or in place of an old one.

    A schedule that named a zone may go on doing so, a zone that was known once may stay, and so may a name that is too long.
    """
    errors: Errors = []
    spec = cron_job.spec
    _schedule(errors, spec, zone_within=old is not None and "TZ" in old.spec.schedule)
    non_negative(errors, "spec.startingDeadlineSeconds", spec.startingDeadlineSeconds)
    if old is None or spec.timeZone != old.spec.timeZone:
        _time_zone(errors, spec)
    if not spec.concurrencyPolicy:
        errors.append(required("spec.concurrencyPolicy"))
    elif spec.concurrencyPolicy not in _POLICIES:
        errors.append(not_supported("spec.concurrencyPolicy", spec.concurrencyPolicy, _POLICIES))
    job_spec, path = spec.jobTemplate.spec, "spec.jobTemplate.spec"
    validate_job_spec(errors, path, job_spec)
    if job_spec.selector is not None:
        errors.append(invalid(f"{path}.selector", job_spec.selector, "`selector` will be auto-generated"))
    if job_spec.manualSelector:
        errors.append(not_supported(f"{path}.manualSelector", job_spec.manualSelector, ("nil", "false")))
    non_negative(errors, "spec.successfulJobsHistoryLimit", spec.successfulJobsHistoryLimit)
    non_negative(errors, "spec.failedJobsHistoryLimit", spec.failedJobsHistoryLimit)
    if old is None and len(cron_job.metadata.name) > _MAX_CRON_NAME:
        errors.append(invalid("metadata.name", cron_job.metadata.name, f"must be no more than {_MAX_CRON_NAME} characters"))
    return errors


def _schedule(errors: Errors, spec: CronJobSpec, *, zone_within: bool) -> None:
    path, text = "spec.schedule", spec.schedule
    if not text:
        errors.append(required(path))
        return
    if message := schedule_rules.schedule_message(text):
        errors.append(invalid(path, text, message))
    if "TZ" not in text:
        return
    if not zone_within:
        errors.append(invalid(path, text, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"))
    elif spec.timeZone is not None:
        errors.append(invalid(path, text, "cannot use both timeZone field and TZ or CRON_TZ in schedule"))


def _time_zone(errors: Errors, spec: CronJobSpec) -> None:
    if spec.timeZone is not None:
        for message in time_zone_messages(spec.timeZone):
            errors.append(invalid("spec.timeZone", spec.timeZone, message))


class CronJobRules(Rules[CronJob]):
    ratchets = True

    default = staticmethod(default_cron_job)
    validate = staticmethod(validate_cron)
    validate_update = staticmethod(validate_cron)

    def warnings(self, obj: CronJob, old: CronJob | None) -> list[str]:
        warnings = hostname_warning(obj.metadata.name, "Pod names and hostnames") if old is None else []
        if old is None or obj.spec != old.spec:
            warnings += spec_warnings("spec.jobTemplate.spec", obj.spec.jobTemplate.spec)
        if old is not None and "TZ" in obj.spec.schedule:
            warnings.append(
                "cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, "
                "see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"
            )
        return warnings


def _last_schedule(cron_job: CronJob, now: datetime) -> str:
    last = cron_job.status.lastScheduleTime
    return NONE if last is None else since(last, now)


def _cron_containers(cron_job: CronJob) -> list[Container]:
    return cron_job.spec.jobTemplate.spec.template.spec.containers


COLUMNS = (
    NAME,
    Column("Schedule", cell(lambda obj: obj.spec.schedule), description="When jobs are made."),
    Column("Timezone", cell(lambda obj: NONE if obj.spec.timeZone is None else obj.spec.timeZone), description="By whose clocks."),
    Column("Suspend", cell(lambda obj: str(bool(obj.spec.suspend))), type="boolean", description="Whether no jobs are made for now."),
    Column("Active", cell(lambda obj: len(obj.status.active)), type="integer", description="Jobs that run."),
    Column("Last Schedule", _last_schedule, description="How long ago the last job was made."),
    AGE,
    Column("Containers", cell(lambda obj: names_of(_cron_containers(obj))), priority=1, description="Names of the containers."),
    Column("Images", cell(lambda obj: images_of(_cron_containers(obj))), priority=1, description="Images of the containers."),
    Column(
        "Selector", cell(lambda obj: format_selector(obj.spec.jobTemplate.spec.selector)), priority=1, description="The labels of its pods."
    ),
)

CRON_JOBS: Kind[batch.CronJob] = Kind(
    type=batch.CronJob,
    plural="cronjobs",
    rules=CronJobRules(),
    columns=COLUMNS,
    group="batch",
    short_names=("cj",),
    categories=("all",),
    subresources=(STATUS,),
)
