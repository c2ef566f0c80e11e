"""Validation of a job's status ("Job: Delegation of managing a Job object to external controller").

Anybody may manage a job, so what clients rely on is enforced: finished jobs stay finished, counters do not go back, times are consistent.
A rule applies only when what it is about has changed, so a status that was wrong before does not stand in the way of another change.
"""

from __future__ import annotations

from typing import Any

from tiphys.api.batch.v1 import Job, JobStatus
from tiphys.api.helpers.jobs import has_condition, is_finished, is_indexed
from tiphys.api.machinery.errors import OMITTED, duplicate, invalid, required
from tiphys.api.rules import indexes
from tiphys.api.rules.basics import IMMUTABLE, Errors, non_negative

_CONDITIONS = ("Complete", "Failed", "FailureTarget", "SuccessCriteriaMet")


class _Both:
    """The new status, and what about it differs from the old one."""

    def __init__(self, new: Job, old: Job) -> None:
        self.spec, self.status, self.before = new.spec, new.status, old.status
        self.indexed = is_indexed(new.spec)
        self.finished = is_finished(new.status)
        self.is_ = {name: has_condition(new.status, name) for name in _CONDITIONS}
        self.was = {name: has_condition(old.status, name) for name in _CONDITIONS}
        self.ended = self.finished != is_finished(old.status)

    def changed(self, *names: str) -> bool:
        """True if conditions (`Complete`) or fields (`startTime`) differ."""
        return any(
            self.is_[name] != self.was[name] if name in self.is_ else getattr(self.status, name) != getattr(self.before, name)
            for name in names
        )


def validate_job_status(new: Job, old: Job) -> Errors:
    """Everything wrong with a job's new status."""
    errors: Errors = []
    both = _Both(new, old)
    _counters(errors, new.status)
    _conditions(errors, both)
    _times(errors, both)
    _finished(errors, both)
    _indexes(errors, both)
    _backwards(errors, both)
    return errors


def _refuse(errors: Errors, name: str, value: Any, message: str) -> None:
    errors.append(invalid(f"status.{name}", value, message))


def _counters(errors: Errors, status: JobStatus) -> None:
    for name in ("active", "succeeded", "failed", "ready", "terminating"):
        non_negative(errors, f"status.{name}", getattr(status, name))
    uncounted = status.uncountedTerminatedPods
    if uncounted is None:
        return
    seen: set[str] = set()
    for name, uids in (("succeeded", uncounted.succeeded), ("failed", uncounted.failed)):
        for index, uid in enumerate(uids):
            path = f"status.uncountedTerminatedPods.{name}[{index}]"
            if not uid:
                errors.append(invalid(path, uid, "must not be empty"))
            elif uid in seen:
                errors.append(duplicate(path, uid))
            seen.add(uid)


def _conditions(errors: Errors, both: _Both) -> None:
    complete, failed, target, criteria = (both.is_[name] for name in _CONDITIONS)
    for wrong, message in (
        (complete and failed and both.changed("Complete", "Failed"), "cannot set Complete=True and Failed=true conditions"),
        (complete and target and both.changed("Complete", "FailureTarget"), "cannot set Complete=True and FailureTarget=true conditions"),
        (
            failed and not target and both.changed("Failed", "failedIndexes"),
            "cannot set Failed=True condition without the FailureTarget=true condition",
        ),
        (
            complete and not criteria and both.changed("Complete", "SuccessCriteriaMet"),
            "cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
        ),
        (criteria and failed, "cannot set SuccessCriteriaMet=True and Failed=true conditions"),
        (criteria and target, "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions"),
        (
            both.spec.successPolicy is not None and complete and not criteria,
            "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True",
        ),
        *(
            (both.was[name] and not both.is_[name], f"cannot disable the terminal {name}=True condition")
            for name in ("Failed", "Complete", "FailureTarget")
        ),
        (both.was["SuccessCriteriaMet"] and not criteria, "cannot disable the SuccessCriteriaMet=True condition"),
        (
            both.was["Complete"] and not both.was["SuccessCriteriaMet"] and criteria,
            "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions",
        ),
    ):
        if wrong:
            _refuse(errors, "conditions", OMITTED, message)


