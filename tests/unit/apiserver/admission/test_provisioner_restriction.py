"""Writes that the provisioner in a node's process may make: of local volumes there, and of volumes on NFS shares."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.unit.apiserver.admission.world import ALICE, World, copy
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import Forbidden
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.storage.v1 import CSIStorageCapacity, StorageClass
from tiphys.api.well_known import HOSTNAME, LOCAL_PATH_DRIVER, LOCAL_PATH_USER, LOCAL_PATH_USERS, NFS_DRIVER, SELECTED_NODE
from tiphys.apiserver.auth.user import User
from tiphys.node.nfs_class.settings import NfsVolume

USER = User(f"{LOCAL_PATH_USER}n1", groups=(LOCAL_PATH_USERS, "system:authenticated"))


def volume(
    node: str = "n1", *, uid: str = "c1", size: str = "1Gi", source: dict[str, Any] | None = None, **spec: Any
) -> core.PersistentVolume:
    here = {"key": HOSTNAME, "operator": "In", "values": [node]}
    affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}}
    of = {"kind": "PersistentVolumeClaim", "namespace": "shop", "name": "data", "uid": uid}
    csi = {"csi": {"driver": LOCAL_PATH_DRIVER, "volumeHandle": "pvc-c1"}}
    body = {
        "capacity": {"storage": size},
        "accessModes": ["ReadWriteOnce"],
        "nodeAffinity": affinity,
        "claimRef": of,
        **(source or csi),
        **spec,
    }
    return msgspec.convert({"metadata": {"name": "pvc-c1", "uid": "pv"}, "spec": body}, core.PersistentVolume)


def claim(node: str = "n1", *, phase: str = "Pending", volume: str = "", **metadata: Any) -> core.PersistentVolumeClaim:
    annotations = {SELECTED_NODE: node} if node else {}
    body = {
        "metadata": {"name": "data", "namespace": "shop", "uid": "c1", "annotations": annotations, **metadata},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "volumeName": volume},
        "status": {"phase": phase},
    }
    return msgspec.convert(body, core.PersistentVolumeClaim)


async def test_a_volume_for_a_claim_of_the_node(world: World) -> None:
    world.source.put(claim())
    await world.create(volume(), user=USER)
    await world.update(volume(size="2Gi"), volume(), user=USER)
    await world.delete(volume(), user=USER)


def on_share(server: str = "nas", share: str = "/a b") -> core.PersistentVolume:
    handle = NfsVolume(server=server, share=share, directory="pvc-c1", name="pvc-c1").handle
    attributes = {"server": "nas", "share": "/a b", "subDir": "pvc-c1"}
    source = {"csi": {"driver": NFS_DRIVER, "volumeHandle": handle, "volumeAttributes": attributes}}
    return volume(source=source, nodeAffinity=None)


def shares(**parameters: str) -> StorageClass:
    return StorageClass(metadata=ObjectMeta(name="shared"), provisioner=NFS_DRIVER, parameters=parameters)


async def test_a_volume_on_a_share(world: World) -> None:
    world.source.put(claim(""))
    with pytest.raises(Forbidden, match="may only create volumes for claims that are to be on that node, or of classes of shares"):
        await world.create(on_share(), user=USER)
    shared = claim("")
    shared.spec.storageClassName = "shared"
    world.source.put(shared)
    world.source.put(shares(server="nas", share="/a b"))
    await world.create(on_share(), user=USER)
    await world.delete(on_share(), user=USER)
    for elsewhere in (on_share(server="evil"), on_share(share="/"), on_share(server="", share="")):
        with pytest.raises(Forbidden):
            await world.create(elsewhere, user=USER)


async def test_a_class_of_shares_may_write_its_parameters_as_the_driver_takes_them(world: World) -> None:
    shared = claim("")
    shared.spec.storageClassName = "shared"
    world.source.put(shared)
    world.source.put(shares(Server="nas", Path="/a b"))
    await world.create(on_share(), user=USER)


CSI = {"driver": LOCAL_PATH_DRIVER, "volumeHandle": "x"}


@pytest.mark.parametrize(
    "other",
    [
        volume("n2"),
        volume(source={"hostPath": {"path": "/"}}),
        volume(source={"local": {"path": "/"}}),
        volume(source={"csi": {**CSI, "driver": "other.example.com"}}),
        volume(source={"csi": {**CSI, "nodeStageSecretRef": {"name": "admin", "namespace": "kube-system"}}}),
        volume(source={"csi": {**CSI, "nodePublishSecretRef": {"name": "admin", "namespace": "kube-system"}}}),
        volume(nodeAffinity=None),
        volume(nodeAffinity={"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": HOSTNAME, "operator": "Exists"}]}]}}),
    ],
)
async def test_other_volumes(world: World, other: core.PersistentVolume) -> None:
    world.source.put(claim())
    for write in (world.create(other, user=USER), world.delete(other, user=USER), world.update(other, volume(), user=USER)):
        with pytest.raises(Forbidden, match='the provisioner of node "n1" may only'):
            await write
    await world.create(copy(other), user=ALICE)


@pytest.mark.parametrize("there", [None, claim("n2"), claim(""), claim(uid="another")])
async def test_volumes_for_the_claims_of_others(world: World, there: core.PersistentVolumeClaim | None) -> None:
    if there is not None:
        world.source.put(there)
    with pytest.raises(Forbidden, match="only create volumes for claims that are to be on that node"):
        await world.create(volume(), user=USER)


async def test_a_volume_keeps_its_claim_and_its_policy(world: World) -> None:
    for changed in (volume(uid="another"), volume(persistentVolumeReclaimPolicy="Delete")):
        with pytest.raises(Forbidden, match="only change the capacity"):
            await world.update(changed, volume(), user=USER)


async def test_claims(world: World) -> None:
    finalizers = ["provisioner.tiphys.io/provisioning"]
    await world.update(claim(finalizers=finalizers), claim(), user=USER)
    await world.update(claim(""), claim(), user=USER)
    await world.update(claim(), claim(""), user=USER)
    world.source.put(volume())
    bound = claim("", phase="Bound", volume="pvc-c1")
    await world.update(copy(bound), bound, user=USER, subresource="status")


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (claim("n2", finalizers=["x"]), claim("n2")),
        (claim("n1"), claim("n2")),
        (claim("n2"), claim("n1")),
        (claim("", finalizers=["x"], volume="elsewhere"), claim("", volume="elsewhere")),
        (claim(volume="pvc-x"), claim()),
        (claim(phase="Bound"), claim()),
        (claim(labels={"a": "b"}), claim()),
        (claim(annotations={SELECTED_NODE: "n1", "pv.kubernetes.io/bind-completed": "yes"}), claim()),
    ],
)
async def test_claims_of_others_and_what_claims_are(world: World, new: core.PersistentVolumeClaim, old: core.PersistentVolumeClaim) -> None:
    world.source.put(msgspec.structs.replace(volume("n2"), metadata=msgspec.structs.replace(volume().metadata, name="elsewhere")))
    with pytest.raises(Forbidden, match='the provisioner of node "n1" may only'):
        await world.update(new, old, user=USER)


async def test_room(world: World) -> None:
    def room(node: str) -> CSIStorageCapacity:
        body = {"metadata": {"name": "x", "namespace": "shop"}, "storageClassName": "c", "nodeTopology": {"matchLabels": {HOSTNAME: node}}}
        return msgspec.convert(body, CSIStorageCapacity)

    await world.create(room("n1"), user=USER)
    for write in (
        world.create(room("n2"), user=USER),
        world.delete(room("n2"), user=USER),
        world.update(room("n1"), room("n2"), user=USER),
    ):
        with pytest.raises(Forbidden, match="only report the room on that node"):
            await write
