"""Pods of a StatefulSet by their place: those in the range of ordinals, and those beyond it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.helpers import pods as pod_state
from tiphys.controllers.shared.scaled import scaled
from tiphys.controllers.shared.slim import SlimPod
from tiphys.controllers.statefulset.identity import ordinal_of

BURST = 500
"""Maximum number of pods that one step creates or deletes."""


class Removal(NamedTuple):
    """Pod to delete."""

    pod: SlimPod
    unchanged: bool = False
    """True to delete it only as it is known here: it goes because it is not ready, and may have become so."""


def is_terminating(pod: SlimPod | core.Pod) -> bool:
    """Return whether a pod is being deleted."""
    return pod.metadata.deletionTimestamp is not None


def is_running_and_ready(pod: SlimPod | core.Pod) -> bool:
    """Return whether a pod runs and is ready, terminating or not."""
    return pod.status.phase == "Running" and pod_state.is_ready(pod)


def is_broken(pod: SlimPod) -> bool:
    """Return whether a pod that is not ready shows no sign that it will be: it did not start, was never ready, or its containers crash.

    The kubelet sets the Ready condition when it first reports on a pod, and then when it changes.
    """
    if pod.status.phase == "Pending" or any(container.state is not None for container in pod.status.containerStatuses):
        return True
    ready, started = pod_state.condition(pod, "Ready"), pod.status.startTime
    if ready is None or ready.lastTransitionTime is None or started is None:
        return False
    return ready.lastTransitionTime <= started + timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Members:
    """A StatefulSet, its pods, and the names of its revisions.

    Indexes count from the start ordinal, as `partition` does.
    """

    owner: apps.StatefulSet
    current: str
    update: str
    now: datetime
    replicas: dict[int, SlimPod]
    """Pods in the range of ordinals, by index."""
    condemned: list[SlimPod]
    """Pods beyond the range, the highest ordinal first."""

    @property
    def size(self) -> int:
        """Desired number of pods."""
        return size_of(self.owner)

    @property
    def start(self) -> int:
        """The first ordinal."""
        return start_of(self.owner)

    @property
    def ordered(self) -> bool:
        """True if pods start and stop one after the other (OrderedReady)."""
        return self.owner.spec.podManagementPolicy != "Parallel"

    @property
    def rolling(self) -> bool:
        """True if pods of another revision are replaced without being told to."""
        return self.owner.spec.updateStrategy.type == "RollingUpdate"

    @property
    def partition(self) -> int:
        """Index below which pods keep the current revision, 0 when nothing is said about it."""
        rolling = self.owner.spec.updateStrategy.rollingUpdate
        return (rolling.partition or 0) if rolling is not None else 0

    @property
    def max_unavailable(self) -> int:
        """Number of pods that an update may make unavailable, at least one; a percentage is rounded down."""
        rolling = self.owner.spec.updateStrategy.rollingUpdate
        if rolling is None or rolling.maxUnavailable is None:
            return 1
        return max(scaled(rolling.maxUnavailable, self.size, up=False), 1)

    def is_available(self, pod: SlimPod) -> bool:
        """Return whether a pod serves: running, ready for long enough, and not being deleted."""
        ready = is_running_and_ready(pod) and not is_terminating(pod)
        return ready and pod_state.is_available(pod, self.owner.spec.minReadySeconds, self.now)

    def slots(self) -> Iterator[tuple[int, SlimPod | None]]:
        """Yield every index with its pod in ascending order; of those without a pod, the first BURST."""
        following, gaps = 0, 0
        for index in [*sorted(self.replicas), self.size]:
            while following < index and gaps < BURST:
                yield following, None
                following, gaps = following + 1, gaps + 1
            if index < self.size:
                yield index, self.replicas[index]
            following = index + 1

    def descending(self) -> Iterator[tuple[int, SlimPod]]:
        """Yield the replicas, the highest index first."""
        for index in sorted(self.replicas, reverse=True):
            yield index, self.replicas[index]

    def revision_for(self, index: int) -> str:
        """Return the revision of a pod to create: below the partition the current one."""
        return self.current if self.rolling and index < self.partition else self.update


def size_of(owner: apps.StatefulSet) -> int:
    """Return the desired number of pods of a StatefulSet."""
    return 1 if owner.spec.replicas is None else owner.spec.replicas


def start_of(owner: apps.StatefulSet) -> int:
    """Return the first ordinal of a StatefulSet."""
    return owner.spec.ordinals.start if owner.spec.ordinals is not None else 0


def place(owner: apps.StatefulSet, current: str, update: str, pods: Iterable[SlimPod], now: datetime) -> Members:
    """Put the pods of a StatefulSet into their places."""
    members = Members(owner, current, update, now, {}, [])
    for pod in pods:
        index = ordinal_of(pod) - members.start
        if 0 <= index < members.size:
            members.replicas[index] = pod
        else:
            members.condemned.append(pod)
    members.condemned.sort(key=ordinal_of, reverse=True)
    return members
