"""Knowledge of a loop about a Job beyond its caches, and the conditions under which it believes these.

Caches of Jobs and of pods advance independently, and a loop that starts finds what another one left. With a cache of pods that is older
than the Job's status, pods that are counted would be counted again, and pods that exist created again. So pods are taken from the cache
only when this loop wrote the counts that the status shows (the runtime waits for its writes), or saw the Job come into being after it
had asked the server how far it is; otherwise, and after a write whose result is unknown, the server is asked for the Job and its pods.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tiphys.api.batch import v1 as batch
from tiphys.api.helpers.jobs import TRACKING
from tiphys.controllers.job.backoff import NO_FAILURES, Failures
from tiphys.controllers.job.pods import Memory
from tiphys.controllers.shared.doubts import is_unknown
from tiphys.controllers.shared.slim import SlimPod

Counts = tuple[object, ...]


NOT_BEGUN: Counts = (0, 0, "", "", (), ())


def counts_of(status: batch.JobStatus) -> Counts:
    """Return the part of a status that is counted once."""
    uncounted = status.uncountedTerminatedPods or batch.UncountedTerminatedPods()
    indexes = status.completedIndexes, status.failedIndexes or ""
    return (status.succeeded, status.failed, *indexes, tuple(uncounted.succeeded), tuple(uncounted.failed))


@dataclass(slots=True)
class Sight:
    """Knowledge about one Job, from one loop's own writes."""

    uid: str
    born: int = 0
    """Revision of the Job when a watch first showed it, 0 if it was there before."""
    failures: Failures = NO_FAILURES
    _counts: Counts | None = None
    _revision: int = 0
    _settled: set[str] = field(default_factory=set)
    _deleted: set[str] = field(default_factory=set)

    @property
    def memory(self) -> Memory:
        """Pods that caches may still show as they were."""
        return Memory(frozenset(self._settled), frozenset(self._deleted))

    def trusts(self, status: batch.JobStatus, revision: int, *, begun: int) -> bool:
        """Return whether a cache of pods at `revision` is enough for a Job with this status; the loop began at revision `begun`."""
        counts = counts_of(status)
        if self._counts is None:
            return self.born > begun and counts == NOT_BEGUN
        return self._counts == counts and revision >= self._revision

    def read(self, status: batch.JobStatus, resource_version: str) -> None:
        """Note that the server was asked for the pods after this status was read."""
        self._counts = counts_of(status)
        self._revision = int(resource_version) if resource_version.isdigit() else 0

    def wrote(self, status: batch.JobStatus) -> None:
        """Note a status that is written."""
        self._counts = counts_of(status)

    def did(self, settled: Iterable[str], deleted: Iterable[str]) -> None:
        """Note pods whose finalizers are removed or that are deleted."""
        self._settled.update(settled)
        self._deleted.update(deleted)

    def look(self, pods: Iterable[SlimPod]) -> None:
        """Forget what the pods show by now."""
        if not self._settled and not self._deleted:
            return
        tracked, alive = set(), set()
        for pod in pods:
            meta = pod.metadata
            if TRACKING in meta.finalizers:
                tracked.add(meta.uid)
            if meta.deletionTimestamp is None:
                alive.add(meta.uid)
        self._settled &= tracked
        self._deleted &= alive

    def doubt(self, error: BaseException) -> None:
        """Believe nothing any more after an error that does not say whether the write took place."""
        if is_unknown(error):
            self._counts, self.born = None, 0
