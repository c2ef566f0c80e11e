"""Results of the pods of a Job: its status, and the pods that ended since. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tiphys.api.batch import v1 as batch
from tiphys.api.helpers.jobs import is_indexed
from tiphys.controllers.job.backoff import finished_at
from tiphys.controllers.job.failure_policy import match
from tiphys.controllers.job.indexes import Indexes
from tiphys.controllers.job.pods import JobPod, Observed, ignored_failures, index_failures


class Tally(NamedTuple):
    """Results so far, pods that the status does not count yet included."""

    succeeded: int
    failed: int
    new_succeeded: Sequence[JobPod]
    new_failed: Sequence[JobPod]
    """Pods that ended and that the status does not know yet; also failures that the policy ignores."""
    done: Indexes
    """Indexes that succeeded."""
    broken: Indexes | None
    """Indexes that failed for good; None without a backoff limit per index."""
    delayed: Mapping[int, JobPod]
    """Failed pods that stay until they are replaced, by index: their replacement takes over the count of failures."""


def tally(job: batch.Job, observed: Observed) -> Tally:
    """Return the results of a Job."""
    spec, status = job.spec, job.status
    uncounted = status.uncountedTerminatedPods or batch.UncountedTerminatedPods()
    succeeded, failed = frozenset(uncounted.succeeded), frozenset(uncounted.failed)
    fresh = [seen for seen in observed.tracked if seen.valid and seen.uid not in failed]
    new_failed = [seen for seen in fresh if seen.failed]
    counting = sum(match(spec.podFailurePolicy, seen.pod).counts for seen in new_failed)
    failures = status.failed + len(failed) + counting
    new_succeeded = [seen for seen in fresh if seen.succeeded and seen.uid not in succeeded]
    if not is_indexed(spec):
        successes = status.succeeded + len(succeeded) + len(new_succeeded)
        return Tally(successes, failures, new_succeeded, new_failed, Indexes(), None, {})
    done, broken = _indexes(job, observed, new_succeeded)
    delayed = _delayed(observed, done, broken) if broken is not None else {}
    return Tally(done.total, failures, new_succeeded, new_failed, done, broken, delayed)


def _indexes(job: batch.Job, observed: Observed, succeeded: Sequence[JobPod]) -> tuple[Indexes, Indexes | None]:
    """Return the indexes that are done and those that failed for good. What an index has become it stays."""
    completions = job.spec.completions or 0
    done = Indexes.parse(job.status.completedIndexes, completions)
    if job.spec.backoffLimitPerIndex is None:
        return done.union(Indexes.of(seen.index for seen in succeeded)), None
    broken = Indexes.parse(job.status.failedIndexes or "", completions)
    done = done.union(Indexes.of(seen.index for seen in succeeded if not broken.has(seen.index)))
    failing = (seen.index for seen in observed.tracked if seen.valid and not done.has(seen.index) and _fails_index(job, seen))
    return done, broken.union(Indexes.of(failing))


def _fails_index(job: batch.Job, seen: JobPod) -> bool:
    """Return whether the pod is the last failure that its index may have."""
    if not seen.failed:
        return False
    verdict = match(job.spec.podFailurePolicy, seen.pod)
    return verdict.action == "FailIndex" or (verdict.counts and index_failures(seen.pod) >= (job.spec.backoffLimitPerIndex or 0))


def _delayed(observed: Observed, done: Indexes, broken: Indexes) -> dict[int, JobPod]:
    active = {seen.index for seen in observed.active}
    delayed: dict[int, JobPod] = {}
    for seen in observed.tracked:
        decided = seen.index in active or done.has(seen.index) or broken.has(seen.index)
        if not seen.failed or not seen.valid or decided:
            continue
        other = delayed.get(seen.index)
        if other is None or _seniority(seen) >= _seniority(other):
            delayed[seen.index] = seen
    return delayed


def _seniority(seen: JobPod) -> tuple[int, float]:
    return all_failures(seen), finished_at(seen.pod).timestamp()


def all_failures(seen: JobPod) -> int:
    """Return the failures of its index before this pod, ignored ones included."""
    return index_failures(seen.pod) + ignored_failures(seen.pod)
