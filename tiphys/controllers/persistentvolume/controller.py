"""The control loop of claims: finds, requests and binds their volumes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.core.volumes.classes import class_of_claim, class_of_volume, names_class
from tiphys.api.helpers.pods import is_finished
from tiphys.api.helpers.volume_binding import bind_volume, is_delayed
from tiphys.api.machinery.errors import Conflict, NotFound
from tiphys.api.storage.classes import is_default_class, newest
from tiphys.api.storage.v1 import StorageClass
from tiphys.api.well_known import BIND_COMPLETED
from tiphys.controllers.persistentvolume.free import FreeVolumes, is_free
from tiphys.controllers.persistentvolume.metrics import ASSIGNMENT_ERRORS, ASSIGNMENTS, Operations, collect
from tiphys.controllers.persistentvolume.plan import BOUND, LOST, Sight, Step, plan
from tiphys.controllers.persistentvolume.promises import Promises
from tiphys.controllers.persistentvolume.release import claim_with_driver
from tiphys.controllers.persistentvolume.status import bound, of_class, with_provisioner, with_volume, without_volume
from tiphys.controllers.shared.slim import PODS, SlimPod
from tiphys.controllers.shared.volumes import CLAIM, claims_of, index_claims
from tiphys.runtime import DONE, ControllerContext, Declaration, Key, Result, Whole, update_present, write_status

ROLE = "persistent-volume-binder"

NAMED_BY = "claims that name a volume"
IN_NEED = "classes of claims without a volume"
UNCLASSED = "claims that name neither a volume nor a class"
RESERVED = "claims that volumes name"


def path_of(claim: core.PersistentVolumeClaim) -> str:
    """Return NAMESPACE/NAME of a claim."""
    return f"{claim.metadata.namespace}/{claim.metadata.name}"


def reserved_for(volume: core.PersistentVolume) -> Iterable[str]:
    """Return the function of the RESERVED index."""
    reference = volume.spec.claimRef
    return () if reference is None else (f"{reference.namespace}/{reference.name}",)


def is_in_need(claim: core.PersistentVolumeClaim) -> bool:
    """Return whether a claim has no volume and takes any that suits it."""
    return not claim.spec.volumeName and BIND_COMPLETED not in claim.metadata.annotations


class ClaimBindingController:
    """Binds claims to volumes: those that exist, or those that external provisioners make on request. Keys are claims, and
    classes whose claims are to be woken, which have no namespace.

    The volume is written first: it names the claim, and then the claim names it. Each write is refused if the object has changed, so no
    volume ever goes to two claims. What a crash leaves between the writes is completed by the next look at the claim.
    """

    declaration = Declaration(
        name="persistentvolume-binder-controller",
        kind=core.PersistentVolumeClaim,
        roles=(ROLE,),
        reads=(Whole(core.PersistentVolume), Whole(core.PersistentVolumeClaim), Whole(StorageClass), PODS),
    )

    def __init__(self) -> None:
        self._provisioning = Operations("provision")

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._claims = ctx.read(core.PersistentVolumeClaim)
        self._volumes = ctx.read(core.PersistentVolume)
        self._classes = ctx.read(StorageClass)
        self._pods = index_claims(ctx.read(SlimPod))
        self._promises = Promises(self._volumes)
        self._claims.add_index(NAMED_BY, lambda claim: (claim.spec.volumeName,) if claim.spec.volumeName else ())
        self._claims.add_index(IN_NEED, lambda claim: (class_of_claim(claim),) if is_in_need(claim) else ())
        self._claims.add_index(UNCLASSED, lambda claim: ("",) if is_in_need(claim) and not names_class(claim) else ())
        self._volumes.add_index(RESERVED, reserved_for)
        self._free = FreeVolumes(self._volumes)
        ctx.watch(self._claims)
        ctx.watch(self._volumes, self._named)
        self._volumes.subscribe(self._offer)
        ctx.watch(self._classes, self._members, when=lambda old, new: new is not None)
        ctx.watch(self._pods, self._used, when=lambda old, new: old is None)
        collect(self._volumes, self._claims)

    def _named(self, volume: core.PersistentVolume) -> Iterable[Key]:
        """Return the claims that a volume names, and those that name it."""
        reference = volume.spec.claimRef
        if reference is not None:
            yield Key(reference.namespace, reference.name)
        for claim in self._claims.by_index(NAMED_BY, volume.metadata.name):
            yield Key.of(claim)

    def _offer(self, old: core.PersistentVolume | None, new: core.PersistentVolume | None) -> None:
        """Queue the class of a volume that became free, or changed, for its claims to be woken: once for many volumes."""
        if new is None or not is_free(new):
            return
        name = class_of_volume(new)
        if (
            old is not None
            and is_free(old)
            and (class_of_volume(old), old.spec, old.metadata.labels) == (name, new.spec, new.metadata.labels)
        ):
            return
        self._ctx.enqueue(Key("", name))

    def _members(self, storage_class: StorageClass) -> Iterable[Key]:
        """Return the claims without a volume that a class is about."""
        members = self._claims.by_index(IN_NEED, storage_class.metadata.name)
        if is_default_class(storage_class):
            members = [*members, *self._claims.by_index(UNCLASSED, "")]
        return [Key.of(claim) for claim in members]

    def _used(self, pod: SlimPod) -> Iterable[Key]:
        """Return the claims of a pod that have no volume."""
        for name in claims_of(pod):
            key = Key(pod.metadata.namespace, name)
            claim = self._claims.get(key)
            if claim is not None and is_in_need(claim):
                yield key

    def _wake(self, class_name: str) -> None:
        """Wake the claims of a class; for classes that wait, the scheduler chooses."""
        if not is_delayed(self._classes.get(Key("", class_name))):
            for claim in self._claims.by_index(IN_NEED, class_name):
                self._ctx.enqueue(Key.of(claim))

    async def reconcile(self, key: Key) -> Result:
        if not key.namespace:
            self._wake(key.name)
            return DONE
        claim: core.PersistentVolumeClaim | None = self._claims.get(key)
        if claim is None:
            self._provisioning.abandon(key)
            return DONE
        claim = await self._write(claim, claim_with_driver(claim))
        if claim is None:
            return DONE
        sight = self._look(claim)
        step = plan(claim, sight)
        if step.phase == LOST and claim.status.phase != LOST and claim.spec.volumeName:
            # The cache of volumes may be behind that of claims.
            step = plan(claim, replace(sight, requested=await self._fresh(claim.spec.volumeName)))
        await self._apply(claim, step)
        return DONE

    def _look(self, claim: core.PersistentVolumeClaim) -> Sight:
        if not is_in_need(claim):
            return Sight(requested=self._volumes.get(Key("", claim.spec.volumeName)))
        path = path_of(claim)
        promised = self._promises.names()
        return Sight(
            volumes=[*self._volumes.by_index(RESERVED, path), *self._free.offered_to(claim, promised)],
            promised=promised,
            storage_class=self._classes.get(Key("", class_of_claim(claim))),
            default_class=newest(one for one in self._classes.list() if is_default_class(one)),
            waiting=sorted(pod.metadata.name for pod in self._pods.by_index(CLAIM, path) if not pod.spec.nodeName and not is_finished(pod)),
        )

    async def _fresh(self, volume: str) -> core.PersistentVolume | None:
        try:
            return await self._ctx.client.get(core.PersistentVolume, volume)
        except NotFound:
            return None

    async def _apply(self, claim: core.PersistentVolumeClaim, step: Step) -> None:
        if step.bind is not None:
            await self._bind(claim, step.bind)
        elif step.default_class:
            await self._assign(claim, step.default_class)
        elif step.provisioner:
            await self._provision(claim, step.provisioner)
        changes = bool(step.phase) and claim.status.phase != step.phase
        if step.phase:
            await write_status(self._ctx.client, claim, without_volume(claim.status, step.phase))
        if step.remark is not None and (changes or step.phase != LOST):
            self._ctx.recorder.event(claim, *step.remark)

    async def _bind(self, claim: core.PersistentVolumeClaim, volume: core.PersistentVolume) -> None:
        """Bind both to each other, as far as they are not. If either is gone, the loops hear of it and look again."""
        client = self._ctx.client
        reserved = bind_volume(volume, claim)
        written: core.PersistentVolume | None = reserved
        if reserved is not volume:
            with self._promises.giving(volume.metadata.name):
                written = await update_present(client, reserved)
                if written is not None:
                    self._promises.given(written)
        if written is not None and written.status.phase != BOUND:
            written = await write_status(client, written, msgspec.structs.replace(written.status, phase=BOUND, message=""))
        owner = await self._write(claim, bound(claim, volume.metadata.name)) if written is not None else None
        if written is not None and owner is not None:
            await write_status(client, owner, with_volume(owner.status, written))
            self._provisioning.end(Key.of(claim), self._ctx.clock)

    async def _assign(self, claim: core.PersistentVolumeClaim, storage_class: str) -> None:
        ASSIGNMENTS.labels().inc()
        try:
            await self._write(claim, of_class(claim, storage_class))
        except Exception:
            ASSIGNMENT_ERRORS.labels().inc()
            raise

    async def _provision(self, claim: core.PersistentVolumeClaim, provisioner: str) -> None:
        key = Key.of(claim)
        self._provisioning.begin(key, provisioner, self._ctx.clock)
        try:
            await self._write(claim, with_provisioner(claim, provisioner))
        except Exception as error:
            self._provisioning.fail(key)
            if not isinstance(error, Conflict):
                self._ctx.recorder.event(claim, "Warning", "ProvisioningFailed", f"Error saving claim: {error}")
            raise

    async def _write(self, claim: core.PersistentVolumeClaim, changed: core.PersistentVolumeClaim) -> core.PersistentVolumeClaim | None:
        """Write a claim if it is another object; returns it as it is then, or None when it no longer exists."""
        return claim if changed is claim else await update_present(self._ctx.client, changed)
