"""Counting of pods by their finalizers, so that each is counted exactly once ("Job": job tracking with finalizers). Pure.

    1. the status names the pods that ended (by uid; a successful index by its number)
    2. their tracking finalizers are removed, so that they may go
    3. the status counts those that it names and that have no finalizer any more

Whatever is interrupted in between, the next look at the status and the pods goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from tiphys.api.batch import v1 as batch
from tiphys.api.helpers.jobs import is_indexed
from tiphys.controllers.job.conditions import FAILURE_TARGET
from tiphys.controllers.job.failure_policy import match
from tiphys.controllers.job.pods import JobPod, Observed
from tiphys.controllers.job.size import BURST
from tiphys.controllers.job.tally import Tally


class Ledger(NamedTuple):
    """Steps 1 and 2: the pods that the status names, and those whose finalizers go once it does."""

    uncounted: batch.UncountedTerminatedPods
    added: bool
    """True if the status names pods that it did not name before."""
    settle: Sequence[JobPod]
    complete: bool
    """False if more pods wait for a later step."""


def record(job: batch.Job, observed: Observed, results: Tally, verdict: batch.JobCondition | None) -> Ledger:
    """Return the pods to name and to let go."""
    before = job.status.uncountedTerminatedPods or batch.UncountedTerminatedPods()
    succeeded, failed = list(before.succeeded), list(before.failed)
    named, new_indexes = {*succeeded, *failed}, 0
    settle: list[JobPod] = []
    complete = True
    fails = verdict is not None and verdict.type == FAILURE_TARGET
    completed, indexed = {seen.uid for seen in results.new_succeeded}, is_indexed(job.spec)
    for seen in observed.tracked:
        if not _may_go(job, seen, results, verdict):
            continue
        if len(settle) >= BURST or len(succeeded) + len(failed) + new_indexes >= BURST:
            complete = False
            break
        settle.append(seen)
        if seen.uid in named:
            continue
        if seen.succeeded:
            if indexed:
                new_indexes += seen.uid in completed
            else:
                succeeded.append(seen.uid)
        elif seen.valid and (seen.failed or fails) and match(job.spec.podFailurePolicy, seen.pod).counts:
            failed.append(seen.uid)
    uncounted = batch.UncountedTerminatedPods(succeeded=succeeded, failed=failed)
    return Ledger(uncounted, _grew(before, succeeded, failed), settle, complete)


def _grew(before: batch.UncountedTerminatedPods, succeeded: Sequence[str], failed: Sequence[str]) -> bool:
    return len(succeeded) + len(failed) > len(before.succeeded) + len(before.failed)


def _may_go(job: batch.Job, seen: JobPod, results: Tally, verdict: batch.JobCondition | None) -> bool:
    """Return whether the end of a pod can be counted now (or need not be)."""
    if job.metadata.deletionTimestamp is not None or seen.succeeded:
        return True
    if verdict is not None:
        # Active pods of a Job that succeeds are discarded rather than counted.
        return verdict.type == FAILURE_TARGET or not seen.active
    delayed = results.delayed.get(seen.index)
    return seen.failed and (delayed is None or delayed.uid != seen.uid)


def count(status: batch.JobStatus, tracked: Iterable[str], *, indexed: bool) -> batch.JobStatus:
    """Step 3: return the status in which the named pods that are not among `tracked` are counted."""
    uncounted = status.uncountedTerminatedPods or batch.UncountedTerminatedPods()
    holding = frozenset(tracked)
    succeeded = [uid for uid in uncounted.succeeded if uid in holding]
    failed = [uid for uid in uncounted.failed if uid in holding]
    return msgspec.structs.replace(
        status,
        # The successes of an indexed Job are its indexes.
        succeeded=status.succeeded if indexed else status.succeeded + len(uncounted.succeeded) - len(succeeded),
        failed=status.failed + len(uncounted.failed) - len(failed),
        uncountedTerminatedPods=batch.UncountedTerminatedPods(succeeded=succeeded, failed=failed),
    )
