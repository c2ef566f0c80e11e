"""Claims of the class `local-path` against the real API server, with the rights of the provisioner alone."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.integration.node.local_path.scratch import MIB, needs_loop_devices
from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.core import v1 as core
from tiphys.api.events.v1 import Event
from tiphys.api.machinery.base import Quantity
from tiphys.api.machinery.errors import NotFound
from tiphys.api.machinery.quantity import whole
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.storage import v1 as storage
from tiphys.api.well_known import HOSTNAME, LOCAL_PATH, LOCAL_PATH_DRIVER, LOCAL_PATH_USER, LOCAL_PATH_USERS, PV_PROTECTION
from tiphys.client.client import Client
from tiphys.daemon.local_storage import provision_hollow, provision_with
from tiphys.node.local_path.driver import LocalPathDriver
from tiphys.testing import eventually
from tiphys.testing.memory_api import MemoryApi

SELECTED = "volume.kubernetes.io/selected-node"
PROVISIONER = "volume.kubernetes.io/storage-provisioner"


@asynccontextmanager
async def cluster() -> AsyncIterator[MemoryApi]:
    """An API server that knows two nodes with the driver."""
    async with MemoryApi.running(local_storage="disk") as api:
        for name in ("n1", "n2"):
            api.add(core.Node(metadata=ObjectMeta(name=name, labels={HOSTNAME: name})))
            driver = storage.CSINodeDriver(name=LOCAL_PATH_DRIVER, nodeID=name, topologyKeys=[HOSTNAME])
            api.add(storage.CSINode(metadata=ObjectMeta(name=name), spec=storage.CSINodeSpec(drivers=[driver])))
        yield api


@asynccontextmanager
async def provisioning(api: MemoryApi, place: Path, node: str) -> AsyncIterator[None]:
    """The node's loops, under the user that they have in a cluster."""
    driver = LocalPathDriver(place / node, node=node)
    client = api.client(f"{LOCAL_PATH_USER}{node}", LOCAL_PATH_USERS)
    task = asyncio.create_task(provision_with(client, driver, node, clock=api.clock, rng=random.Random(1)))
    try:
        yield
    finally:
        await cancel_and_wait(task)
        await driver.close()


def claim(name: str, *, size: str = "32Mi", node: str = "n1") -> core.PersistentVolumeClaim:
    """A claim as the volume controller and the scheduler leave it."""
    annotations = {PROVISIONER: LOCAL_PATH_DRIVER, SELECTED: node}
    spec = core.PersistentVolumeClaimSpec(
        accessModes=["ReadWriteOnce"],
        storageClassName=LOCAL_PATH,
        resources=core.VolumeResourceRequirements(requests={"storage": Quantity(size)}),
    )
    return core.PersistentVolumeClaim(metadata=ObjectMeta(name=name, namespace="default", annotations=annotations), spec=spec)


async def volumes(client: Client) -> list[core.PersistentVolume]:
    return (await client.list(core.PersistentVolume)).items


async def bound(client: Client, obj: core.PersistentVolumeClaim) -> core.PersistentVolume:
    """Bind a claim to its volume as the volume controller does."""
    (volume,) = await eventually(lambda: _volumes_of(client, obj))
    await client.patch(
        core.PersistentVolumeClaim, obj.metadata.name, "default", body={"spec": {"volumeName": volume.metadata.name}}, kind="merge"
    )
    status = {"status": {"phase": "Bound", "capacity": {"storage": "32Mi"}, "accessModes": ["ReadWriteOnce"]}}
    await client.patch(core.PersistentVolumeClaim, obj.metadata.name, "default", body=status, kind="merge", subresource="status")
    await client.patch(core.PersistentVolume, volume.metadata.name, body={"status": {"phase": "Bound"}}, kind="merge", subresource="status")
    return volume


async def release(client: Client, volume: core.PersistentVolume) -> None:
    """Delete the claim of a volume, with all that the volume controller and the protection of claims do."""
    assert volume.spec.claimRef is not None
    name = volume.spec.claimRef.name
    await client.delete(core.PersistentVolumeClaim, name, "default")
    await client.patch(core.PersistentVolumeClaim, name, "default", body={"metadata": {"finalizers": None}}, kind="merge")
    released = {"status": {"phase": "Released"}}
    await client.patch(core.PersistentVolume, volume.metadata.name, body=released, kind="merge", subresource="status")


async def is_gone(client: Client, volume: core.PersistentVolume) -> bool:
    """Return whether nothing but the protection of volumes, which does not run here, keeps a volume."""
    try:
        live = await client.get(core.PersistentVolume, volume.metadata.name)
    except NotFound:
        return True
    return live.metadata.deletionTimestamp is not None and live.metadata.finalizers == [PV_PROTECTION]


