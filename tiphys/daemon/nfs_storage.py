"""Volumes on NFS shares in the node process: the driver, and the loops that provision with it once there is a class."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from tiphys.aio.clock import Clock
from tiphys.api.core import v1 as core
from tiphys.api.storage.v1 import StorageClass
from tiphys.client.client import Client
from tiphys.daemon.credentials import wait_for_client
from tiphys.daemon.local_storage import KUBECONFIG
from tiphys.daemon.settings import ClusterSettings
from tiphys.node.nfs_class.settings import NAME

if TYPE_CHECKING:
    from tiphys.node.nfs_class.driver import NfsDriver

MANAGER = "nfs-provisioner"
LEASE = "nfs-tiphys-io"
ANSWER_SECONDS = 120.0
"""Time for mounting a share and working in it; what takes longer is asked for again."""


def driver_of(settings: ClusterSettings) -> NfsDriver:
    """Return the driver as this node has it."""
    from tiphys.node.nfs_class.driver import NfsDriver
    from tiphys.node.volumes.nfs import NfsMounts
    from tiphys.node.volumes.supervised import Supervised

    place = settings.node_dir / "plugins" / NAME / "shares"
    return NfsDriver(place, NfsMounts(Supervised()), node=settings.node_name)


async def provision(settings: ClusterSettings, driver: NfsDriver, *, clock: Clock, rng: random.Random) -> None:
    """Make and delete volumes until cancelled, on one node of the cluster at a time, as the user of the provisioner of local volumes.

    Raises LeadershipLost.
    """
    client = await wait_for_client(settings.dir / KUBECONFIG, clock=clock, rng=rng)
    try:
        await provision_with(client, driver, settings.node_name, clock=clock, rng=rng)
    finally:
        await client.close()


async def provision_with(client: Client, driver: NfsDriver, node: str, *, clock: Clock, rng: random.Random) -> None:
    """Do the same with a client."""
    await _wait_for_use(client, clock, rng)
    from tiphys.runtime.leader import LeaderElector, new_identity
    from tiphys.runtime.manager import Manager
    from tiphys.sidecar.facts import learn
    from tiphys.sidecar.parts import provision_loops
    from tiphys.sidecar.settings import ProvisionSettings

    settings = ProvisionSettings(extra_create_metadata=True, timeout=ANSWER_SECONDS)
    elector = LeaderElector(client, LEASE, new_identity(node, rng), clock=clock, namespace="kube-system", rng=rng)
    manager = Manager(client, clock=clock, name=MANAGER, elector=elector, rng=rng)
    manager.add_all(provision_loops(driver, await learn(driver, clock=clock), settings))
    await manager.run()


async def _wait_for_use(client: Client, clock: Clock, rng: random.Random) -> None:
    """Return once a class names the driver, or a volume of it is left from one that did: until then there is nothing to do."""
    from tiphys.runtime.informer import InformerFactory

    used = asyncio.Event()

    def look(old: StorageClass | None, new: StorageClass | None) -> None:
        if new is not None and new.provisioner == NAME:
            used.set()

    informers = InformerFactory(client, clock=clock, rng=rng)
    informers.of(StorageClass).subscribe(look)
    informers.start()
    try:
        await informers.wait_synced()
        volumes = await client.list(core.PersistentVolume)
        if not any(volume.spec.csi is not None and volume.spec.csi.driver == NAME for volume in volumes.items):
            await used.wait()
    finally:
        await informers.stop()
