"""What the scheduler writes: bindings, the PodScheduled condition, and the two events people look for."""

from __future__ import annotations

from typing import Any

from tiphys.aio.backoff import BackoffPolicy
from tiphys.aio.clock import Clock
from tiphys.api import base
from tiphys.api.core import v1 as core
from tiphys.api.errors import Conflict, NotFound, StatusError
from tiphys.api.meta.v1 import ObjectMeta, Status
from tiphys.client.client import Client
from tiphys.obs.logging import get_logger
from tiphys.runtime.recorder import EventRecorder
from tiphys.scheduler.template import PodInfo

log = get_logger(__name__)

BINDS_AT_ONCE = 64
TRIES = 5
PAUSE = BackoffPolicy(first=0.1, cap=2.0)
SCHEDULED, UNSCHEDULABLE = "PodScheduled", "Unschedulable"


class Writer:
    """Writes through the client; never raises what the server says."""

    def __init__(self, client: Client, recorder: EventRecorder, *, clock: Clock) -> None:
        self._client = client
        self._recorder = recorder
        self._clock = clock

    async def bind(self, info: PodInfo, node: str) -> bool:
        """Assign a pod to a node; False when that failed and the place on the node is free again.

        When there is no answer the binding may have happened: it is tried again, and a Conflict then means that the informer will tell.
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

    async def unschedulable(self, info: PodInfo, message: str) -> None:
        """Tell why a pod waits: an event each time, the condition when it changes."""
        self._recorder.event(info.pod, "Warning", "FailedScheduling", message, action="Scheduling")
        if not _differs(info.pod, message):
            return
        body = {"metadata": {"uid": info.uid}, "status": {"conditions": [self._condition(info.pod, message)]}}
        try:
            await self._client.patch(core.Pod, info.key.name, info.key.namespace, body=body, kind="strategic", subresource="status")
        except (StatusError, ConnectionError) as error:
            log.info("condition not written", extra={"pod": str(info.key), "error": str(error)})

    def _condition(self, pod: core.Pod, message: str) -> dict[str, Any]:
        known = _condition_of(pod)
        at = known.lastTransitionTime if known is not None and known.status == "False" else None
        condition = core.PodCondition(
            type=SCHEDULED,
            status="False",
            reason=UNSCHEDULABLE,
            message=message,
            lastTransitionTime=at or base.time(self._clock.now()),
            observedGeneration=pod.metadata.generation or 0,
        )
        return {name: getattr(condition, name) for name in condition.__struct_fields__ if getattr(condition, name)}


def _condition_of(pod: core.Pod) -> core.PodCondition | None:
    return next((one for one in pod.status.conditions if one.type == SCHEDULED), None)


def _differs(pod: core.Pod, message: str) -> bool:
    known = _condition_of(pod)
    return known is None or (known.status, known.reason, known.message) != ("False", UNSCHEDULABLE, message)
