"""The rules of jobs and cron jobs."""

from __future__ import annotations

from tiphys.api.batch.v1 import CronJob, Job, JobSpec
from tiphys.api.defaults.batch import default_cron_job, default_job
from tiphys.api.helpers.jobs import COMPLETIONS_SOFT_LIMIT, CONTROLLER_LABELS, NAME_LABELS, is_indexed
from tiphys.api.kinds.rules_pod import hostname_warning
from tiphys.api.machinery.errors import FieldError
from tiphys.api.machinery.scheme import Rules
from tiphys.api.meta.v1 import LabelSelector
from tiphys.api.validation import job, job_status
from tiphys.api.validation.pod_warnings import template_warnings

_MANY_AT_ONCE = 10_000


class JobRules(Rules[Job]):
    """A job selects its pods by its own uid unless it brings a selector and says so."""

    orphans_dependents = True
    orphaning_warning = (
        "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them"
        " or set propagationPolicy=Orphan to suppress this warning"
    )

    def default(self, obj: Job) -> None:
        default_job(obj)

    def prepare_create(self, obj: Job) -> None:
        spec, meta = obj.spec, obj.metadata
        if spec.manualSelector:
            return
        labels = spec.template.metadata.labels
        shared = meta.labels is labels
        generated = {**dict.fromkeys(NAME_LABELS, meta.name), **dict.fromkeys(CONTROLLER_LABELS, meta.uid)}
        spec.template.metadata.labels = {**generated, **labels}
        if shared:
            meta.labels = dict(spec.template.metadata.labels)
        if spec.selector is None:
            spec.selector = LabelSelector()
        spec.selector.matchLabels.setdefault(CONTROLLER_LABELS[-1], meta.uid)

    def validate(self, obj: Job) -> list[FieldError]:
        return job.validate(obj)

    def validate_update(self, new: Job, old: Job) -> list[FieldError]:
        return job.validate_update(new, old)

    def validate_status_update(self, new: Job, old: Job) -> list[FieldError]:
        return job_status.validate(new, old)

    def warnings(self, obj: Job, old: Job | None) -> list[str]:
        said = hostname_warning(obj.metadata.name, "Pod names and hostnames") if old is None else []
        changed = old is None or obj.spec != old.spec
        return [*said, *_spec_warnings("spec", obj.spec)] if changed else said


class CronJobRules(Rules[CronJob]):
    ratchets = True

    def default(self, obj: CronJob) -> None:
        default_cron_job(obj)

    def validate(self, obj: CronJob) -> list[FieldError]:
        return job.validate_cron(obj)

    def validate_update(self, new: CronJob, old: CronJob) -> list[FieldError]:
        return job.validate_cron(new, old)

    def warnings(self, obj: CronJob, old: CronJob | None) -> list[str]:
        said = hostname_warning(obj.metadata.name, "Pod names and hostnames") if old is None else []
        if old is None or obj.spec != old.spec:
            said += _spec_warnings("spec.jobTemplate.spec", obj.spec.jobTemplate.spec)
        if old is not None and "TZ" in obj.spec.schedule:
            said.append(
                "cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, "
                "see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"
            )
        return said


def _spec_warnings(path: str, spec: JobSpec) -> list[str]:
    said = template_warnings(f"{path}.template", spec.template)
    if is_indexed(spec) and (spec.completions or 0) > COMPLETIONS_SOFT_LIMIT and (spec.parallelism or 0) > _MANY_AT_ONCE:
        said.insert(
            0,
            f"{path}: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, "
            "Kubernetes might not be able to track completedIndexes when a big number of indexes fail",
        )
    return said
