"""Defaults of jobs and cron jobs."""

from __future__ import annotations

from tiphys.api.batch.v1 import CronJob, Job, JobSpec
from tiphys.api.defaults.pod import default_pod_spec

BACKOFF_LIMIT = 6
UNLIMITED = 2**31 - 1


def default_job(job: Job) -> None:
    """A job without labels shares those of its pods, and so gets what is added to them. One completion and one pod at a time by default."""
    spec = job.spec
    _default_template(spec)
    if spec.completions is None and spec.parallelism is None:
        spec.completions = spec.parallelism = 1
    if spec.parallelism is None:
        spec.parallelism = 1
    if spec.backoffLimit is None:
        spec.backoffLimit = BACKOFF_LIMIT if spec.backoffLimitPerIndex is None else UNLIMITED
    if not job.metadata.labels:
        job.metadata.labels = spec.template.metadata.labels
    if spec.completionMode is None:
        spec.completionMode = "NonIndexed"
    spec.suspend = bool(spec.suspend)
    spec.manualSelector = bool(spec.manualSelector)
    if spec.podReplacementPolicy is None:
        spec.podReplacementPolicy = "TerminatingOrFailed" if spec.podFailurePolicy is None else "Failed"


def default_cron_job(cron_job: CronJob) -> None:
    """The jobs that it makes get their own defaults when they are made."""
    spec = cron_job.spec
    _default_template(spec.jobTemplate.spec)
    spec.concurrencyPolicy = spec.concurrencyPolicy or "Allow"
    spec.suspend = bool(spec.suspend)
    if spec.successfulJobsHistoryLimit is None:
        spec.successfulJobsHistoryLimit = 3
    if spec.failedJobsHistoryLimit is None:
        spec.failedJobsHistoryLimit = 1


def _default_template(spec: JobSpec) -> None:
    default_pod_spec(spec.template.spec)
    if spec.podFailurePolicy is not None:
        for rule in spec.podFailurePolicy.rules or []:
            for pattern in rule.onPodConditions:
                pattern.status = pattern.status or "True"
