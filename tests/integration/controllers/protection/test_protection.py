"""Claims, volumes and classes of attributes stay as long as something uses them, and go then."""

from __future__ import annotations

from typing import Any

import msgspec

from tests.integration.controllers.conftest import Cluster
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import NotFound
from tiphys.api.storage.v1 import VolumeAttributesClass
from tiphys.testing import eventually


def claim(name: str = "data", **spec: Any) -> core.PersistentVolumeClaim:
    document = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec}
    return msgspec.convert({"metadata": {"name": name, "namespace": "default"}, "spec": document}, core.PersistentVolumeClaim)


def volume(name: str = "disk", **spec: Any) -> core.PersistentVolume:
    source = {"csi": {"driver": "d.io", "volumeHandle": "h"}, "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}}
    return msgspec.convert({"metadata": {"name": name}, "spec": {**source, **spec}}, core.PersistentVolume)


def pod(node: str = "n1") -> core.Pod:
    spec = {
        "nodeName": node,
        "containers": [{"name": "c", "image": "x"}],
        "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}],
    }
    return msgspec.convert({"metadata": {"name": "user", "namespace": "default"}, "spec": spec}, core.Pod)


async def is_gone(cluster: Cluster, type_: type[Any], name: str, namespace: str = "") -> bool:
    try:
        await cluster.client.get(type_, name, namespace)
    except NotFound:
        return True
    return False


async def test_a_claim_stays_until_its_pod_is_gone(cluster: Cluster) -> None:
    async with cluster.controllers():
        await eventually(lambda: cluster.has_account("default"))
        await cluster.client.create(claim())
        await cluster.client.create(claim("free"))
        await cluster.client.create(pod())
        for name in ("data", "free"):
            await cluster.client.delete(core.PersistentVolumeClaim, name, "default")
        await eventually(lambda: is_gone(cluster, core.PersistentVolumeClaim, "free", "default"))
        found = await cluster.client.get(core.PersistentVolumeClaim, "data", "default")
        assert found.metadata.deletionTimestamp is not None
        assert found.metadata.finalizers == ["kubernetes.io/pvc-protection"]
        await cluster.client.delete(core.Pod, "user", "default", grace=0)
        await eventually(lambda: is_gone(cluster, core.PersistentVolumeClaim, "data", "default"))


async def test_a_pod_without_a_node_keeps_nothing(cluster: Cluster) -> None:
    async with cluster.controllers():
        await eventually(lambda: cluster.has_account("default"))
        await cluster.client.create(claim())
        await cluster.client.create(pod(node=""))
        await cluster.client.delete(core.PersistentVolumeClaim, "data", "default")
        await eventually(lambda: is_gone(cluster, core.PersistentVolumeClaim, "data", "default"))


async def is_bound(cluster: Cluster) -> bool:
    return (await cluster.client.get(core.PersistentVolumeClaim, "data", "default")).status.phase == "Bound"


async def test_a_volume_stays_while_it_is_bound(cluster: Cluster) -> None:
    async with cluster.controllers():
        await cluster.client.create(claim())
        await cluster.client.create(volume())
        await eventually(lambda: is_bound(cluster))
        await cluster.client.create(volume("free"))
        for name in ("disk", "free"):
            await cluster.client.delete(core.PersistentVolume, name)
        await eventually(lambda: is_gone(cluster, core.PersistentVolume, "free"))
        kept = await cluster.client.get(core.PersistentVolume, "disk")
        assert (kept.status.phase, kept.metadata.finalizers) == ("Bound", ["kubernetes.io/pv-protection"])
        await cluster.client.delete(core.PersistentVolumeClaim, "data", "default")
        await eventually(lambda: is_gone(cluster, core.PersistentVolume, "disk"))


async def test_a_class_of_attributes_stays_while_a_claim_or_a_volume_has_it(cluster: Cluster) -> None:
    async with cluster.controllers():
        await cluster.client.create(
            msgspec.convert({"metadata": {"name": "fast"}, "driverName": "d", "parameters": {"a": "b"}}, VolumeAttributesClass)
        )
        await cluster.client.create(claim(volumeAttributesClassName="fast"))
        await cluster.client.create(volume(volumeAttributesClassName="fast"))
        await cluster.client.delete(VolumeAttributesClass, "fast")
        await cluster.client.delete(core.PersistentVolume, "disk")
        await eventually(lambda: is_gone(cluster, core.PersistentVolume, "disk"))
        assert (await cluster.client.get(VolumeAttributesClass, "fast")).metadata.deletionTimestamp is not None
        await cluster.client.delete(core.PersistentVolumeClaim, "data", "default")
        await eventually(lambda: is_gone(cluster, VolumeAttributesClass, "fast"))


async def test_a_finalizer_that_was_taken_off_comes_back(cluster: Cluster) -> None:
    async with cluster.controllers():
        made = await cluster.client.create(claim())
        made.metadata.finalizers = []
        await cluster.client.update(made)

        async def protected() -> bool:
            found = await cluster.client.get(core.PersistentVolumeClaim, "data", "default")
            return found.metadata.finalizers == ["kubernetes.io/pvc-protection"]

        await eventually(protected)
