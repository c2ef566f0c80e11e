"""The resources of one pod while it runs: what the node has agreed to, what is in force, and the way from one to the other (KEP-1287).

The decisions are in `pod/resize_rules.py`, the node's book in `pod/allocations.py`, the record on disk in `pod/admitted.py`.
"""

from __future__ import annotations

from collections.abc import Callable

from tiphys.api.core import v1 as core
from tiphys.node.cri.errors import CriError
from tiphys.node.pod import resize_rules
from tiphys.node.pod.actions import PodActions
from tiphys.node.pod.observed import Observed
from tiphys.node.pod.plan import Plan
from tiphys.node.services import NodeServices


class Resizing:
    """The allocation of one pod, and its resizes."""

    def __init__(self, services: NodeServices, uid: str, pod: core.Pod | None, seen: Observed) -> None:
        self.services = services
        self.uid = uid
        self.recorded = services.admitted.read(uid)
        """The allocation on disk; None for a pod that was not admitted."""
        self.allocated, self.applied = resize_rules.adopted(pod, seen, self.recorded) if pod is not None else ({}, {})
        self.pending: resize_rules.Pending | None = None
        unfinished = pod is not None and resize_rules.is_unfinished(pod, seen, self.allocated, self.applied)
        self.progress = resize_rules.Progress(pod.metadata.generation) if pod is not None and unfinished else None
        self._pending_since = 0.0

    def sized(self, pod: core.Pod) -> core.Pod:
        """The pod with the resources that it was given."""
        return resize_rules.with_sizes(pod, self.allocated)

    def conditions(self, pod: core.Pod) -> list[core.PodCondition]:
        """Return the conditions of the pod's resize."""
        return resize_rules.conditions(pod.metadata.generation, self.pending, self.progress)

    def agree(self, pod: core.Pod, enter: Callable[[], None], offered: Callable[[], None]) -> None:
        """Agree to the resources that the pod wants, and `enter` it, or note why not: `offered` is called when there may be room."""
        sizes = resize_rules.sizes_of(pod)
        if sizes == self.allocated:
            self.pending = None
            return
        before, self.pending = self.pending, self.services.allocations.judge(pod)
        generation = pod.metadata.generation
        if self.pending is None:
            self.allocated = sizes
            self.progress = resize_rules.Progress(generation)
            self.services.tell(pod, "", "Normal", "ResizeStarted", resize_rules.summary("Pod resize started", pod, generation))
            enter()
            return
        if before is None or before.reason != self.pending.reason:
            self._pending_since = self.services.clock.now().timestamp()
            message = resize_rules.summary(f"Pod resize {self.pending.reason}", pod, generation, self.pending.message)
            self.services.tell(pod, "", "Warning", f"Resize{self.pending.reason}", message)
        self.services.allocations.wait(pod, self._pending_since, offered)

    async def record(self) -> None:
        """Have the allocation on disk. Raises OSError."""
        if self.recorded == self.allocated:
            return
        sizes = dict(self.allocated)
        await self.services.admitted.write(self.uid, sizes)
        self.recorded = sizes

    def forget_ended(self, seen: Observed) -> None:
        """Forget the resources of containers that are gone."""
        alive = {one.id for one in seen.containers}
        for ident in self.applied.keys() - alive:
            del self.applied[ident]

    async def carry_on(self, pod: core.Pod, plan: Plan, seen: Observed, actions: PodActions) -> bool:
        """Carry on a resize that is in progress; False when that failed."""
        if self.progress is None:
            return True
        generation = self.progress.generation
        self.applied.update(resize_rules.already(pod, seen, self.applied))
        try:
            await actions.resize(pod, plan)
        except (CriError, OSError) as error:
            reason = str(error)
            if reason != self.progress.error:
                message = resize_rules.summary("Pod resize error", pod, generation, reason)
                self.services.tell(pod, "", "Warning", "ResizeError", message)
            self.progress = resize_rules.Progress(generation, reason)
            return False
        finished = not plan.stop and not plan.start and resize_rules.settled(pod, self.services.relister.get(self.uid), self.applied)
        if finished and self.progress.generation == generation:
            self.progress = None
            self.services.tell(pod, "", "Normal", "ResizeCompleted", resize_rules.summary("Pod resize completed", pod, generation))
        return True
