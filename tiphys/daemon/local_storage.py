"""Local volumes of the node process: the driver, the loops that provision with it, and what is left to do when a cluster is removed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from tiphys.aio.clock import Clock
from tiphys.client.client import Client
from tiphys.daemon.credentials import wait_for_client
from tiphys.daemon.settings import ClusterSettings
from tiphys.node.local_path.storage import Storage

if TYPE_CHECKING:
    from tiphys.csi.driver import Driver
    from tiphys.node.local_path.driver import LocalPathDriver
    from tiphys.runtime import Controller
    from tiphys.sidecar.facts import DriverFacts
    from tiphys.sidecar.settings import ProvisionSettings

MANAGER = "local-path-provisioner"
KUBECONFIG = "local-path.kubeconfig"
CAPACITY_NAMESPACE = "kube-system"
"""Namespace of the CSIStorageCapacity objects, in which the provisioner may write them."""
ANSWER_SECONDS = 60.0
"""Time for a file system to be made, or a volume to be copied; what takes longer is asked for again."""


def driver_of(settings: ClusterSettings) -> LocalPathDriver:
    """Return the driver of this node's volumes."""
    from tiphys.node.local_path.driver import LocalPathDriver

    return LocalPathDriver(settings.local_storage_dir, node=settings.node_name, overcommit=settings.local_storage.overcommit)


def summary(settings: ClusterSettings) -> str:
    """Return the volumes on this machine's disk in words, "" if there are none and never were. Raises OSError."""
    if settings.is_hollow or not settings.local_storage_dir.is_dir():
        return ""
    storage = Storage(settings.local_storage_dir, overcommit=settings.local_storage.overcommit)
    try:
        return storage.summary()
    finally:
        storage.close()


async def provision(settings: ClusterSettings, driver: LocalPathDriver, shown: asyncio.Event, *, clock: Clock, rng: random.Random) -> None:
    """Make, grow and delete volumes for the claims of this node until cancelled, as a user with rights for nothing else.

    It begins when the API shows the driver on the node (`shown`): before, there is no place to report room for. Raises CsiError when the
    storage directory cannot be used.
    """
    await driver.start()
    await shown.wait()
    client = await wait_for_client(settings.dir / KUBECONFIG, clock=clock, rng=rng)
    try:
        await provision_with(client, driver, settings.node_name, clock=clock, rng=rng)
    finally:
        await client.close()


async def provision_with(client: Client, driver: LocalPathDriver, node: str, *, clock: Clock, rng: random.Random) -> None:
    """Do the same with a client. There is no election: a claim belongs to the node that the scheduler selected for it."""
    from tiphys.sidecar.capacity.controller import CapacityController
    from tiphys.sidecar.parts import node_loops
    from tiphys.sidecar.settings import CapacitySettings, ProvisionSettings

    def loops(driver: Driver, facts: DriverFacts, settings: ProvisionSettings) -> list[Controller]:
        capacity = CapacityController(driver, facts, settings, CapacitySettings(), CAPACITY_NAMESPACE)
        return [*node_loops(driver, facts, settings), capacity]

    settings = ProvisionSettings(node=node, extra_create_metadata=True, timeout=ANSWER_SECONDS)
    await _run(client, driver, loops, settings, clock=clock, rng=rng)


async def provision_hollow(client: Client, *, clock: Clock, rng: random.Random) -> None:
    """Grant the claims of all hollow nodes until cancelled."""
    from tiphys.node.local_path.hollow import HollowLocalPathDriver
    from tiphys.sidecar.parts import provision_loops, resize_loops
    from tiphys.sidecar.settings import ProvisionSettings

    def loops(driver: Driver, facts: DriverFacts, settings: ProvisionSettings) -> list[Controller]:
        return [*provision_loops(driver, facts, settings), *resize_loops(driver, facts, settings)]

    await _run(client, HollowLocalPathDriver(), loops, ProvisionSettings(strict_topology=True), clock=clock, rng=rng)


async def _run(
    client: Client,
    driver: Driver,
    loops: Callable[[Driver, DriverFacts, ProvisionSettings], list[Controller]],
    settings: ProvisionSettings,
    *,
    clock: Clock,
    rng: random.Random,
) -> None:
    from tiphys.runtime.manager import Manager
    from tiphys.sidecar.facts import learn

    manager = Manager(client, clock=clock, name=MANAGER, rng=rng)
    manager.add_all(loops(driver, await learn(driver, clock=clock), settings))
    await manager.run()
