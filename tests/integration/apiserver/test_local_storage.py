"""The class `local-path` of a new cluster: there once, as the user then has it, and its driver at every start."""

from __future__ import annotations

import pytest

from tiphys.api.core import v1 as core
from tiphys.api.machinery.base import Quantity
from tiphys.api.machinery.errors import NotFound
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.storage.v1 import CSIDriver, StorageClass
from tiphys.api.well_known import DEFAULT_STORAGE_CLASS, LOCAL_PATH, LOCAL_PATH_DRIVER
from tiphys.apiserver.local_storage import CREATED, storage_class
from tiphys.testing.memory_api import MemoryApi


async def test_new_cluster_has_a_default_class() -> None:
    async with MemoryApi.running(local_storage="disk") as api:
        client = api.client()
        class_ = await client.get(StorageClass, LOCAL_PATH)
        assert class_.metadata.annotations == {DEFAULT_STORAGE_CLASS: "true"}
        assert (class_.provisioner, class_.reclaimPolicy) == (LOCAL_PATH_DRIVER, "Delete")
        assert (class_.volumeBindingMode, class_.allowVolumeExpansion) == ("WaitForFirstConsumer", True)
        driver = await client.get(CSIDriver, LOCAL_PATH_DRIVER)
        assert (driver.spec.attachRequired, driver.spec.storageCapacity) == (False, True)
        assert (driver.spec.fsGroupPolicy, driver.spec.volumeLifecycleModes) == ("File", ["Persistent"])
        claim = core.PersistentVolumeClaim(metadata=ObjectMeta(name="data", namespace="default"))
        claim.spec.accessModes = ["ReadWriteOnce"]
        claim.spec.resources = core.VolumeResourceRequirements(requests={"storage": Quantity("1Gi")})
        assert (await client.create(claim)).spec.storageClassName == LOCAL_PATH


async def test_changes_and_deletions_by_the_user_stay() -> None:
    async with MemoryApi.running(local_storage="disk") as api:
        client = api.client()
        body = {"metadata": {"annotations": {DEFAULT_STORAGE_CLASS: "false"}}}
        await client.patch(StorageClass, LOCAL_PATH, body=body, kind="merge")
        await api.restart()
        assert (await client.get(StorageClass, LOCAL_PATH)).metadata.annotations == {DEFAULT_STORAGE_CLASS: "false"}
        await client.delete(StorageClass, LOCAL_PATH)
        await client.delete(CSIDriver, LOCAL_PATH_DRIVER)
        await api.restart()
        with pytest.raises(NotFound):
            await client.get(StorageClass, LOCAL_PATH)
        await client.get(CSIDriver, LOCAL_PATH_DRIVER)
        await client.patch(core.Namespace, "kube-system", body={"metadata": {"annotations": {CREATED: None}}}, kind="merge")
        await api.restart()
        await client.get(StorageClass, LOCAL_PATH)


def test_another_default_class_stays_the_only_one() -> None:
    def annotations(other: str) -> dict[str, str]:
        present = StorageClass(metadata=ObjectMeta(name="fast", annotations={DEFAULT_STORAGE_CLASS: other}))
        return storage_class([present]).metadata.annotations

    assert annotations("true") == {}
    assert annotations("false") == {DEFAULT_STORAGE_CLASS: "true"}


async def test_without_local_storage_there_is_no_class() -> None:
    async with MemoryApi.running() as api:
        for type_, name in ((StorageClass, LOCAL_PATH), (CSIDriver, LOCAL_PATH_DRIVER)):
            with pytest.raises(NotFound):
                await api.client().get(type_, name)


async def test_hollow_nodes_have_no_capacity_to_report() -> None:
    async with MemoryApi.running(local_storage="hollow") as api:
        driver = await api.client().get(CSIDriver, LOCAL_PATH_DRIVER)
        assert driver.spec.storageCapacity is False
