"""Waits before failed pods are replaced: 10 s, doubling up to 10 minutes ("Job": pod backoff failure policy). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from tiphys.aio.backoff import BackoffPolicy
from tiphys.api.helpers.pods import condition
from tiphys.api.machinery.durations import later
from tiphys.controllers.shared.slim import SlimPod

POLICY = BackoffPolicy(first=10.0, cap=600.0)


class Failures(msgspec.Struct, frozen=True):
    """Failures of a Job's pods since its last success."""

    count: int = 0
    last: datetime | None = None

    def after(self, succeeded: Iterable[SlimPod], failed: Iterable[SlimPod]) -> Failures:
        """Return the failures once pods that have finished meanwhile are added."""
        success = max((finished_at(pod) for pod in succeeded), default=None)
        times = sorted(finished_at(pod) for pod in failed)
        if success is not None:
            times = [moment for moment in times if moment > success]
            return Failures(len(times), times[-1] if times else None)
        return Failures(self.count + len(times), times[-1]) if times else self

    def wait(self, now: datetime) -> float:
        """Return the seconds until the next pod may be created, 0 for now."""
        return wait(self.count, self.last, now)


NO_FAILURES = Failures()


def wait(failures: int, last: datetime | None, now: datetime) -> float:
    """Return the seconds to wait after the last of so many failures in a row, 0 for none."""
    if not failures or last is None:
        return 0.0
    return max(POLICY.delay(failures - 1) - (now - last).total_seconds(), 0.0)


def finished_at(pod: SlimPod) -> datetime:
    """Return when a pod ended: when its last container did, or else when it was not ready any more, was deleted, or was created."""
    meta = pod.metadata
    finished = _containers_finished(pod)
    if finished is None:
        ready = condition(pod, "Ready")
        finished = ready.lastTransitionTime if ready is not None and ready.status == "False" else None
    if finished is None and meta.deletionTimestamp is not None:
        finished = later(meta.deletionTimestamp, -(meta.deletionGracePeriodSeconds or 0))
    return finished or meta.creationTimestamp or datetime.min.replace(tzinfo=UTC)


def _containers_finished(pod: SlimPod) -> datetime | None:
    """Return when the last container ended, None while one has not or when that is not known."""
    sidecars = {container.name for container in pod.spec.initContainers if container.restartPolicy == "Always"}
    statuses = [*pod.status.containerStatuses, *(status for status in pod.status.initContainerStatuses if status.name in sidecars)]
    times = [status.state.terminated.finishedAt if status.state and status.state.terminated else None for status in statuses]
    known = [moment for moment in times if moment is not None]
    return max(known) if known and len(known) == len(times) else None
