"""The pods of a Job, each looked at once. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from tiphys.api.batch import v1 as batch
from tiphys.api.helpers.jobs import COMPLETION_INDEX, TRACKING, is_indexed
from tiphys.controllers.shared.slim import SlimPod

FAILURES = "batch.kubernetes.io/job-index-failure-count"
IGNORED_FAILURES = "batch.kubernetes.io/job-index-ignored-failure-count"
"""Annotations of a pod of a Job with a backoff limit per index: failures of the index before it, counted and ignored ones."""
NO_INDEX = -1
_MAX = 2**31 - 1


class JobPod(msgspec.Struct, frozen=True):
    """A pod, and what it means for its Job."""

    pod: SlimPod
    uid: str
    index: int
    """Completion index, NO_INDEX for none."""
    valid: bool
    """True unless the Job is indexed and this is none of its indexes."""
    tracked: bool
    """True if it carries the tracking finalizer: its end is still to be counted."""
    deleting: bool
    succeeded: bool
    failed: bool
    """True if it failed, or if it is being deleted and the Job counts that as a failure."""
    finished: bool

    @property
    def active(self) -> bool:
        """True if it runs or waits, and is to go on."""
        return not self.finished and not self.deleting


class Observed(NamedTuple):
    """The pods of a Job that still matter: those that are tracked or not finished."""

    tracked: list[JobPod]
    active: list[JobPod]
    terminating: list[JobPod]
    """Those that are being deleted and have not ended."""


class Memory(NamedTuple):
    """Uids that caches may show as they were: pods whose finalizer is removed, and pods that are deleted."""

    settled: frozenset[str] = frozenset()
    deleted: frozenset[str] = frozenset()


NOTHING_DONE = Memory()


def observe(job: batch.Job, pods: Iterable[SlimPod], memory: Memory = NOTHING_DONE) -> Observed:
    """Sort out the pods of a Job. `memory` is what this loop did to them that `pods` may not show."""
    observed = Observed([], [], [])
    ends_on_deletion = not replaces_failed_only(job.spec)
    limit = (job.spec.completions or 0) if is_indexed(job.spec) else None
    for pod in pods:
        meta, phase = pod.metadata, pod.status.phase
        succeeded, finished = phase == "Succeeded", phase in ("Succeeded", "Failed")
        deleting = meta.deletionTimestamp is not None or meta.uid in memory.deleted
        tracked = TRACKING in meta.finalizers and meta.uid not in memory.settled
        if finished and not tracked:
            continue
        index = completion_index(pod) if limit is not None else NO_INDEX
        failed = phase == "Failed" or (deleting and not succeeded and ends_on_deletion)
        valid = limit is None or 0 <= index < limit
        seen = JobPod(pod, meta.uid, index, valid, tracked, deleting, succeeded, failed, finished)
        if tracked:
            observed.tracked.append(seen)
        if not finished:
            (observed.terminating if deleting else observed.active).append(seen)
    return observed


def replaces_failed_only(spec: batch.JobSpec) -> bool:
    """Return whether a pod is replaced, and counts as failed, once it has ended rather than when its deletion begins."""
    return spec.podReplacementPolicy == "Failed" or spec.podFailurePolicy is not None


def completion_index(pod: SlimPod) -> int:
    """Return the completion index of a pod, NO_INDEX when it has none."""
    text = pod.metadata.annotations.get(COMPLETION_INDEX, "")
    return int(text) if text.isdecimal() else NO_INDEX


def index_failures(pod: SlimPod) -> int:
    """Return the failures of its index that counted before this pod."""
    return _number(pod, FAILURES)


def ignored_failures(pod: SlimPod) -> int:
    """Return the failures of its index that were ignored before this pod."""
    return _number(pod, IGNORED_FAILURES)


def _number(pod: SlimPod, annotation: str) -> int:
    text = pod.metadata.annotations.get(annotation, "")
    number = int(text) if text.isdecimal() else 0
    return number if number <= _MAX else 0
