"""Claims of a class for an NFS share against the real API server, with the rights of the provisioner alone."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.node.nfs_class.scratch import BindMounts, needs_root
from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.coordination.v1 import Lease
from tiphys.api.core import v1 as core
from tiphys.api.machinery.base import Quantity
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.storage.v1 import CSIDriver, StorageClass
from tiphys.api.well_known import LOCAL_PATH_USER, LOCAL_PATH_USERS, NFS_DRIVER, PV_PROTECTION
from tiphys.daemon.nfs_storage import LEASE, provision_with
from tiphys.node.nfs_class.driver import NfsDriver
from tiphys.node.volumes.nfs import NfsMounts
from tiphys.node.volumes.supervised import Supervised
from tiphys.testing import eventually
from tiphys.testing.memory_api import MemoryApi

pytestmark = needs_root
PARAMETERS = {"server": "nas.example", "share": "/share", "subDir": "${pvc.metadata.namespace}/${pvc.metadata.name}"}


@pytest.fixture
async def api() -> AsyncIterator[MemoryApi]:
    async with MemoryApi.running(local_storage="disk") as running:
        yield running


@pytest.fixture
async def share(api: MemoryApi, tmp_path: Path) -> AsyncIterator[Path]:
    """The share, while a node provisions on it."""
    made = tmp_path / "exports" / "share"
    made.mkdir(parents=True)
    processes = Supervised()
    driver = NfsDriver(tmp_path / "state", NfsMounts(processes, BindMounts(tmp_path / "exports")), node="n1")
    client = api.client(f"{LOCAL_PATH_USER}n1", LOCAL_PATH_USERS)
    task = asyncio.create_task(provision_with(client, driver, "n1", clock=api.clock, rng=random.Random(1)))
    yield made
    assert not task.done() or task.exception() is None
    await cancel_and_wait(task)
    await driver.close()
    await processes.close()
    await client.close()


async def claim(api: MemoryApi, name: str) -> core.PersistentVolumeClaim:
    made = core.PersistentVolumeClaim(metadata=ObjectMeta(name=name, namespace="default"))
    made.spec.storageClassName = "shared"
    made.spec.accessModes = ["ReadWriteMany"]
    made.spec.resources = core.VolumeResourceRequirements(requests={"storage": Quantity("1Mi")})
    made = await api.client().create(made)
    # The binder of volumes says so where there is one.
    annotations = {"volume.kubernetes.io/storage-provisioner": NFS_DRIVER}
    return await api.client().patch(
        core.PersistentVolumeClaim, name, "default", body={"metadata": {"annotations": annotations}}, kind="merge"
    )


async def test_a_claim_gets_a_directory_and_loses_it(api: MemoryApi, share: Path) -> None:
    client = api.client()
    assert (await client.get(CSIDriver, NFS_DRIVER)).spec.attachRequired is False
    assert not [lease for lease in api.list(Lease) if lease.metadata.name == LEASE], "nothing runs without a class"
    await client.create(
        StorageClass(metadata=ObjectMeta(name="shared"), provisioner=NFS_DRIVER, parameters=PARAMETERS, mountOptions=["nfsvers=4.2"])
    )
    await claim(api, "data")
    (volume,) = await eventually(lambda: api.list(core.PersistentVolume))
    assert volume.spec.csi is not None
    assert volume.spec.csi.volumeAttributes["subDir"] == "default/data"
    assert (volume.spec.accessModes, volume.spec.mountOptions) == (["ReadWriteMany"], ["nfsvers=4.2"])
    assert volume.spec.nodeAffinity is None
    (share / "default/data/file").write_text("x")
    await client.delete(core.PersistentVolumeClaim, "data", "default")
    await client.patch(core.PersistentVolumeClaim, "data", "default", body={"metadata": {"finalizers": None}}, kind="merge")
    released = {"status": {"phase": "Released"}}
    await client.patch(core.PersistentVolume, volume.metadata.name, body=released, kind="merge", subresource="status")
    await eventually(lambda: api.list(core.PersistentVolume)[0].metadata.finalizers == [PV_PROTECTION])
    assert os.listdir(share / "default") == []
