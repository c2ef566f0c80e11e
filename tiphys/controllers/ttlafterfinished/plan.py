"""The time at which a finished Job is deleted ("Automatic Cleanup for Finished Jobs"). Pure."""

from __future__ import annotations

from datetime import datetime

from tiphys.api.batch import v1 as batch
from tiphys.api.machinery.durations import later


def expires_at(job: batch.Job) -> datetime | None:
    """Return when a Job is to be deleted; None while it is not finished, has no time to live, or is being deleted already."""
    seconds, finished = job.spec.ttlSecondsAfterFinished, _finished_at(job)
    if seconds is None or finished is None or job.metadata.deletionTimestamp is not None:
        return None
    return later(finished, seconds)


def _finished_at(job: batch.Job) -> datetime | None:
    for condition in job.status.conditions:
        if condition.type in ("Complete", "Failed") and condition.status == "True":
            return condition.lastTransitionTime
    return None
