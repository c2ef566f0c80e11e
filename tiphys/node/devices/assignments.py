"""The devices that containers own, by pod, container and resource. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import chain

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.helpers.resources import is_sidecar
from tiphys.node.devices.pb import deviceplugin_pb2 as pb
from tiphys.node.pod.plan import AnyContainer


class Assignment(msgspec.Struct, frozen=True):
    """Devices of one resource that a container owns."""

    devices: Mapping[int, list[str]]
    """Ids by NUMA node, `NO_NODE` for those that belong to none."""
    answer: bytes
    """The plugin's ContainerAllocateResponse."""

    @property
    def ids(self) -> frozenset[str]:
        return frozenset(chain.from_iterable(self.devices.values()))

    def response(self) -> pb.ContainerAllocateResponse:
        return pb.ContainerAllocateResponse.FromString(self.answer)


class Entry(msgspec.Struct, frozen=True):
    """An assignment with its owner."""

    uid: str
    container: str
    resource: str
    assignment: Assignment


class Assignments:
    """All assignments of a node."""

    def __init__(self) -> None:
        self._owners: dict[tuple[str, str], dict[str, Assignment]] = {}

    def __iter__(self) -> Iterator[Entry]:
        for (uid, container), resources in self._owners.items():
            for resource, assignment in resources.items():
                yield Entry(uid, container, resource, assignment)

    def add(self, entry: Entry) -> None:
        """Enter an assignment, in the place of one that is there."""
        self._owners.setdefault((entry.uid, entry.container), {})[entry.resource] = entry.assignment

    def of(self, uid: str, container: str) -> Mapping[str, Assignment]:
        """Return what a container owns, by resource."""
        return self._owners.get((uid, container), {})

    def uids(self) -> set[str]:
        """Return the pods that own something."""
        return {uid for uid, _ in self._owners}

    def release(self, uid: str) -> bool:
        """Take back all that a pod owns; True if that was anything."""
        owners = [owner for owner in self._owners if owner[0] == uid]
        for owner in owners:
            del self._owners[owner]
        return bool(owners)

    def used(self, resource: str) -> set[str]:
        """Return the devices of a resource that somebody owns."""
        return {ident for entry in self if entry.resource == resource for ident in entry.assignment.ids}

    def owners(self, resource: str, ids: Collection[str]) -> set[str]:
        """Return the pods that own one of these devices."""
        return {entry.uid for entry in self if entry.resource == resource and not entry.assignment.ids.isdisjoint(ids)}

    def reusable(self, pod: core.Pod, container: AnyContainer, resource: str) -> set[str]:
        """Return the devices that init containers of the pod give on to a container: those that have ended when it starts.

        What a sidecar or an ordinary container owns is not given on, as these may run side by side ("Init Containers", resource sharing).
        """
        uid, ids = pod.metadata.uid, set[str]()
        for one in (*pod.spec.initContainers, *pod.spec.containers):
            if one.name == container.name:
                break
            owned = self.of(uid, one.name).get(resource)
            if owned is None:
                continue
            if one in pod.spec.initContainers and not is_sidecar(one):
                ids |= owned.ids
            else:
                ids -= owned.ids
        return ids
