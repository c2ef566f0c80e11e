"""The control loop of volumes: their phases, and their release when their claim is gone."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.core.volumes.classes import class_of_volume
from tiphys.api.helpers.volume_plugins import successor
from tiphys.api.machinery.errors import NotFound
from tiphys.api.storage.v1 import StorageClass
from tiphys.controllers.persistentvolume.controller import RESERVED, ROLE, path_of, reserved_for
from tiphys.controllers.persistentvolume.metrics import Operations
from tiphys.controllers.persistentvolume.release import GIVEN_UP, RELEASED, release, unbound, volume_with_driver
from tiphys.runtime import DONE, ControllerContext, Declaration, Key, Result, Whole, update_present, write_status


class VolumeReleaseController:
    """Keeps the phases of volumes, and releases those whose claim is gone or has another one. Keys are volumes.

    Provisioners delete what is released. So a volume is only released when the server says that the claim of that UID does not exist, or
    when the claim names another volume, which it does for good.
    """

    declaration = Declaration(
        name="persistentvolume-release",
        kind=core.PersistentVolume,
        roles=(ROLE,),
        reads=(Whole(core.PersistentVolume), Whole(core.PersistentVolumeClaim), Whole(StorageClass)),
    )

    def __init__(self) -> None:
        self._deletions = Operations("delete")

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._volumes = ctx.read(core.PersistentVolume)
        self._claims = ctx.read(core.PersistentVolumeClaim)
        self._classes = ctx.read(StorageClass)
        self._volumes.add_index(RESERVED, reserved_for)
        ctx.watch(self._volumes)
        ctx.watch(self._claims, self._named)

    def _named(self, claim: core.PersistentVolumeClaim) -> Iterable[Key]:
        """Return the volumes that name a claim, and the one that it names."""
        if claim.spec.volumeName:
            yield Key("", claim.spec.volumeName)
        for volume in self._volumes.by_index(RESERVED, path_of(claim)):
            yield Key.of(volume)

    async def reconcile(self, key: Key) -> Result:
        cached = self._volumes.get(key)
        if cached is None:
            self._deletions.end(key, self._ctx.clock)
            return DONE
        marked = volume_with_driver(cached)
        volume = cached if marked is cached else await update_present(self._ctx.client, marked)
        if volume is None:
            return DONE
        claim = await self._claim_of(volume)
        step = release(volume, claim)
        if step.unbind:
            volume = await update_present(self._ctx.client, unbound(volume))
        if volume is None:
            return DONE
        if step.phase:
            message = step.remark.message if step.remark is not None else ""
            await self._enter(volume, step.phase, message)
        if step.remark is not None:
            self._ctx.recorder.event(volume, *step.remark)
        if step.claim_remark is not None and claim is not None:
            self._ctx.recorder.event(claim, *step.claim_remark)
        return DONE

    async def _enter(self, volume: core.PersistentVolume, phase: str, message: str) -> None:
        if volume.status.phase == phase:
            return
        await write_status(self._ctx.client, volume, msgspec.structs.replace(volume.status, phase=phase, message=message))
        if phase == RELEASED and volume.spec.persistentVolumeReclaimPolicy == "Delete":
            storage_class = self._classes.get(Key("", class_of_volume(volume)))
            plugin = successor(storage_class.provisioner) if storage_class is not None else ""
            self._deletions.begin(Key.of(volume), plugin, self._ctx.clock)

    async def _claim_of(self, volume: core.PersistentVolume) -> core.PersistentVolumeClaim | None:
        """Return the claim that a volume names, if it exists under that UID. What the cache does not show, the server is asked for."""
        reference = volume.spec.claimRef
        if reference is None or not reference.uid:
            return None
        claim = self._claims.get(Key(reference.namespace, reference.name))
        if claim is not None and claim.metadata.uid == reference.uid:
            return claim
        if claim is None and volume.status.phase in GIVEN_UP:
            return None
        try:
            claim = await self._ctx.client.get(core.PersistentVolumeClaim, reference.name, reference.namespace)
        except NotFound:
            return None
        return claim if claim.metadata.uid == reference.uid else None
