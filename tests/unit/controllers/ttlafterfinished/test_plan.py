"""The time at which a finished Job is deleted."""

from __future__ import annotations

from datetime import timedelta

from tests.unit.controllers.job.make import condition, job
from tests.unit.controllers.make import NOW, ago
from tiphys.api.batch import v1 as batch
from tiphys.api.machinery.durations import NEVER
from tiphys.controllers.ttlafterfinished.plan import expires_at


def test_it_counts_from_the_end() -> None:
    for type_ in ("Complete", "Failed"):
        status = batch.JobStatus(conditions=[condition("SuccessCriteriaMet", since=ago(90)), condition(type_, since=ago(60))])
        assert expires_at(job(ttlSecondsAfterFinished=100, status=status)) == NOW + timedelta(seconds=40)
        assert expires_at(job(ttlSecondsAfterFinished=0, status=status)) == ago(60)
        assert expires_at(job(status=status)) is None


def test_an_end_that_lies_far_ahead_never_expires() -> None:
    status = batch.JobStatus(conditions=[condition("Complete", since=NEVER)])
    assert expires_at(job(ttlSecondsAfterFinished=2**31 - 1, status=status)) == NEVER


def test_jobs_that_have_not_ended_or_go_already_do_not_expire() -> None:
    for conditions in ([], [condition("FailureTarget")], [condition("Complete", "False")]):
        assert expires_at(job(ttlSecondsAfterFinished=1, status=batch.JobStatus(conditions=conditions))) is None
    dying = job(ttlSecondsAfterFinished=1, status=batch.JobStatus(conditions=[condition("Complete")]))
    dying.metadata.deletionTimestamp = NOW
    assert expires_at(dying) is None
