"""The loop that makes volumes for claims.

The order of its writes is what keeps volumes from being leaked by a crash:

1. the claim gets a finalizer (`CLAIM_FINALIZER`);
2. the driver makes a volume, under a name that follows from the claim's uid, so that asking again finds the same one;
3. the PersistentVolume is created, under that name;
4. the finalizer goes.

A claim that is deleted between 1 and 4 waits until the driver was asked again and the volume is deleted. After an error that is final there
is no volume, so the finalizer goes too.
"""

from __future__ import annotations

from collections.abc import Iterable

from tiphys.api.core import v1 as core
from tiphys.api.core.volumes.classes import class_of_claim
from tiphys.api.machinery.errors import AlreadyExists, NotFound
from tiphys.api.storage.v1 import StorageClass, VolumeAttributesClass
from tiphys.csi.driver import Driver
from tiphys.csi.errors import CsiError, Failed
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.runtime import DONE, ControllerContext, Declaration, Key, Result, Whole
from tiphys.sidecar import secrets
from tiphys.sidecar.access import Incompatible
from tiphys.sidecar.bounded import BoundedDriver, unreadable
from tiphys.sidecar.facts import DriverFacts
from tiphys.sidecar.names import CLAIM_FINALIZER, SELECTED_NODE
from tiphys.sidecar.places import CSI_NODES, NODES, CachedPlaces, OnePlace, Places
from tiphys.sidecar.provision import plan
from tiphys.sidecar.provision.source import BadSource, Ignored, content_source
from tiphys.sidecar.provision.volume import persistent_volume
from tiphys.sidecar.secrets import BadParameters
from tiphys.sidecar.settings import ProvisionSettings
from tiphys.sidecar.topology import Unreachable, requirement
from tiphys.sidecar.writes import add_finalizer, current, remove_finalizer

CLASS = "claims by class"
VOLUNTEER_SECONDS = 20.0
"""Longest time that a node waits before it enters itself in a claim, as upstream's base delay."""


