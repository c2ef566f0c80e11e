"""Next step of a Job, as data ("Job"). Pure.

A step names the pods that ended in the status (`status`, when `record`), then removes their finalizers, and creates or deletes pods; the
status that follows from what succeeded (`finish`) counts them. A verdict is recorded before pods are deleted because of it, so a crash
cannot turn it into another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from tiphys.api.batch import v1 as batch
from tiphys.controllers.job.backoff import NO_FAILURES, Failures
from tiphys.controllers.job.conditions import FAILURE_TARGET, completions_reached, deadline_of, judge, verdict_of
from tiphys.controllers.job.pods import NOTHING_DONE, JobPod, Memory, Observed, observe
from tiphys.controllers.job.size import BURST, NewPod, Size, resize
from tiphys.controllers.job.status import Event, Outcome, finished, must_record, recorded
from tiphys.controllers.job.tally import Tally, tally
from tiphys.controllers.job.tracking import record
from tiphys.controllers.shared.slim import SlimPod


class Plan(NamedTuple):
    """Next step: `status` first, if `record`, then all the others, in any order among themselves."""

    job: batch.Job
    observed: Observed
    status: batch.JobStatus
    record: bool
    settle: Sequence[JobPod]
    """Pods whose finalizers go."""
    kill: Sequence[JobPod]
    """Pods to delete before their finalizers go: they count as failed."""
    discard: Sequence[JobPod]
    """Pods whose finalizers go, unless the pods have changed, before they are deleted: they do not count."""
    create: Sequence[NewPod]
    failures: Failures
    """Failures since the last success, once the step is taken."""
    after: float | None
    """Seconds until there is something to do by time alone; 0 when the step is only a part of what is to be done."""

    @property
    def acts(self) -> bool:
        """True if there is anything to write but counts in the status."""
        return bool(self.record or self.settle or self.kill or self.discard or self.create)


def plan(
    job: batch.Job, pods: Iterable[SlimPod], now: datetime, *, failures: Failures = NO_FAILURES, memory: Memory = NOTHING_DONE
) -> Plan:
    """Plan the next step of a Job that is not finished. `pods` are those that it controls."""
    observed = observe(job, pods, memory)
    results = tally(job, observed)
    deleting = job.metadata.deletionTimestamp is not None
    verdict = verdict_of(job.status.conditions) if deleting else judge(job, observed, results, now)
    size = Size()
    if verdict is None and not deleting:
        latest = failures.after(_pods(results.new_succeeded), _pods(results.new_failed))
        size = resize(job, observed, results, latest, now)
        if _is_complete(job.spec, results, len(observed.active) - len(size.discard)):
            verdict = completions_reached(now)
    elif verdict is not None and verdict.type != FAILURE_TARGET and not deleting:
        size = Size(discard=observed.active[:BURST])
    ledger = record(job, observed, results, verdict)
    status = recorded(job, observed, results, ledger, verdict, now)
    fails = verdict is not None and verdict.type == FAILURE_TARGET
    kill = [seen for seen in ledger.settle if fails and seen.active]
    settled = {seen.uid for seen in ledger.settle}
    discard = [*size.discard, *(seen for seen in observed.active if fails and not seen.tracked)][:BURST]
    partial = not ledger.complete or BURST in (len(discard), len(size.create))
    return Plan(
        job=job,
        observed=observed,
        status=status,
        record=must_record(job.status, status, ledger),
        settle=[seen for seen in ledger.settle if not (fails and seen.active)],
        kill=kill,
        discard=discard,
        create=size.create,
        failures=failures.after(_pods(results.new_succeeded, settled), _pods(results.new_failed, settled)),
        after=0.0 if partial else _next(job, status, verdict, size, now),
    )


def finish(step: Plan, status: batch.JobStatus, outcome: Outcome, now: datetime) -> tuple[batch.JobStatus, list[Event]]:
    """Return the status after a step that was taken as far as `outcome` says, and the events to tell once it is written."""
    return finished(step.job, status, step.observed, outcome, now)


def _is_complete(spec: batch.JobSpec, results: Tally, active: int) -> bool:
    if active:
        return False
    return results.succeeded > 0 if spec.completions is None else results.succeeded >= spec.completions


def _pods(seen: Iterable[JobPod], among: set[str] | None = None) -> list[SlimPod]:
    return [one.pod for one in seen if among is None or one.uid in among]


def _next(job: batch.Job, status: batch.JobStatus, verdict: batch.JobCondition | None, size: Size, now: datetime) -> float | None:
    """Return the seconds until a deadline passes or a wait is over."""
    if verdict is not None:
        return None
    waits = [] if size.after is None else [size.after]
    started = batch.Job(metadata=job.metadata, spec=job.spec, status=status)
    deadline = deadline_of(started)
    if deadline is not None:
        waits.append(max((deadline - now).total_seconds(), 0.0))
    return min(waits, default=None)
