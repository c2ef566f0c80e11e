"""Number of pods that a Job runs: those to create, and those to give up ("Job": parallelism). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from tiphys.api.batch import v1 as batch
from tiphys.api.helpers import pods as pod_state
from tiphys.api.helpers.jobs import is_indexed
from tiphys.controllers.job.backoff import Failures, finished_at, wait
from tiphys.controllers.job.failure_policy import match
from tiphys.controllers.job.indexes import Indexes
from tiphys.controllers.job.pods import NO_INDEX, JobPod, Observed, ignored_failures, index_failures, replaces_failed_only
from tiphys.controllers.job.tally import Tally, all_failures
from tiphys.controllers.shared.slim import SlimPod

BURST = 500
"""Maximum number of pods that one step creates, deletes or counts."""


class NewPod(msgspec.Struct, frozen=True):
    """A pod to create; `failures` and `ignored` are those of its index so far, None where they are not counted."""

    index: int = NO_INDEX
    failures: int | None = None
    ignored: int = 0


class Size(NamedTuple):
    """Pods to create or to discard (at most one of the two), and the seconds until a failed pod may be replaced."""

    create: Sequence[NewPod] = ()
    discard: Sequence[JobPod] = ()
    after: float | None = None


def resize(job: batch.Job, observed: Observed, results: Tally, failures: Failures, now: datetime) -> Size:
    """Return the change towards the number of pods that the Job should run; discarded pods are not counted in any way."""
    spec, active = job.spec, observed.active
    if spec.suspend:
        return Size(discard=active[:BURST])
    target = desired(spec, len(active), results.succeeded)
    surplus = _surplus(spec, active, max(len(active) - target, 0))
    if surplus:
        # Room is made first, so that no index runs twice.
        return Size(discard=surplus)
    replacing = observed.terminating if replaces_failed_only(spec) else []
    missing = min(target - len(active) - len(replacing), BURST)
    if missing <= 0:
        return Size()
    if results.broken is not None:
        return _indexes_with_limits(spec, observed, results, missing, now)
    delay = failures.wait(now)
    if delay > 0:
        return Size(after=delay)
    if not is_indexed(spec):
        return Size([NewPod()] * missing)
    return Size([NewPod(index) for index in _taken(observed, results, replacing).missing(missing, spec.completions or 0)])


def desired(spec: batch.JobSpec, active: int, succeeded: int) -> int:
    """Return the number of pods that should be active. Without a number of completions, a success means that no more are started."""
    parallelism = 1 if spec.parallelism is None else spec.parallelism
    if spec.completions is None:
        return active if succeeded else parallelism
    return max(min(spec.completions - succeeded, parallelism), 0)


def _taken(observed: Observed, results: Tally, replacing: Iterable[JobPod]) -> Indexes:
    """Return the indexes that need no pod, or have one."""
    taken = results.done.union(results.broken or Indexes())
    return taken.union(Indexes.of(seen.index for seen in (*observed.active, *replacing) if seen.valid))


def _indexes_with_limits(spec: batch.JobSpec, observed: Observed, results: Tally, missing: int, now: datetime) -> Size:
    """Choose indexes that each have failures and waits of their own. One that has to wait leaves its place to another."""
    waits: dict[int, float] = {}
    for index, failed in results.delayed.items():
        delay = wait(all_failures(failed) + 1, finished_at(failed.pod), now)
        if delay > 0:
            waits[index] = delay
    replacing = observed.terminating if replaces_failed_only(spec) else []
    taken = _taken(observed, results, replacing).union(Indexes.of(waits))
    create = [_replacement(spec, index, results.delayed.get(index)) for index in taken.missing(missing, spec.completions or 0)]
    return Size(create, after=min(waits.values(), default=None) if len(create) < missing else None)


def _replacement(spec: batch.JobSpec, index: int, failed: JobPod | None) -> NewPod:
    if failed is None:
        return NewPod(index, 0)
    failures, ignored = index_failures(failed.pod), ignored_failures(failed.pod)
    if match(spec.podFailurePolicy, failed.pod).counts:
        return NewPod(index, failures + 1, ignored)
    return NewPod(index, failures, ignored + 1)


def _surplus(spec: batch.JobSpec, active: Sequence[JobPod], count: int) -> list[JobPod]:
    """Return at least `count` pods to give up, up to BURST, and among them all that cannot be counted.

    Those are pods without the tracking finalizer (an earlier removal was interrupted), without a valid index, and all but one of an index.
    """
    if count == 0 and _all_useful(spec, active):
        return []
    useless: list[JobPod] = []
    left: dict[object, JobPod] = {}
    for seen in sorted(active, key=_worth, reverse=True):
        key: object = seen.index if is_indexed(spec) else seen.uid
        if not seen.tracked or not seen.valid or key in left:
            useless.append(seen)
        else:
            left[key] = seen
    more = max(count - len(useless), 0)
    ranked = list(left.values())
    return (useless + ranked[len(ranked) - more :])[:BURST]


def _all_useful(spec: batch.JobSpec, active: Sequence[JobPod]) -> bool:
    if not all(seen.tracked and seen.valid for seen in active):
        return False
    return not is_indexed(spec) or len({seen.index for seen in active}) == len(active)


_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}


def _worth(seen: JobPod) -> tuple[object, ...]:
    """Return a sort key, larger for pods that are further: bound, running, ready, long ready, few restarts, old."""
    pod: SlimPod = seen.pod
    ready = pod_state.available_at(pod, 0)
    return (
        bool(pod.spec.nodeName),
        _PHASES.get(pod.status.phase, 0),
        pod_state.is_ready(pod),
        -_moment(ready),
        -pod_state.restarts(pod),
        -_moment(pod.metadata.creationTimestamp),
        pod.metadata.name,
    )


def _moment(moment: datetime | None) -> float:
    return (moment or datetime.max.replace(tzinfo=UTC)).timestamp()
