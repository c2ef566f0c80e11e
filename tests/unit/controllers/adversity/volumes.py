"""Drivers and kubelets, as far as volumes concern them, and the bounds that hold for attachments at every moment."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tests.unit.controllers.adversity.actors import Change
from tests.unit.controllers.attachdetach.make import attach_or_detach, volume_name, whole_pod
from tiphys.api.core import v1 as core
from tiphys.api.helpers.pods import is_finished
from tiphys.api.machinery.errors import NotFound
from tiphys.api.storage.v1 import VolumeAttachment
from tiphys.client.client import Client
from tiphys.testing.memory_api import MemoryApi


def move(name: str, to: str, node: str) -> Change:
    """Return the replacement of a pod by another one on another node, as a scheduler does it: nobody waits for the first to end."""

    async def change(client: Client, rng: random.Random) -> None:
        with suppress(NotFound):
            await client.delete(core.Pod, name, "default")
        await client.create(whole_pod(to, node))

    return change


def use_volumes(api: MemoryApi, rng: random.Random) -> None:
    """Attach and detach, mount and unmount, start and end pods: half of it at a time.

    As kubelets do, a volume is reported in use before anybody looks whether it is attached, and until nothing uses it any more.
    """
    for attachment in api.list(VolumeAttachment):
        if rng.random() < 0.5:
            attach_or_detach(api, attachment)
    for node in api.list(core.Node):
        if rng.random() < 0.5:
            _use(api, node, rng)


def _use(api: MemoryApi, node: core.Node, rng: random.Random) -> None:
    pods = [pod for pod in api.list(core.Pod, "default") if pod.spec.nodeName == node.metadata.name]
    attached = {one.name for one in node.status.volumesAttached}
    for pod in pods:
        if pod.metadata.deletionTimestamp is not None:
            api.remove(core.Pod, pod.metadata.name, "default")
        elif pod.status.phase != "Running" and volume_of(pod) in node.status.volumesInUse and volume_of(pod) in attached:
            pod.status.phase = "Running"
            api.add(pod)
    kept = {name for name in node.status.volumesInUse if rng.random() < 0.5}
    in_use = sorted(kept | {volume_of(pod) for pod in pods if pod.metadata.deletionTimestamp is None})
    if in_use != node.status.volumesInUse:
        node.status.volumesInUse = in_use
        api.add(node)


def volume_of(pod: core.Pod) -> str:
    """Return the volume behind the claim `data-N`."""
    source = pod.spec.volumes[0].persistentVolumeClaim
    assert source is not None
    return volume_name(int(source.claimName.removeprefix("data-")))


def is_attached(api: MemoryApi) -> bool:
    """Return whether all pods run, and nodes have and report the volumes of these alone."""
    pods = [pod for pod in api.list(core.Pod, "default") if not is_finished(pod)]
    attachments = api.list(VolumeAttachment)
    desired = {(pod.spec.nodeName, volume_of(pod)) for pod in pods}
    nodes = api.list(core.Node)
    reported = {(node.metadata.name, one.name) for node in nodes for one in node.status.volumesAttached}
    used = {(node.metadata.name, name) for node in nodes for name in node.status.volumesInUse}
    settled = all(pod.status.phase == "Running" and pod.metadata.deletionTimestamp is None for pod in pods)
    attached = all(one.status.attached and one.metadata.deletionTimestamp is None for one in attachments)
    return settled and attached and desired == reported == used and len(attachments) == len(desired)


@dataclass(frozen=True)
class SafelyAttached:
    """A volume is attached to one node at a time, and let go of only when its node does not report it as attached and has it not mounted.

    It may be mounted once it is in use and reported as attached, until it is no longer in use; a pod that runs has it mounted.
    """

    def check(self, api: MemoryApi) -> None:
        objects: dict[tuple[str, str], Any] = {}
        mounted: set[tuple[str, str]] = set()
        for kind, obj in _changes(api):
            key = (obj.kind, obj.metadata.name)
            before = objects.pop(key, None)
            if kind != "delete":
                objects[key] = obj
            if isinstance(obj, core.Node):
                mounted = _mounted(obj, mounted)
            elif isinstance(obj, core.Pod):
                assert obj.status.phase != "Running" or kind == "delete" or (obj.spec.nodeName, volume_of(obj)) in mounted
            else:
                there = Counter(one.spec.source.persistentVolumeName for one in objects.values() if isinstance(one, VolumeAttachment))
                assert max(there.values(), default=0) <= 1, there
                if before is not None and _is_let_go(kind, before, obj):
                    number = int(obj.spec.source.persistentVolumeName.removeprefix("pv-"))
                    node = objects["Node", obj.spec.nodeName]
                    assert volume_name(number) not in {one.name for one in node.status.volumesAttached}
                    assert (obj.spec.nodeName, volume_name(number)) not in mounted


def _mounted(node: core.Node, before: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return the volumes that nodes may have mounted after a change of one of them."""
    name, used = node.metadata.name, set(node.status.volumesInUse)
    attached = {one.name for one in node.status.volumesAttached}
    elsewhere = {one for one in before if one[0] != name}
    return elsewhere | {(name, volume) for volume in used if volume in attached or (name, volume) in before}


def _is_let_go(kind: str, before: VolumeAttachment, after: VolumeAttachment) -> bool:
    return before.metadata.deletionTimestamp is None and (kind == "delete" or after.metadata.deletionTimestamp is not None)


def _changes(api: MemoryApi) -> Iterator[tuple[str, Any]]:
    """Yield all changes of attachments, nodes and pods in their order."""
    changes = [change for type_ in (VolumeAttachment, core.Node, core.Pod) for change in api.changes(type_)]
    for change in sorted(changes, key=lambda change: int(change.object.metadata.resourceVersion)):
        yield change.kind, change.object
