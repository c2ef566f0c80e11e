"""The loops for a driver, by what it offers, and the Lease of each part. Names of Leases are those of upstream's sidecars."""

from __future__ import annotations

from tiphys.csi.driver import Driver
from tiphys.runtime import Controller
from tiphys.sidecar.facts import DriverFacts
from tiphys.sidecar.provision.controller import ProvisionController
from tiphys.sidecar.provision.deletion import DeletionController
from tiphys.sidecar.resize.controller import ResizeController
from tiphys.sidecar.settings import ProvisionSettings


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
    if not facts.offers("EXPAND_VOLUME") and not facts.expansion:
        return []
    return [ResizeController(driver, facts, settings)]
