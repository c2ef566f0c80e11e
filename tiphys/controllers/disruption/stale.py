"""Stale pod disruptions: takes the mark of a disruption off pods that were not deleted after all ("Pod disruption conditions")."""

from __future__ import annotations

from datetime import datetime

from tiphys.api.core import v1 as core
from tiphys.api.helpers.pods import condition, is_active
from tiphys.api.machinery.base import time
from tiphys.controllers.shared.evict import DISRUPTED
from tiphys.controllers.shared.slim import PODS, SlimPod
from tiphys.runtime import DONE, ControllerContext, Declaration, Key, Result, patch_status

STALE_SECONDS = 120.0
"""Time after which a mark counts as stale."""
BY_KUBELET = "TerminationByKubelet"
"""Reason of marks that never do: a kubelet may take long to end a pod."""


def stale_in(pod: SlimPod, now: datetime) -> float | None:
    """Return the seconds until the pod's mark is stale, 0 when it is; None for a pod without one, and for one that ends anyway. Pure."""
    mark = condition(pod, DISRUPTED)
    if mark is None or mark.status != "True" or mark.reason == BY_KUBELET or not is_active(pod):
        return None
    if mark.lastTransitionTime is None:
        return 0.0
    return max(STALE_SECONDS - (now - mark.lastTransitionTime).total_seconds(), 0.0)


class StaleDisruptionController:
    """Keys are pods."""

    declaration = Declaration(name="stale-pod-disruption", kind=core.Pod, roles=("disruption-controller",), reads=(PODS,))

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._pods = ctx.read(SlimPod)
        ctx.watch(self._pods, when=lambda old, new: new is not None and condition(new, DISRUPTED) is not None)

    async def reconcile(self, key: Key) -> Result:
        pod = self._pods.get(key)
        now = self._ctx.clock.now()
        wait = stale_in(pod, now) if pod is not None else None
        if pod is None or wait is None:
            return DONE
        if wait > 0:
            return Result(wait)
        mark = {"type": DISRUPTED, "status": "False", "lastTransitionTime": time(now), "reason": None, "message": None}
        await patch_status(self._ctx.client, core.Pod, pod.metadata, {"conditions": [mark]})
        return DONE
