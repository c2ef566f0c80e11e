"""Conditions of pods whose removal was announced and did not come ("Pod disruption conditions")."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Final

from tiphys.api.core import v1 as core
from tiphys.api.helpers.pods import DISRUPTION_TARGET, condition, is_finished
from tiphys.api.machinery.base import time
from tiphys.api.machinery.errors import NotFound
from tiphys.controllers.shared.slim import PODS, SlimPod
from tiphys.runtime import DONE, ControllerContext, Declaration, Key, Result

STALE_AFTER: Final = 120.0
"""Seconds after which a pod that is not being deleted is taken to stay."""
BY_KUBELET: Final = "TerminationByKubelet"
"""Reason of a kubelet, which may take any time to end a pod."""


def stale_in(pod: SlimPod, now: datetime) -> float | None:
    """Return the seconds until the pod's condition DisruptionTarget is stale, 0 when it is, None when it never will be. Pure."""
    if pod.metadata.deletionTimestamp is not None or is_finished(pod):
        return None
    disrupted = condition(pod, DISRUPTION_TARGET)
    if disrupted is None or disrupted.status != "True" or disrupted.reason == BY_KUBELET:
        return None
    since = disrupted.lastTransitionTime
    return max(STALE_AFTER - (now - since).total_seconds(), 0.0) if since is not None else 0.0


class StaleDisruptionController:
    """Sets DisruptionTarget to False on pods that were not removed after all. Keys are pods."""

    declaration = Declaration(name="stale-disruption", kind=core.Pod, roles=("disruption-controller",), reads=(PODS,))

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._pods = ctx.read(SlimPod)
        ctx.watch(self._pods, when=lambda old, new: new is not None and stale_in(new, ctx.clock.now()) is not None)

    async def reconcile(self, key: Key) -> Result:
        pod = self._pods.get(key)
        now = self._ctx.clock.now()
        left = stale_in(pod, now) if pod is not None else None
        if pod is None or left is None:
            return DONE
        if left > 0:
            return Result(left)
        # In the version known here alone: by now it may be announced anew, or under way.
        meta = {"uid": pod.metadata.uid, "resourceVersion": pod.metadata.resourceVersion}
        gone = {"type": DISRUPTION_TARGET, "status": "False", "lastTransitionTime": time(now), "reason": "", "message": ""}
        body = {"metadata": meta, "status": {"conditions": [gone]}}
        with suppress(NotFound):
            await self._ctx.client.patch(core.Pod, key.name, key.namespace, body=body, kind="strategic", subresource="status")
        return DONE
