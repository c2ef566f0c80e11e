"""Announcement of expansions, which are the work of others: drivers' sidecars and kubelets ("Expanding Persistent Volumes Claims")."""

from __future__ import annotations

from collections.abc import Iterable

from tiphys.api.core import v1 as core
from tiphys.api.helpers.volume_binding import storage
from tiphys.api.machinery.errors import NotFound
from tiphys.api.well_known import STORAGE_RESIZER
from tiphys.controllers.volumeexpand.plan import Expansion, expansion, grows
from tiphys.runtime import DONE, ControllerContext, Declaration, Key, Result, Whole


class VolumeExpandController:
    """Tells the owners of claims that grew who expands their volumes, and marks those of kinds that CSI drivers took over for the driver.

    Keys are claims. An event is recorded for each new size, and again by a process that starts.
    """

    declaration = Declaration(
        name="persistentvolume-expander-controller",
        kind=core.PersistentVolumeClaim,
        roles=("expand-controller",),
        reads=(Whole(core.PersistentVolumeClaim), Whole(core.PersistentVolume)),
        guards=True,
    )

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._claims = ctx.read(core.PersistentVolumeClaim)
        self._volumes = ctx.read(core.PersistentVolume)
        ctx.watch(self._claims, when=_has_grown)
        ctx.watch(self._volumes, _claim_of, when=lambda old, new: old is None)

    async def reconcile(self, key: Key) -> Result:
        claim = self._claims.get(key)
        volume = self._volumes.get(Key("", claim.spec.volumeName)) if claim is not None else None
        step = expansion(claim, volume) if claim is not None and volume is not None else None
        if claim is not None and step is not None:
            await self._announce(claim, step)
        return DONE

    async def _announce(self, claim: core.PersistentVolumeClaim, step: Expansion) -> None:
        self._ctx.recorder.event(claim, step.type, "ExternalExpanding", step.message)
        if not step.resizer or claim.metadata.annotations.get(STORAGE_RESIZER) == step.resizer:
            return
        meta = claim.metadata
        body = {"metadata": {"uid": meta.uid, "annotations": {STORAGE_RESIZER: step.resizer}}}
        try:
            await self._ctx.client.patch(
                core.PersistentVolumeClaim, meta.name, meta.namespace, body=body, kind="merge", subresource="status"
            )
        except NotFound:
            return
        except Exception as error:
            text = f"error setting resizer annotation to pvc {meta.namespace}/{meta.name}, with error {error}"
            self._ctx.recorder.event(claim, "Warning", "ExternalExpanding", text)
            raise


def _claim_of(volume: core.PersistentVolume) -> Iterable[Key]:
    ref = volume.spec.claimRef
    return [Key(ref.namespace, ref.name)] if ref is not None else []


def _has_grown(old: core.PersistentVolumeClaim | None, new: core.PersistentVolumeClaim | None) -> bool:
    """Return whether a claim has begun to grow, or grows further than it did."""
    if new is None or not grows(new):
        return False
    return old is None or not grows(old) or storage(new.spec.resources.requests) > storage(old.spec.resources.requests)
