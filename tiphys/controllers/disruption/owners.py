"""Desired number of pods according to the workloads that control them, of whatever kind: their replicas, or their scale subresource."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from tiphys.api.apps import v1 as apps
from tiphys.api.autoscaling.v1 import Scale
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import NotFound
from tiphys.api.machinery.scheme import Kind
from tiphys.api.meta.v1 import OwnerReference
from tiphys.controllers.shared.custom import custom_kind, has_scale, is_named
from tiphys.controllers.shared.slim import DEFINITIONS, SlimDefinition, SlimPod
from tiphys.runtime import ControllerContext, Informer, Key, Whole, controller_of
from tiphys.runtime.declaration import Read

Workload = apps.Deployment | apps.ReplicaSet | apps.StatefulSet | core.ReplicationController
WORKLOADS: tuple[type[Workload], ...] = (apps.Deployment, apps.ReplicaSet, apps.StatefulSet, core.ReplicationController)
"""Kinds whose replicas are read from caches."""
READS: tuple[Read, ...] = (*(Whole(type_) for type_ in WORKLOADS), DEFINITIONS)


class NoScale(Exception):
    """Error of pods whose desired number cannot be determined; the message says why."""


class Count(NamedTuple):
    """Desired number of pods, without those that nothing controls."""

    replicas: int
    unmanaged: int
    """Number of pods without a controller."""


class Owners:
    """Look-up of what controls pods."""

    def __init__(self, ctx: ControllerContext) -> None:
        self._client = ctx.client
        self.workloads: dict[tuple[str, str], Informer[Any]] = {}
        """Caches by group and kind."""
        for type_ in WORKLOADS:
            kind = ctx.client.kind_of(type_)
            self.workloads[kind.group, kind.kind] = ctx.read(type_)
        self.definitions = ctx.read(SlimDefinition)

    async def count(self, pods: Iterable[SlimPod]) -> Count:
        """Return the sum of the desired replicas of all that control the pods. Raises NoScale."""
        owners: dict[str, tuple[SlimPod, OwnerReference]] = {}
        unmanaged = 0
        for pod in pods:
            owner = controller_of(pod)
            if owner is None:
                unmanaged += 1
            else:
                owners[owner.uid] = (pod, owner)
        replicas: dict[str, int] = {}
        for pod, owner in owners.values():
            owner = self._above(pod.metadata.namespace, owner)
            if owner.uid not in replicas:
                replicas[owner.uid] = await self._replicas(pod, owner)
        return Count(sum(replicas.values()), unmanaged)

    def _above(self, namespace: str, owner: OwnerReference) -> OwnerReference:
        """Return the Deployment of a ReplicaSet that has one, else the owner itself."""
        if _group_kind(owner) != ("apps", "ReplicaSet"):
            return owner
        replica_set = self.workloads["apps", "ReplicaSet"].get(Key(namespace, owner.name))
        above = controller_of(replica_set) if replica_set is not None and replica_set.metadata.uid == owner.uid else None
        return above if above is not None and _group_kind(above) == ("apps", "Deployment") else owner

    async def _replicas(self, pod: SlimPod, owner: OwnerReference) -> int:
        namespace = pod.metadata.namespace
        informer = self.workloads.get(_group_kind(owner))
        if informer is not None:
            workload: Workload | None = informer.get(Key(namespace, owner.name))
            if workload is not None and workload.metadata.uid == owner.uid:
                return 1 if workload.spec.replicas is None else workload.spec.replicas
        else:
            scale = await self._scale(namespace, owner)
            if scale is not None and scale.metadata.uid == owner.uid:
                return scale.spec.replicas
        raise NoScale(f'found no controllers for pod "{pod.metadata.name}"')

    async def _scale(self, namespace: str, owner: OwnerReference) -> Scale | None:
        kind = self._kind(owner)
        try:
            return await self._client.get_subresource(kind, owner.name, namespace, "scale", Scale)
        except NotFound:
            return None

    def _kind(self, owner: OwnerReference) -> Kind[Any]:
        """Return the kind of an owner, which has a scale subresource. Raises NoScale."""
        for kind, scales in self._candidates(owner):
            if not scales:
                raise NoScale(f"{kind.resource} does not implement the scale subresource")
            return kind
        raise NoScale(f'no matches for kind "{owner.kind}" in version "{owner.apiVersion}"')

    def _candidates(self, owner: OwnerReference) -> Iterator[tuple[Kind[Any], bool]]:
        """Yield kinds with the owner's name, and whether they have a scale subresource."""
        kind = self._client.scheme.by_gvk(owner.apiVersion, owner.kind)
        if kind is not None:
            yield kind, any(sub.name == "scale" for sub in kind.subresources)
        for definition in self.definitions.list():
            if is_named(definition, owner.apiVersion, owner.kind):
                custom = custom_kind(definition)
                if custom is not None:
                    yield custom, has_scale(definition, custom.version)


def _group_kind(owner: OwnerReference) -> tuple[str, str]:
    return owner.apiVersion.rpartition("/")[0], owner.kind
