"""The admission of one pod to the node: decided once, with room made for critical pods. The rules are in `pod/admission_rules.py`."""

from __future__ import annotations

from collections.abc import Callable

from tiphys.api.core import v1 as core
from tiphys.node.metrics import families
from tiphys.node.pod import preemption
from tiphys.node.pod.admission_rules import Rejection
from tiphys.node.services import NodeServices

_NO_VICTIMS = (
    "Unexpected error while attempting to recover from admission failure: preemption: error finding a set of pods to preempt: "
    "no set of running pods found to reclaim resources"
)


class Admission:
    """Decides whether the node takes a pod."""

    def __init__(self, services: NodeServices, *, decided: bool) -> None:
        """`decided` is True for a pod that was admitted before this kubelet started: it stays, whatever the node looks like now."""
        self.services = services
        self.decided = decided

    async def decide(self, pod: core.Pod, enter: Callable[[], None]) -> Rejection | None:
        """Admit the pod and call `enter` to account for it, or return the rejection.

        When pods of lower priority are evicted to make room, nothing is decided yet (`decided` stays False): the pod must be checked again,
        since another may take the room. Raises StatusError or OSError if the decision cannot be made now.
        """
        async with self.services.admissions:
            rejected = await self.services.rejection(pod) or await self.services.assign(pod)
            if rejected is None:
                self.decided = True
                enter()
                return None
        if rejected.missing and preemption.is_critical(pod):
            try:
                chosen = preemption.victims(pod, self.services.allocations.others(pod.metadata.uid), rejected.missing)
            except preemption.NoRoom as error:
                rejected = Rejection("UnexpectedAdmissionError", f"{_NO_VICTIMS}: {error}")
            else:
                families.PREEMPTIONS.labels(next(iter(rejected.missing))).inc(len(chosen))
                await self.services.allocations.preempt([one.metadata.uid for one in chosen])
                return None
        self.decided = True
        return rejected
