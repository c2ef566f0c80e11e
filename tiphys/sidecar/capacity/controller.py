"""The loop that shows schedulers how much room a driver has at each place for each class ("Storage Capacity")."""

from __future__ import annotations

from collections.abc import Iterable

from tiphys.api.core import v1 as core
from tiphys.api.storage.v1 import CSINode, CSIStorageCapacity, StorageClass
from tiphys.csi.driver import Driver
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.runtime import DONE, ControllerContext, Declaration, Key, Result, Whole, delete_exact, update_present
from tiphys.sidecar.bounded import BoundedDriver
from tiphys.sidecar.capacity.plan import DRIVER_LABEL, MANAGER_LABEL, Cell, cell_of, cells, filled, updated
from tiphys.sidecar.facts import DriverFacts
from tiphys.sidecar.places import CSI_NODES, NODES, CachedPlaces, LabeledNode, OnePlace, Places, keys_of
from tiphys.sidecar.provision.plan import driver_parameters
from tiphys.sidecar.secrets import BadParameters
from tiphys.sidecar.settings import CapacitySettings, ProvisionSettings
from tiphys.sidecar.topology import message_of

ALL = Key("", "capacity")
"""The one key for the set of objects; each object has a key of its own: its cell's class and segment."""


class CapacityController:
    """Keeps a CSIStorageCapacity for each class at each place. The one key is that of the whole set.

    The driver is asked at regular times, and as soon as one of its volumes comes or goes.
    """

    def __init__(self, driver: Driver, facts: DriverFacts, settings: ProvisionSettings, capacity: CapacitySettings, namespace: str) -> None:
        self._driver = BoundedDriver(driver, facts.name, timeout=settings.timeout)
        self._facts = facts
        self._node = settings.node
        self._settings = capacity
        self._namespace = namespace
        self._labels = {
            DRIVER_LABEL: facts.name,
            MANAGER_LABEL: f"external-provisioner-{settings.node}" if settings.node else "external-provisioner",
        }
        self._places_read = () if settings.node else (NODES, CSI_NODES)
        selector = ",".join(f"{key}={value}" for key, value in self._labels.items())
        self.declaration = Declaration(
            name="csi-capacity",
            kind=CSIStorageCapacity,
            component=facts.name,
            reads=(
                Whole(StorageClass),
                Whole(core.PersistentVolume),
                Whole(CSIStorageCapacity, namespace=namespace, labels=selector),
                *self._places_read,
            ),
        )

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._classes = ctx.read(StorageClass)
        self._objects = ctx.read(CSIStorageCapacity)
        self._places: Places = OnePlace(ctx.client, self._facts.name, self._node)
        if not self._node:
            self._places = CachedPlaces(ctx, self._facts.name)
            ctx.watch(ctx.read(LabeledNode), _all, when=lambda old, new: old is None or new is None or _labels(old) != _labels(new))
            ctx.watch(ctx.read(CSINode), _all, when=lambda old, new: self._keys(old) != self._keys(new))
        ctx.watch(self._classes, _all)
        ctx.watch(ctx.read(core.PersistentVolume), _all, when=self._changes_room)
        ctx.enqueue(ALL)

    def _changes_room(self, old: core.PersistentVolume | None, new: core.PersistentVolume | None) -> bool:
        volume = new or old
        return (
            (old is None) != (new is None)
            and volume is not None
            and volume.spec.csi is not None
            and (volume.spec.csi.driver == self._facts.name)
        )

    def _keys(self, csi_node: CSINode | None) -> tuple[str, ...]:
        return () if csi_node is None else keys_of(csi_node, self._facts.name)

    async def reconcile(self, key: Key) -> Result:
        desired = cells(
            await self._places.all(), self._classes.list(), driver=self._facts.name, immediate=self._settings.for_immediate_binding
        )
        # Two of a cell would both count, and a cache may not show yet what the last step made: the server has the list.
        selector = ",".join(f"{name}={value}" for name, value in self._labels.items())
        present: dict[Cell, CSIStorageCapacity] = {}
        for one in (await self._ctx.client.list(CSIStorageCapacity, self._namespace, labels=selector)).items:
            cell = cell_of(one)
            if cell not in desired or cell in present:
                await delete_exact(self._ctx.client, CSIStorageCapacity, one.metadata)
            else:
                present[cell] = one
        for cell in sorted(desired):
            await self._refresh(cell, present.get(cell))
        return Result(after=self._settings.poll_interval) if desired else DONE

    async def _refresh(self, cell: Cell, old: CSIStorageCapacity | None) -> None:
        class_ = self._classes.get(Key("", cell.class_name))
        if class_ is None:
            return
        try:
            parameters = driver_parameters(class_)
        except BadParameters:
            # Provisioning says so where somebody reads it.
            return
        answer = await self._driver.GetCapacity(pb.GetCapacityRequest(parameters=parameters, accessible_topology=message_of(cell.segment)))
        new = filled(cell, answer, namespace=self._namespace, labels=self._labels)
        if old is None:
            await self._ctx.client.create(new)
        elif (changed := updated(old, new)) is not None:
            await update_present(self._ctx.client, changed)


def _all(_: object) -> Iterable[Key]:
    return [ALL]


def _labels(node: LabeledNode) -> dict[str, str]:
    return node.metadata.labels
