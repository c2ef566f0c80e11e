"""Protection of claims, volumes and classes of attributes. Users are looked up in the caches first, and on the server before a
finalizer goes."""

from __future__ import annotations

from collections.abc import Iterable

from tiphys.api.core import v1 as core
from tiphys.api.helpers.pods import is_finished
from tiphys.api.meta.v1 import KubeObject
from tiphys.api.storage.v1 import VolumeAttributesClass
from tiphys.api.well_known import PV_PROTECTION, PVC_PROTECTION, VAC_PROTECTION
from tiphys.controllers.protection.plan import classes_of, finalizers_after, is_leaving, uses_claim
from tiphys.controllers.shared.slim import PODS, SlimPod
from tiphys.controllers.shared.volumes import CLAIM, claims_of, index_claims
from tiphys.runtime import DONE, ControllerContext, Declaration, Key, Result, Whole, copied, update_present

CLASS = "classes of attributes"


class ClaimProtectionController:
    """Protects claims. Keys are claims."""

    declaration = Declaration(
        name="persistentvolumeclaim-protection-controller",
        kind=core.PersistentVolumeClaim,
        roles=("pvc-protection-controller",),
        reads=(Whole(core.PersistentVolumeClaim), PODS),
        guards=True,
    )

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._claims = ctx.read(core.PersistentVolumeClaim)
        self._pods = index_claims(ctx.read(SlimPod))
        ctx.watch(self._claims, when=lambda old, new: new is not None)
        ctx.watch(self._pods, _claims, when=_may_free)

    async def reconcile(self, key: Key) -> Result:
        claim = self._claims.get(key)
        if claim is not None:
            used = is_leaving(claim.metadata, PVC_PROTECTION) and await self._is_used(claim)
            await _settle(self._ctx, claim, PVC_PROTECTION, used=used)
        return DONE

    async def _is_used(self, claim: core.PersistentVolumeClaim) -> bool:
        namespace, name = claim.metadata.namespace, claim.metadata.name
        if any(uses_claim(pod, claim) for pod in self._pods.by_index(CLAIM, f"{namespace}/{name}")):
            return True
        return any(uses_claim(pod, claim) for pod in (await self._ctx.client.list(self._pods.kind, namespace)).items)


def _claims(pod: SlimPod) -> Iterable[Key]:
    return [Key(pod.metadata.namespace, name) for name in claims_of(pod)]


def _may_free(old: SlimPod | None, new: SlimPod | None) -> bool:
    """Return whether a change of a pod can end its use of a claim."""
    pod = new or old
    return bool(pod is not None and pod.spec.volumes) and (new is None or is_finished(new) or new.metadata.deletionTimestamp is not None)


class VolumeProtectionController:
    """Protects volumes. Keys are volumes."""

    declaration = Declaration(
        name="persistentvolume-protection-controller",
        kind=core.PersistentVolume,
        roles=("pv-protection-controller",),
        reads=(Whole(core.PersistentVolume),),
        guards=True,
    )

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._volumes = ctx.read(core.PersistentVolume)
        ctx.watch(self._volumes, when=lambda old, new: new is not None)

    async def reconcile(self, key: Key) -> Result:
        volume = self._volumes.get(key)
        if volume is not None:
            await _settle(self._ctx, volume, PV_PROTECTION, used=volume.status.phase == "Bound")
        return DONE


class AttributesClassProtectionController:
    """Protects classes of attributes. Keys are classes."""

    declaration = Declaration(
        name="volumeattributesclass-protection-controller",
        kind=VolumeAttributesClass,
        roles=("volumeattributesclass-protection-controller",),
        reads=(Whole(VolumeAttributesClass), Whole(core.PersistentVolume), Whole(core.PersistentVolumeClaim)),
        guards=True,
    )

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._classes = ctx.read(VolumeAttributesClass)
        self._volumes = ctx.read(core.PersistentVolume)
        self._claims = ctx.read(core.PersistentVolumeClaim)
        self._volumes.add_index(CLASS, classes_of)
        self._claims.add_index(CLASS, classes_of)
        ctx.watch(self._classes, when=lambda old, new: new is not None)
        self._volumes.subscribe(self._left)
        self._claims.subscribe(self._left)

    def _left(
        self, old: core.PersistentVolume | core.PersistentVolumeClaim | None, new: core.PersistentVolume | core.PersistentVolumeClaim | None
    ) -> None:
        if old is not None:
            for name in set(classes_of(old)) - set(classes_of(new) if new is not None else ()):
                self._ctx.enqueue(Key("", name))

    async def reconcile(self, key: Key) -> Result:
        class_ = self._classes.get(key)
        if class_ is not None:
            used = is_leaving(class_.metadata, VAC_PROTECTION) and await self._is_used(key.name)
            await _settle(self._ctx, class_, VAC_PROTECTION, used=used)
        return DONE

    async def _is_used(self, name: str) -> bool:
        if any(True for _ in self._volumes.by_index(CLASS, name)) or any(True for _ in self._claims.by_index(CLASS, name)):
            return True
        client = self._ctx.client
        if any(name in classes_of(volume) for volume in (await client.list(core.PersistentVolume)).items):
            return True
        return any(name in classes_of(claim) for claim in (await client.list(core.PersistentVolumeClaim)).items)


async def _settle(ctx: ControllerContext, obj: KubeObject, finalizer: str, *, used: bool) -> None:
    desired = finalizers_after(obj.metadata, finalizer, used=used)
    if desired is None:
        return
    changed = copied(obj)
    changed.metadata.finalizers = desired
    await update_present(ctx.client, changed)
