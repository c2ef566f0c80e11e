"""Writes of the scheduler: bindings, the PodScheduled condition, victims of preemption, and the events about them."""

from __future__ import annotations

from typing import Any

from tiphys.aio.backoff import BackoffPolicy
from tiphys.aio.clock import Clock
from tiphys.api.core import v1 as core
from tiphys.api.helpers.pods import DISRUPTION_TARGET
from tiphys.api.machinery import base
from tiphys.api.machinery.errors import Conflict, NotFound, StatusError
from tiphys.api.meta.v1 import ObjectMeta, Status
from tiphys.client.client import Client
from tiphys.obs.logging import get_logger
from tiphys.runtime.recorder import EventRecorder
from tiphys.scheduler.preempt import Room
from tiphys.scheduler.slim import SlimPod
from tiphys.scheduler.template import PodInfo

log = get_logger(__name__)

BINDS_AT_ONCE = 64
TRIES = 5
PAUSE = BackoffPolicy(first=0.1, cap=2.0)
SCHEDULED, UNSCHEDULABLE, SCHEDULER_ERROR = "PodScheduled", "Unschedulable", "SchedulerError"
PREEMPTED = "PreemptionByScheduler"


class Writer:
    """Writer that acts as the scheduler `name`; never raises the server's errors."""

    def __init__(self, client: Client, recorder: EventRecorder, *, name: str, clock: Clock) -> None:
        self._client = client
        self._recorder = recorder
        self._name = name
        self._clock = clock

    async def bind(self, info: PodInfo, node: str) -> bool:
        """Bind a pod to a node; returns False when that failed and the place on the node is free again.

        When there is no answer the binding may have happened: it is tried again, and when that is refused the pod itself is looked at.
        """
        key = info.key
        binding = core.Binding(
            metadata=ObjectMeta(name=key.name, namespace=key.namespace, uid=info.uid),
            target=core.ObjectReference(kind="Node", name=node),
        )
        for number in range(TRIES):
            try:
                await self._client.post(core.Pod, key.name, key.namespace, "binding", binding, Status)
            except (Conflict, NotFound) as error:
                if number and await self._is_bound(info, node):
                    # An earlier try was lost on its way back, not on its way there.
                    return True
                log.info("binding refused", extra={"pod": str(key), "node": node, "error": str(error)})
                return False
            except StatusError as error:
                log.warning("binding failed", extra={"pod": str(key), "node": node, "error": str(error)})
                return False
            except ConnectionError:
                await self._clock.sleep(PAUSE.delay(number))
            else:
                message = f"Successfully assigned {key} to {node}"
                self._recorder.event(info.pod, "Normal", "Scheduled", message, action="Binding")
                return True
        return False

    async def _is_bound(self, info: PodInfo, node: str) -> bool:
        try:
            pod = await self._client.get(core.Pod, info.key.name, info.key.namespace)
        except (StatusError, ConnectionError):
            return False
        return pod.metadata.uid == info.uid and pod.spec.nodeName == node

    async def unschedulable(self, info: PodInfo, message: str, nominated: str) -> None:
        """Report why a pod waits: with an event each time, and in the condition and the nominated node when they change."""
        status = self._waits(info, UNSCHEDULABLE, message)
        if nominated != info.pod.status.nominatedNodeName:
            status["nominatedNodeName"] = nominated or None
        if status:
            await self._patch_status(info, status)

    async def failed(self, info: PodInfo, message: str) -> None:
        """Report why a pod that had a node waits again; clears the nominated node."""
        await self._patch_status(info, {**self._waits(info, SCHEDULER_ERROR, message), "nominatedNodeName": None})

    async def nominate(self, info: PodInfo, node: str) -> None:
        """Show the node of a pod whose binding takes time, so that others can plan with it (KEP-5278)."""
        if info.pod.status.nominatedNodeName != node:
            await self._patch_status(info, {"nominatedNodeName": node})

    def _waits(self, info: PodInfo, reason: str, message: str) -> dict[str, Any]:
        """Send the event, and return the condition if it has changed."""
        self._recorder.event(info.pod, "Warning", "FailedScheduling", message, action="Scheduling")
        if not _differs(info.pod, reason, message):
            return {}
        known = _condition_of(info.pod)
        since = known.lastTransitionTime if known is not None and known.status == "False" else None
        return {"conditions": [self._condition(info.pod, SCHEDULED, "False", reason, message, since=since)]}

    async def preempt(self, info: PodInfo, room: Room) -> bool:
        """Delete the victims; returns whether all of them are terminating (or gone)."""
        good = True
        for victim in room.victims:
            if victim.terminating:
                continue
            message = f"{self._name}: preempting to accommodate a higher priority pod"
            condition = self._condition(victim.pod, DISRUPTION_TARGET, "True", PREEMPTED, message)
            await self._patch_status(victim, {"conditions": [condition]})
            try:
                await self._client.delete(core.Pod, victim.key.name, victim.key.namespace, uid=victim.uid)
            except NotFound:
                continue
            except (StatusError, ConnectionError) as error:
                log.warning("victim not deleted", extra={"pod": str(victim.key), "error": str(error)})
                good = False
            else:
                message = f"Preempted by pod {info.uid} on node {room.node}"
                self._recorder.event(victim.pod, "Normal", "Preempted", message, action="Preempting")
        return good

    async def unnominate(self, info: PodInfo) -> None:
        """Clear a pod's nominated node."""
        await self._patch_status(info, {"nominatedNodeName": None})

    async def _patch_status(self, info: PodInfo, status: dict[str, Any]) -> None:
        body = {"metadata": {"uid": info.uid}, "status": status}
        try:
            await self._client.patch(core.Pod, info.key.name, info.key.namespace, body=body, kind="strategic", subresource="status")
        except (StatusError, ConnectionError) as error:
            log.info("status not written", extra={"pod": str(info.key), "error": str(error)})

    def _condition(self, pod: SlimPod, type_: str, status: str, reason: str, message: str, *, since: object = None) -> dict[str, Any]:
        condition = {
            "type": type_,
            "status": status,
            "reason": reason,
            "message": message,
            "lastTransitionTime": since or base.time(self._clock.now()),
        }
        if pod.metadata.generation:
            condition["observedGeneration"] = pod.metadata.generation
        return condition


def _condition_of(pod: SlimPod) -> core.PodCondition | None:
    return next((one for one in pod.status.conditions if one.type == SCHEDULED), None)


def _differs(pod: SlimPod, reason: str, message: str) -> bool:
    known = _condition_of(pod)
    return known is None or (known.status, known.reason, known.message) != ("False", reason, message)


def is_preempted(pod: SlimPod) -> bool:
    """Return whether the pod was chosen as a victim of preemption."""
    return any(one.type == DISRUPTION_TARGET and one.status == "True" and one.reason == PREEMPTED for one in pod.status.conditions)