class ProvisionController:
    """Makes volumes for the claims that name this driver as their provisioner. Keys are claims.

    With `settings.node`, only for claims for which that node was selected.
    """

    def __init__(self, driver: Driver, facts: DriverFacts, settings: ProvisionSettings) -> None:
        self._driver = BoundedDriver(driver, facts.name, timeout=settings.timeout)
        self._facts = facts
        self._settings = settings
        self._cached_places = facts.has_topology and not settings.node
        self._turns: dict[Key, float] = {}
        self.declaration = Declaration(
            name="csi-provisioner",
            kind=core.PersistentVolumeClaim,
            component=facts.name,
            reads=(
                Whole(core.PersistentVolumeClaim),
                Whole(core.PersistentVolume),
                Whole(StorageClass),
                *((NODES, CSI_NODES) if self._cached_places else ()),
            ),
        )

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._claims = ctx.read(core.PersistentVolumeClaim)
        self._volumes = ctx.read(core.PersistentVolume)
        self._classes = ctx.read(StorageClass)
        node = self._settings.node
        self._places: Places = CachedPlaces(ctx, self._facts.name) if self._cached_places else OnePlace(ctx.client, self._facts.name, node)
        self._claims.add_index(CLASS, _class_index)
        ctx.watch(self._claims, when=_matters)
        ctx.watch(self._classes, self._waiting, when=lambda old, new: old is None)

    def _waiting(self, class_: StorageClass) -> Iterable[Key]:
        return [Key.of(claim) for claim in self._claims.by_index(CLASS, class_.metadata.name)]

    async def reconcile(self, key: Key) -> Result:
        claim = self._claims.get(key)
        if claim is None:
            self._turns.pop(key, None)
            return DONE
        class_ = self._classes.get(Key("", class_of_claim(claim)))
        name = plan.volume_name(claim, self._settings)
        step = plan.step(claim, class_, driver=self._facts.name, volume=name, node=self._settings.node)
        if step != "volunteer":
            self._turns.pop(key, None)
        else:
            return await self._volunteer(key, claim)
        if step == "settle" or (step != "nothing" and await self._is_stored(claim)):
            await remove_finalizer(self._ctx.client, claim, CLAIM_FINALIZER)
        elif step == "provision":
            assert class_ is not None
            await self._provision(claim, class_)
        elif step == "abandon":
            await self._abandon(claim, class_)
        return DONE

    async def _is_stored(self, claim: core.PersistentVolumeClaim) -> bool:
        """Return whether the API has the volume of a claim. The server is asked if it may have come after the cache's state."""
        name = plan.volume_name(claim, self._settings)
        volume = self._volumes.get(Key("", name))
        if volume is None and CLAIM_FINALIZER in claim.metadata.finalizers:
            try:
                volume = await self._ctx.client.get(core.PersistentVolume, name)
            except NotFound:
                return False
        return volume is not None

    async def _volunteer(self, key: Key, claim: core.PersistentVolumeClaim) -> Result:
        """Enter this node in a claim that needs a node and any will do. Each node waits by chance, so that seldom two try at once."""
        now = self._ctx.clock.monotonic()
        turn = self._turns.setdefault(key, now + VOLUNTEER_SECONDS * self._ctx.rng.random())
        if turn > now:
            return Result(after=turn - now)
        del self._turns[key]
        meta = claim.metadata
        change = {"uid": meta.uid, "resourceVersion": meta.resourceVersion, "annotations": {SELECTED_NODE: self._settings.node}}
        try:
            await self._ctx.client.patch(core.PersistentVolumeClaim, meta.name, meta.namespace, body={"metadata": change}, kind="strategic")
        except NotFound:
            return DONE
        return DONE

    # -- making one

    async def _provision(self, claim: core.PersistentVolumeClaim, class_: StorageClass) -> None:
        try:
            request = await self._request(claim, class_)
            name = f"{claim.metadata.namespace}/{claim.metadata.name}"
            self._tell(claim, "Normal", "Provisioning", f'External provisioner is provisioning volume for claim "{name}"')
            begun = await add_finalizer(self._ctx.client, claim, CLAIM_FINALIZER)
            if begun is None or begun.metadata.deletionTimestamp is not None or begun.spec.volumeName:
                return
            volume = await self._create(claim, request)
            await self._store(begun, class_, volume)
        except Ignored:
            return
        except Unreachable as error:
            self._failed(claim, class_, error)
            if await self._lost_its_node(claim):
                await self._give_back(claim, reschedule=True)
                return
            raise
        except CsiError as error:
            self._failed(claim, class_, error)
            if plan.is_over(error):
                await self._give_back(claim, reschedule=plan.needs_other_node(error, claim))
            raise
        except Exception as error:
            self._failed(claim, class_, error)
            raise

    async def _request(self, claim: core.PersistentVolumeClaim, class_: StorageClass, *, abandoned: bool = False) -> pb.CreateVolumeRequest:
        """Return the request for a claim. Raises what tells that there can be none (yet), StatusError included."""
        client, name = self._ctx.client, plan.volume_name(claim, self._settings)
        secret = secrets.reference(class_.parameters, secrets.PROVISIONER, volume=name, claim=claim)
        extras = plan.Extras(
            secrets=await secrets.read(client, secret),
            source=await content_source(client, claim, self._facts, abandoned=abandoned),
            topology=await self._topology(claim, class_),
            mutable_parameters=await self._mutable_parameters(claim),
        )
        return plan.request(claim, class_, self._facts, self._settings, extras)

    async def _topology(self, claim: core.PersistentVolumeClaim, class_: StorageClass) -> pb.TopologyRequirement | None:
        if not self._facts.has_topology:
            return None
        settings = self._settings
        return requirement(
            await self._places.all(),
            class_.allowedTopologies,
            claim=claim.metadata.name,
            selected=plan.selected_node(claim) if class_.volumeBindingMode == plan.LATE or settings.node else "",
            strict=settings.strict_topology or bool(settings.node),
            immediate=settings.immediate_topology,
        )

    async def _mutable_parameters(self, claim: core.PersistentVolumeClaim) -> dict[str, str]:
        name = claim.spec.volumeAttributesClassName
        if not name:
            return {}
        if not self._facts.offers("MODIFY_VOLUME"):
            raise BadParameters("CSI driver does not support VolumeAttributesClass")
        attributes = await self._ctx.client.get(VolumeAttributesClass, name)
        if attributes.driverName != self._facts.name:
            raise BadParameters(f"VolumeAttributesClass {name} is of CSI driver {attributes.driverName}, not of {self._facts.name}")
        return attributes.parameters

    async def _create(self, claim: core.PersistentVolumeClaim, request: pb.CreateVolumeRequest) -> pb.Volume:
        """Have the driver make a volume, of the right size. Raises CsiError, which is final only when there is no volume."""
        volume = (await self._driver.CreateVolume(request)).volume
        if not volume.volume_id:
            raise unreadable("CreateVolume", "the driver answered with a volume that has no id")
        wrong = plan.shortfall(claim, volume)
        if wrong:
            await self._delete(volume.volume_id, request)
            raise Failed(wrong, verb="CreateVolume", code="OUT_OF_RANGE")
        return volume

    async def _delete(self, volume_id: str, request: pb.CreateVolumeRequest) -> None:
        try:
            await self._driver.DeleteVolume(pb.DeleteVolumeRequest(volume_id=volume_id, secrets=request.secrets))
        except CsiError as error:
            raise unreadable("DeleteVolume", f"volume {volume_id} cannot be deleted: {error.message}") from error

    async def _store(self, claim: core.PersistentVolumeClaim, class_: StorageClass, volume: pb.Volume) -> None:
        """Create the PersistentVolume. Raises StatusError; the claim's finalizer sees to it that there is another attempt."""
        new = persistent_volume(claim, class_, volume, self._facts, self._settings)
        try:
            await self._ctx.client.create(new)
        except AlreadyExists:
            there = await self._ctx.client.get(core.PersistentVolume, new.metadata.name)
            if there.spec.csi is None or there.spec.csi.volumeHandle != volume.volume_id:
                raise
        self._tell(claim, "Normal", "ProvisioningSucceeded", f"Successfully provisioned volume {new.metadata.name}")
        await remove_finalizer(self._ctx.client, claim, CLAIM_FINALIZER)

    # -- giving up

    async def _lost_its_node(self, claim: core.PersistentVolumeClaim) -> bool:
        """Return whether the node that was selected for a claim is gone, and no volume may have been made for it there."""
        node = plan.selected_node(claim)
        if not node or CLAIM_FINALIZER in claim.metadata.finalizers:
            return False
        try:
            await self._ctx.client.get(core.Node, node)
        except NotFound:
            return True
        return False

    async def _abandon(self, claim: core.PersistentVolumeClaim, class_: StorageClass | None) -> None:
        """Delete the volume of a claim that is being deleted, if there is one: only the driver knows, and only by the volume's name."""
        live = await current(self._ctx.client, claim)
        if live is None or CLAIM_FINALIZER not in live.metadata.finalizers:
            return
        try:
            if class_ is None:
                raise BadParameters(f'storageclass.storage.k8s.io "{class_of_claim(claim)}" not found')
            request = await self._request(live, class_, abandoned=True)
            volume_id = await self._find(request)
            if volume_id:
                await self._delete(volume_id, request)
        except (CsiError, BadParameters, BadSource, Incompatible, Unreachable) as error:
            self._tell(claim, "Warning", "ProvisioningFailed", f"cannot find out whether a volume is left over: {error}")
            raise
        await remove_finalizer(self._ctx.client, live, CLAIM_FINALIZER)

    async def _find(self, request: pb.CreateVolumeRequest) -> str:
        """Return the id of the volume, which is made if it is not there; "" if the driver cannot make it."""
        try:
            volume = (await self._driver.CreateVolume(request)).volume
        except CsiError as error:
            if plan.is_over(error):
                return ""
            raise
        if not volume.volume_id:
            raise unreadable("CreateVolume", "the driver answered with a volume that has no id")
        return volume.volume_id

    async def _give_back(self, claim: core.PersistentVolumeClaim, *, reschedule: bool) -> None:
        """Remove the finalizer, and with `reschedule` the selected node, for the scheduler to choose another one."""
        annotations = {SELECTED_NODE: None} if reschedule else None
        await remove_finalizer(self._ctx.client, claim, CLAIM_FINALIZER, annotations=annotations)

    def _failed(self, claim: core.PersistentVolumeClaim, class_: StorageClass, error: Exception) -> None:
        message = f'failed to provision volume with StorageClass "{class_.metadata.name}": {error}'
        self._tell(claim, "Warning", "ProvisioningFailed", message)

    def _tell(self, claim: core.PersistentVolumeClaim, type_: str, reason: str, message: str) -> None:
        self._ctx.recorder.event(claim, type_, reason, message)


def _class_index(claim: core.PersistentVolumeClaim) -> Iterable[str]:
    return () if claim.spec.volumeName else (class_of_claim(claim),)


def _matters(old: core.PersistentVolumeClaim | None, new: core.PersistentVolumeClaim | None) -> bool:
    """Return whether a change is a reason to look at a claim again; its finalizers, which this loop changes, are none."""
    if old is None or new is None or old.metadata.uid != new.metadata.uid:
        return True
    before, after = old.metadata, new.metadata
    return (
        old.spec != new.spec
        or before.deletionTimestamp != after.deletionTimestamp
        or (plan.provisioner_of(old), plan.selected_node(old)) != (plan.provisioner_of(new), plan.selected_node(new))
    )
