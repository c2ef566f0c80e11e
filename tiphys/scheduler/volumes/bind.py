"""Binding of the volumes that a decision took, before its pod is bound: writes, then a wait until others have done their part.

A volume that exists is given the claim's name (`claimRef`), and the controller of volumes binds the two. For a volume that does not, the
claim is given the name of the node, and its provisioner makes one there; it takes the name away again when it cannot. All of this is in
the API: a scheduler that starts anew finds the volumes named and the nodes selected, and goes on from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from tiphys.api.core import v1 as core
from tiphys.api.helpers.volume_binding import bind_volume, is_volume_bound_to_claim, matches_node
from tiphys.api.machinery.errors import StatusError
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.well_known import SELECTED_NODE
from tiphys.client.client import Client
from tiphys.scheduler.volumes.cache import VolumeCache, VolumePlan, is_bound
from tiphys.scheduler.volumes.pod import ClaimKey

LabelsOf = Callable[[str], Mapping[str, str] | None]
"""Function that returns the labels of a node; None for an unknown one."""


class VolumesNotBound(Exception):
    """Failure to bind volumes; the message says why. The pod needs another decision."""


class VolumeBinder:
    """Binds volumes; `observed` is to be called after each change of a claim, a volume, a node, or the pod of a plan."""

    def __init__(self, client: Client, cache: VolumeCache, *, labels_of: LabelsOf, timeout: float) -> None:
        self._client = client
        self._cache = cache
        self._labels_of = labels_of
        self._timeout = timeout
        self._waiting: set[asyncio.Event] = set()

    def observed(self) -> None:
        """Let all who wait look again."""
        for event in self._waiting:
            event.set()

    async def write(self, plan: VolumePlan) -> Mapping[str, int]:
        """Write the choices of a plan; returns the versions of the objects written, for `wait`. Raises VolumesNotBound."""
        written: dict[str, int] = {}
        try:
            for name, key in plan.bindings:
                await self._bind(name, key, written)
            for key in plan.provisions:
                await self._select(key, plan.node, written)
        except (StatusError, ConnectionError) as error:
            raise VolumesNotBound(str(error)) from error
        return written

    async def wait(self, plan: VolumePlan, written: Mapping[str, int], is_wanted: Callable[[], bool]) -> None:
        """Wait until all claims of a plan are bound. Raises VolumesNotBound if that fails, takes too long, or the pod is gone."""
        event = asyncio.Event()
        self._waiting.add(event)
        try:
            async with asyncio.timeout(self._timeout):
                while not self._is_done(plan, written, is_wanted):
                    await event.wait()
                    event.clear()
        except TimeoutError:
            raise VolumesNotBound("binding volumes: context deadline exceeded") from None
        finally:
            self._waiting.discard(event)

    # ---- writes -----------------------------------------------------------------------------------------------------------------------

    async def _bind(self, name: str, key: ClaimKey, written: dict[str, int]) -> None:
        volume, claim = self._volume(name), self._claim(key)
        if volume.spec.claimRef is not None and not is_volume_bound_to_claim(volume, claim):
            raise VolumesNotBound(f'persistentvolume "{name}" was bound to another claim meanwhile')
        bound = bind_volume(volume, claim)
        if bound is volume:
            return
        body = {
            "metadata": {**_precondition(volume.metadata), "annotations": bound.metadata.annotations},
            "spec": {"claimRef": bound.spec.claimRef},
        }
        after = await self._client.patch(core.PersistentVolume, name, body=body)
        written[name] = int(after.metadata.resourceVersion)

    async def _select(self, key: ClaimKey, node: str, written: dict[str, int]) -> None:
        claim = self._claim(key)
        if claim.metadata.annotations.get(SELECTED_NODE) == node:
            return
        body = {"metadata": {**_precondition(claim.metadata), "annotations": {SELECTED_NODE: node}}}
        after = await self._client.patch(core.PersistentVolumeClaim, key[1], key[0], body=body)
        written["/".join(key)] = int(after.metadata.resourceVersion)

    # ---- checks -----------------------------------------------------------------------------------------------------------------------

    def _is_done(self, plan: VolumePlan, written: Mapping[str, int], is_wanted: Callable[[], bool]) -> bool:
        labels = self._labels_of(plan.node)
        if labels is None:
            raise VolumesNotBound(f'binding volumes: failed to get node "{plan.node}": node "{plan.node}" not found')
        if not is_wanted():
            raise VolumesNotBound("binding volumes: pod does not exist any more")
        # All are looked at, so that a failure of one is noticed while another is still waited for.
        done = [self._is_given(name, key, labels, plan.node, written) for name, key in plan.bindings]
        done += [self._is_provisioned(key, labels, plan.node, written) for key in plan.provisions]
        return all(done)

    def _is_given(self, name: str, key: ClaimKey, labels: Mapping[str, str], node: str, written: Mapping[str, int]) -> bool:
        volume, claim = self._volume(name), self._claim(key)
        if _is_older(volume.metadata, written.get(name, 0)):
            return False
        _check_reach(volume, labels, node)
        if volume.spec.claimRef is None or not volume.spec.claimRef.uid:
            raise VolumesNotBound(f'binding volumes: ClaimRef got reset for pv "{name}"')
        return is_bound(claim)

    def _is_provisioned(self, key: ClaimKey, labels: Mapping[str, str], node: str, written: Mapping[str, int]) -> bool:
        claim = self._claim(key)
        if _is_older(claim.metadata, written.get("/".join(key), 0)):
            return False
        if claim.metadata.annotations.get(SELECTED_NODE) != node:
            raise VolumesNotBound(f'binding volumes: provisioning failed for PVC "{key[1]}"')
        if claim.spec.volumeName:
            volume = self._cache.volumes.get(claim.spec.volumeName)
            if volume is None:
                # It may be read later than the claim. If it was deleted, the claim will be lost.
                return False
            _check_reach(volume, labels, node)
        return is_bound(claim)

    def _volume(self, name: str) -> core.PersistentVolume:
        volume = self._cache.volumes.get(name)
        if volume is None:
            raise VolumesNotBound(f'binding volumes: failed to check binding: persistentvolume "{name}" not found')
        return volume

    def _claim(self, key: ClaimKey) -> core.PersistentVolumeClaim:
        claim = self._cache.claims.get(key)
        if claim is None:
            raise VolumesNotBound(f'binding volumes: failed to check binding: persistentvolumeclaim "{key[1]}" not found')
        return claim


def _check_reach(volume: core.PersistentVolume, labels: Mapping[str, str], node: str) -> None:
    if not matches_node(volume, labels):
        name = volume.metadata.name
        raise VolumesNotBound(f'binding volumes: pv "{name}" node affinity doesn\'t match node "{node}": no matching NodeSelectorTerms')


def _precondition(meta: ObjectMeta) -> dict[str, Any]:
    return {"uid": meta.uid, "resourceVersion": meta.resourceVersion}


def _is_older(meta: ObjectMeta, version: int) -> bool:
    """Return whether what was written has not been read yet."""
    return bool(version) and int(meta.resourceVersion or 0) < version