def _times(errors: Errors, both: _Both) -> None:
    start, end, complete = both.status.startTime, both.status.completionTime, both.is_["Complete"]
    if both.changed("Complete", "completionTime"):
        if end is not None and not complete:
            _refuse(errors, "completionTime", end, "cannot set completionTime when there is no Complete=True condition")
        if end is None and complete:
            errors.append(required("status.completionTime", "completionTime is required for Complete jobs"))
    if both.changed("startTime", "completionTime") and start is not None and end is not None and end < start:
        _refuse(errors, "completionTime", end, "must be equal to or after `startTime`")
    if end is not None and both.before.completionTime not in (None, end):
        _refuse(errors, "completionTime", end, IMMUTABLE)
    empty = bool(both.spec.suspend) and both.spec.completions == 0
    if both.finished and start is None and (both.ended or both.changed("startTime")) and not empty:
        errors.append(required("status.startTime", "startTime is required for finished job"))
    resumes = has_condition(both.before, "Suspended") and has_condition(both.status, "Suspended", "False")
    if both.before.startTime is not None and both.changed("startTime") and not both.spec.suspend and not resumes:
        _refuse(errors, "startTime", start, "field is immutable for unsuspended job once set")


def _finished(errors: Errors, both: _Both) -> None:
    status, uncounted = both.status, both.status.uncountedTerminatedPods
    if both.finished:
        if status.active > 0 and (both.ended or both.changed("active")):
            _refuse(errors, "active", status.active, "active>0 is invalid for finished job")
        left = uncounted is not None and (uncounted.failed or uncounted.succeeded)
        if left and (both.ended or both.changed("uncountedTerminatedPods")):
            _refuse(errors, "uncountedTerminatedPods", uncounted, "must be empty for finished job")
        if (status.terminating or 0) > 0 and (both.ended or both.changed("terminating")):
            _refuse(errors, "terminating", status.terminating, "terminating>0 is invalid for finished job")
    if status.ready is not None and status.ready > status.active and both.changed("ready", "active"):
        _refuse(errors, "ready", status.ready, "cannot set more ready pods than active")


def _indexes(errors: Errors, both: _Both) -> None:
    spec, done, failed = both.spec, both.status.completedIndexes, both.status.failedIndexes
    if both.changed("completedIndexes"):
        _format(errors, "completedIndexes", done, spec.completions)
        if done and not both.indexed:
            _refuse(errors, "completedIndexes", done, "cannot set non-empty completedIndexes when non-indexed completion mode")
    if both.changed("failedIndexes") and failed is not None:
        if spec.backoffLimitPerIndex is None:
            _refuse(errors, "failedIndexes", failed, "cannot set non-null failedIndexes when backoffLimitPerIndex is null")
        else:
            _format(errors, "failedIndexes", failed, spec.completions)
    if both.changed("completedIndexes", "failedIndexes") and failed and done and spec.completions is not None:
        common = indexes.first_common(done, failed, spec.completions)
        if common is not None:
            _refuse(errors, "failedIndexes", failed, f"failedIndexes and completedIndexes overlap at index: {common}")


def _format(errors: Errors, name: str, text: str, completions: int | None) -> None:
    if completions is None:
        return
    try:
        indexes.intervals(text, completions)
    except indexes.BadIndexes as error:
        _refuse(errors, name, text, f"error parsing {name}: {error}")


def _backwards(errors: Errors, both: _Both) -> None:
    """An indexed job whose completions follow its parallelism can shrink, and forgets what succeeded beyond."""
    status, before = both.status, both.before
    if status.failed < before.failed:
        _refuse(errors, "failed", status.failed, "cannot decrease the failed counter")
    elastic = both.indexed and both.spec.completions == both.spec.parallelism
    if status.succeeded < before.succeeded and not elastic:
        _refuse(errors, "succeeded", status.succeeded, "cannot decrease the succeeded counter")
