"""The loops for a driver, by what it offers, and the Lease of each part. Names of Leases are those of upstream's sidecars."""

from __future__ import annotations

from typing import NamedTuple

from tiphys.csi.driver import Driver
from tiphys.runtime import Controller
from tiphys.sidecar.attach.controller import AttachController, AttachedVolumeController
from tiphys.sidecar.capacity.controller import CapacityController
from tiphys.sidecar.facts import DriverFacts
from tiphys.sidecar.provision.controller import ProvisionController
from tiphys.sidecar.provision.deletion import DeletionController
from tiphys.sidecar.resize.controller import ResizeController
from tiphys.sidecar.resize.modify import ModifyController
from tiphys.sidecar.settings import ProvisionSettings, SidecarSettings
from tiphys.sidecar.snapshot.content import ContentController
from tiphys.sidecar.snapshot.controller import SnapshotController


class Part(NamedTuple):
    """Loops that are elected together."""

    lease: str
    loops: list[Controller]
    needs_snapshots: bool = False
    """True if the loops read the custom resources of snapshots, which may not be defined (yet)."""


def node_loops(driver: Driver, facts: DriverFacts, settings: ProvisionSettings) -> list[Controller]:
    """Return the loops that one node runs for a driver of its own, without leader election. `settings.node` is the node's name."""
    if not settings.node:
        raise ValueError("loops of one node need its name")
    return [*provision_loops(driver, facts, settings), *resize_loops(driver, facts, settings)]


def provision_loops(driver: Driver, facts: DriverFacts, settings: ProvisionSettings) -> list[Controller]:
    """Return the loops that make and delete volumes."""
    if not facts.offers("CREATE_DELETE_VOLUME"):
        return []
    return [ProvisionController(driver, facts, settings), DeletionController(driver, facts, settings)]


def resize_loops(driver: Driver, facts: DriverFacts, settings: ProvisionSettings) -> list[Controller]:
    """Return the loops that change volumes."""
    loops: list[Controller] = []
    if facts.offers("EXPAND_VOLUME") or facts.expansion:
        loops.append(ResizeController(driver, facts, settings))
    if facts.offers("MODIFY_VOLUME") and not settings.node:
        loops.append(ModifyController(driver, facts, settings))
    return loops


def parts(driver: Driver, facts: DriverFacts, settings: SidecarSettings, *, namespace: str) -> list[Part]:
    """Return the parts that a driver needs. `namespace` is that of the CSIStorageCapacity objects.

    An instance without the controller service, as on nodes, gets none: its controller is elsewhere, and attachments that were marked as
    done here would never reach it.
    """
    if "CONTROLLER_SERVICE" not in facts.services:
        return []
    each = settings.provision
    capacity: list[Controller] = []
    if settings.capacity.enabled and facts.offers("GET_CAPACITY") and facts.has_topology:
        capacity = [CapacityController(driver, facts, each, settings.capacity, namespace)]
    chosen = [
        Part(facts.name.replace("/", "-"), [*provision_loops(driver, facts, each), *capacity]),
        Part(f"external-resizer-{facts.name.replace('/', '-')}", resize_loops(driver, facts, each)),
    ]
    if not each.node:
        attach: list[Controller] = [AttachController(driver, facts, each), AttachedVolumeController(driver, facts, each)]
        chosen.append(Part(f"external-attacher-leader-{facts.name}", attach))
        if facts.offers("CREATE_DELETE_SNAPSHOT"):
            chosen.append(Part(f"external-snapshotter-leader-{facts.name}", [ContentController(driver, facts, each)], needs_snapshots=True))
            if settings.snapshot_controller:
                chosen.append(Part("snapshot-controller-leader", [SnapshotController()], needs_snapshots=True))
    return [part for part in chosen if part.loops]
