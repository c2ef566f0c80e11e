"""Desired number of a budget's pods, as their owners have it ("Specifying a Disruption Budget for your Application")."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tiphys.api.apps import v1 as apps
from tiphys.api.autoscaling.v1 import Scale
from tiphys.api.machinery.errors import NotFound
from tiphys.api.meta.v1 import OwnerReference
from tiphys.client.client import Client
from tiphys.controllers.shared.scales import is_scalable, named_kind
from tiphys.controllers.shared.slim import SlimDefinition, SlimPod
from tiphys.runtime import Informer, Key, controller_of


class NoScale(Exception):
    """The desired number of pods cannot be determined; the message says why."""


class NoOwner(NoScale):
    """A pod's owner does not exist (any more, or its kind is not served yet): either passes, and nothing announces it."""


class Owner(NamedTuple):
    """Owner of pods, and the number of pods that it should have."""

    uid: str
    replicas: int


class Owners:
    """Owners of pods: ReplicaSets and their Deployments from the caches, other kinds, built in or custom, through their scales."""

    def __init__(
        self,
        client: Client,
        sets: Informer[apps.ReplicaSet],
        deployments: Informer[apps.Deployment],
        definitions: Informer[SlimDefinition],
    ) -> None:
        self._client = client
        self._sets = sets
        self._deployments = deployments
        self._definitions = definitions

    async def scale(self, pods: Iterable[SlimPod]) -> tuple[int, bool]:
        """Return the sum of the desired replicas of the pods' owners, and whether every pod has an owner; raises NoScale."""
        owned: dict[str, Owner] = {}
        complete = True
        for pod in pods:
            reference = controller_of(pod)
            if reference is None:
                complete = False
            elif reference.uid not in owned:
                owner = self._cached(pod.metadata.namespace, reference) or await self._scaled(pod.metadata.namespace, reference)
                if owner is None:
                    raise NoOwner(f'found no controllers for pod "{pod.metadata.name}"')
                owned[reference.uid] = owner
        return sum({owner.uid: owner.replicas for owner in owned.values()}.values()), complete

    def _cached(self, namespace: str, reference: OwnerReference) -> Owner | None:
        """Return the ReplicaSet that a reference names, or the Deployment above it."""
        if reference.kind != "ReplicaSet" or not reference.apiVersion.startswith("apps/"):
            return None
        replica_set = self._sets.get(Key(namespace, reference.name))
        if replica_set is None or replica_set.metadata.uid != reference.uid:
            return None
        above = controller_of(replica_set)
        if above is None or above.kind != "Deployment":
            return _owner(replica_set)
        deployment = self._deployments.get(Key(namespace, above.name))
        return _owner(deployment) if deployment is not None and deployment.metadata.uid == above.uid else None

    async def _scaled(self, namespace: str, reference: OwnerReference) -> Owner | None:
        """Read the scale of the owner that a reference names."""
        kind = named_kind(self._client.scheme, self._definitions.list(), reference.apiVersion, reference.kind)
        if kind is None:
            raise NoScale(f'no matches for kind "{reference.kind}" in version "{reference.apiVersion}"')
        if not is_scalable(kind):
            raise NoScale(f"{kind.resource} does not implement the scale subresource")
        try:
            scale = await self._client.get_subresource(kind, reference.name, namespace, "scale", Scale)
        except NotFound:
            return None
        return Owner(reference.uid, scale.spec.replicas) if scale.metadata.uid == reference.uid else None


def _owner(workload: apps.Deployment | apps.ReplicaSet) -> Owner:
    return Owner(workload.metadata.uid, 1 if workload.spec.replicas is None else workload.spec.replicas)
