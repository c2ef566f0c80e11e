"""Writing pods' statuses to the API server: the newest one per pod, at once, and again until it is there.

Each pod has at most one write under way; what changes meanwhile goes out with the next. A status equal to the last one written is not
written. After an outage the newest status goes out, and when somebody else changed it, it is put right.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec

from tiphys.aio.backoff import Backoff, BackoffPolicy
from tiphys.aio.clock import Clock
from tiphys.aio.tasks import TaskSet
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import Conflict, NotFound, StatusError
from tiphys.client.client import Client
from tiphys.node.metrics import families
from tiphys.node.metrics.terminations import count_terminations
from tiphys.node.pod.status import is_owned

log = logging.getLogger(__name__)

_RETRY = BackoffPolicy(first=0.2, cap=10.0)
_CLEARED = (
    *("message", "reason", "podIP", "podIPs", "resources", "allocatedResources"),
    *("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"),
)


def status_patch(uid: str, status: core.PodStatus, written: core.PodStatus) -> dict[str, Any]:
    """A strategic merge patch that makes the pod's status `status`, given what was written before. Pure."""
    body: dict[str, Any] = msgspec.to_builtins(status)
    for name in _CLEARED:
        body.setdefault(name, None)
    for foreign in ("nominatedNodeName", "resourceClaimStatuses"):
        body.pop(foreign, None)
    body["conditions"] = [
        {"reason": None, "message": None, **condition}
        for condition in msgspec.to_builtins([one for one in status.conditions if is_owned(one)])
    ]
    types = {condition.type for condition in status.conditions}
    body["conditions"] += [
        {"$patch": "delete", "type": condition.type}
        for condition in written.conditions
        if is_owned(condition) and condition.type not in types
    ]
    for name in ("podIPs", "hostIPs"):
        # Addresses merge by value, so one that is gone has to be said to be gone.
        if body.get(name) and getattr(written, name) and getattr(written, name) != getattr(status, name):
            body[name] = [{"$patch": "replace"}, *body[name]]
    return {"metadata": {"uid": uid}, "status": body}


def owned(status: core.PodStatus) -> bytes:
    """The part of a status that the kubelet writes, in a form to compare."""
    mine = [condition for condition in status.conditions if is_owned(condition)]
    kept = msgspec.structs.replace(
        status, conditions=sorted(mine, key=lambda one: one.type), nominatedNodeName="", resourceClaimStatuses=[]
    )
    return msgspec.json.encode(kept)


class _Slot:
    def __init__(self) -> None:
        self.desired: core.PodStatus | None = None
        self.written = core.PodStatus()
        self.written_owned = b""
        self.echo = b""
        self.version = ""
        self.since = 0.0
        """Time at which the first change came that is not written yet, by the monotonic clock."""
        self.gone = False
        self.changed = asyncio.Event()
        self.clean = asyncio.Event()
        self.task: asyncio.Task[None] | None = None


class StatusWriter:
    """Keeps the API server's idea of this node's pods up to date."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self.client = client
        self.clock = clock
        self._slots: dict[str, _Slot] = {}
        self._tasks = TaskSet()

    def set(self, pod: core.Pod, status: core.PodStatus) -> None:
        """This is the pod's status now."""
        slot = self._slots.get(pod.metadata.uid)
        if slot is None:
            slot = self._slots[pod.metadata.uid] = _Slot()
            slot.written = pod.status
            slot.written_owned = owned(pod.status)
        desired = owned(status)
        if slot.gone or desired == (owned(slot.desired) if slot.desired is not None else slot.written_owned):
            if slot.desired is None:
                slot.clean.set()
            return
        count_terminations(slot.desired or slot.written, status)
        if slot.desired is None:
            slot.since = self.clock.monotonic()
        slot.desired = status
        slot.clean.clear()
        slot.changed.set()
        if slot.task is None:
            name = f"status of {pod.metadata.namespace}/{pod.metadata.name}"
            slot.task = self._tasks.spawn(self._write_all(pod.metadata.namespace, pod.metadata.name, pod.metadata.uid, slot), name=name)

    def observe(self, pod: core.Pod) -> None:
        """Take the status that the API server shows; if another writer changed the kubelet's part, it is written again."""
        slot = self._slots.get(pod.metadata.uid)
        if slot is None or slot.desired is not None or not slot.echo or pod.metadata.resourceVersion == slot.version:
            return
        if _newer(slot.version, pod.metadata.resourceVersion) and owned(pod.status) != slot.echo:
            log.info("pod status was changed by somebody else", extra={"pod": f"{pod.metadata.namespace}/{pod.metadata.name}"})
            expected, slot.written_owned, slot.echo = slot.written, b"", b""
            self.set(pod, expected)

    async def wait_written(self, uid: str) -> None:
        """Until the newest status of the pod is with the API server, or the pod is gone from it."""
        slot = self._slots.get(uid)
        if slot is not None:
            await slot.clean.wait()

    def forget(self, uid: str) -> None:
        """The pod is gone."""
        slot = self._slots.pop(uid, None)
        if slot is not None and slot.task is not None:
            slot.task.cancel()

    async def close(self) -> None:
        """Stop writing."""
        await self._tasks.close()

    async def _write_all(self, namespace: str, name: str, uid: str, slot: _Slot) -> None:
        backoff = Backoff(_RETRY)
        try:
            while slot.desired is not None:
                desired = slot.desired
                try:
                    await self._write(namespace, name, uid, slot, desired)
                    backoff.reset()
                except (NotFound, Conflict):
                    # Gone, or another pod has the name now.
                    slot.gone, slot.desired = True, None
                except (StatusError, ConnectionError, TimeoutError, OSError) as error:
                    log.warning("pod status not written", extra={"pod": f"{namespace}/{name}", "error": str(error)})
                    await self.clock.sleep(backoff.next())
        finally:
            slot.task = None
        slot.clean.set()

    async def _write(self, namespace: str, name: str, uid: str, slot: _Slot, desired: core.PodStatus) -> None:
        body = status_patch(uid, desired, slot.written)
        answer = await self.client.patch(core.Pod, name, namespace, body=body, kind="strategic", subresource="status")
        slot.written, slot.written_owned = desired, owned(desired)
        slot.echo, slot.version = owned(answer.status), answer.metadata.resourceVersion
        if slot.desired is desired:
            slot.desired = None
            families.STATUS_SYNC.labels().observe(self.clock.monotonic() - slot.since)


def _newer(old: str, new: str) -> bool:
    return not (old.isdigit() and new.isdigit()) or int(new) > int(old)