async def _volumes_of(client: Client, obj: core.PersistentVolumeClaim) -> list[core.PersistentVolume]:
    return [one for one in await volumes(client) if one.spec.claimRef is not None and one.spec.claimRef.name == obj.metadata.name]


@needs_loop_devices
async def test_life_of_a_claim(place: Path) -> None:
    async with cluster() as api, provisioning(api, place, "n1"), provisioning(api, place, "n2"):
        client = api.client()
        obj = await client.create(claim("data"))
        volume = await bound(client, obj)
        assert volume.spec.csi is not None
        assert (volume.spec.csi.driver, volume.spec.csi.volumeHandle) == (LOCAL_PATH_DRIVER, f"pvc-{obj.metadata.uid}")
        assert volume.spec.nodeAffinity is not None
        assert volume.spec.nodeAffinity.required is not None
        (term,) = volume.spec.nodeAffinity.required.nodeSelectorTerms
        assert [(one.key, one.values) for one in term.matchExpressions] == [(HOSTNAME, ["n1"])]
        assert [path.name for path in (place / "n1").iterdir()] == [f"default_data_pvc-{obj.metadata.uid}"]
        assert list((place / "n2").iterdir()) == []

        body = {"spec": {"resources": {"requests": {"storage": "64Mi"}}}}
        await client.patch(core.PersistentVolumeClaim, "data", "default", body=body, kind="merge")
        image = place / "n1" / f"default_data_{volume.metadata.name}" / "image"
        await eventually(lambda: image.stat().st_size == 64 * MIB)

        await release(client, volume)
        await eventually(lambda: not list((place / "n1").iterdir()))
        await eventually(lambda: is_gone(client, volume))


@needs_loop_devices
async def test_retained_volume_keeps_its_data(place: Path) -> None:
    async with cluster() as api, provisioning(api, place, "n1"):
        client = api.client()
        volume = await bound(client, await client.create(claim("data")))
        body = {"spec": {"persistentVolumeReclaimPolicy": "Retain"}}
        await client.patch(core.PersistentVolume, volume.metadata.name, body=body, kind="merge")
        await release(client, volume)
        # A later claim's way through the same loops shows that they have seen this one.
        await bound(client, await client.create(claim("other")))
        await client.delete(core.PersistentVolume, volume.metadata.name)
        assert (place / "n1" / f"default_data_{volume.metadata.name}" / "image").exists()


@needs_loop_devices
async def test_claim_larger_than_the_disk(place: Path) -> None:
    async with cluster() as api, provisioning(api, place, "n1"):
        client = api.client()
        obj = await client.create(claim("huge", size="900Ti"))

        async def messages() -> list[str]:
            return [event.note for event in (await client.list(Event, "default")).items if event.reason == "ProvisioningFailed"]

        (message, *_) = await eventually(messages)
        assert "900Ti requested" in message
        assert "available" in message

        async def is_given_back() -> bool:
            live = await client.get(core.PersistentVolumeClaim, "huge", "default")
            return SELECTED not in live.metadata.annotations

        await eventually(is_given_back)  # The scheduler may find another node.
        assert list((place / "n1").iterdir()) == []
        assert await _volumes_of(client, obj) == []


async def test_hollow_nodes_grant_claims() -> None:
    async with cluster() as api:
        client = api.client()
        task = asyncio.create_task(provision_hollow(client, clock=api.clock, rng=random.Random(1)))
        try:
            for name, node in (("a", "n1"), ("b", "n2")):
                obj = await client.create(claim(name, size="900Gi", node=node))
                volume = await bound(client, obj)
                assert volume.spec.nodeAffinity is not None
                assert volume.spec.nodeAffinity.required is not None
                assert volume.spec.nodeAffinity.required.nodeSelectorTerms[0].matchExpressions[0].values == [node]
            await release(client, volume)
            await eventually(lambda: is_gone(client, volume))
        finally:
            await cancel_and_wait(task)


@needs_loop_devices
async def test_nodes_report_their_room(place: Path) -> None:
    async with cluster() as api, provisioning(api, place, "n1"):
        client = api.client()

        async def reported() -> storage.CSIStorageCapacity | None:
            items = (await client.list(storage.CSIStorageCapacity, "kube-system")).items
            return items[0] if len(items) == 1 else None

        first = await eventually(reported)
        assert first.storageClassName == LOCAL_PATH
        assert first.nodeTopology is not None
        assert first.nodeTopology.matchLabels == {HOSTNAME: "n1"}
        assert first.maximumVolumeSize == first.capacity
        await bound(client, await client.create(claim("large", size="8Gi")))

        async def is_less() -> bool:
            now = await reported()
            return now is not None and whole(now.capacity or "0") < whole(first.capacity or "0") - (7 << 30)

        await eventually(is_less)
