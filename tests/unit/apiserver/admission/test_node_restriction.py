"""Writes that a node may make."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.unit.apiserver.admission.world import World, copy, make_pod
from tiphys.api.authentication.v1 import BoundObjectReference, TokenRequest, TokenRequestSpec
from tiphys.api.coordination.v1 import Lease
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import Forbidden, NotFound
from tiphys.api.meta.v1 import ObjectMeta, OwnerReference
from tiphys.api.rbac.v1 import ClusterRole, ClusterRoleBinding, PolicyRule, RoleRef, Subject
from tiphys.api.storage.v1 import CSIDriver, CSIDriverSpec, CSINode
from tiphys.api.storage.v1 import TokenRequest as DriverToken
from tiphys.api.well_known import CONFIG_MIRROR
from tiphys.apiserver.auth.user import User

NODE = User("system:node:n1", groups=("system:nodes", "system:authenticated"))


def node_object(name: str = "n1", **spec: Any) -> core.Node:
    return msgspec.convert({"metadata": {"name": name, "uid": f"uid-{name}"}, "spec": spec}, core.Node)


def mirror(**change: Any) -> core.Pod:
    pod = make_pod(nodeName=change.get("nodeName", "n1"), **change.get("spec", {}))
    pod.metadata.annotations = change.get("annotations", {CONFIG_MIRROR: "hash"})
    owner = OwnerReference(apiVersion="v1", kind="Node", name="n1", uid="uid-n1", controller=True)
    pod.metadata.ownerReferences = change.get("owners", [owner])
    return pod


async def test_mirror_pods(world: World) -> None:
    world.source.put(node_object())
    await world.create(mirror(), user=NODE)


OWNER = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "uid-n1", "controller": True}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"annotations": {}}, 'node "n1" can only create mirror pods'),
        ({"nodeName": "n2"}, "spec.nodeName set to itself"),
        ({"owners": []}, "with an owner reference set to itself"),
        ({"owners": [{**OWNER, "name": "n2"}]}, "with an owner reference set to itself"),
        ({"owners": [OWNER, OWNER]}, "with a single owner reference"),
        ({"owners": [{**OWNER, "controller": False}]}, "with a controller owner reference"),
        ({"owners": [{**OWNER, "blockOwnerDeletion": True}]}, "must not set blockOwnerDeletion"),
        ({"owners": [{**OWNER, "uid": "old"}]}, "node n1 UID mismatch: expected old got uid-n1"),
        ({"spec": {"volumes": [{"name": "m", "configMap": {"name": "x"}}]}}, 'node "n1" can not create pods that reference configmaps'),
    ],
)
async def test_other_pods(world: World, change: dict[str, Any], message: str) -> None:
    world.source.put(node_object())
    if "owners" in change:
        change = {**change, "owners": msgspec.convert(change["owners"], list[OwnerReference])}
    with pytest.raises(Forbidden) as caught:
        await world.create(mirror(**change), user=NODE)
    assert message in caught.value.message


async def test_only_its_own_pods(world: World) -> None:
    own, other = make_pod(nodeName="n1"), make_pod(nodeName="n2")
    other.metadata.name = "far"
    for pod in (own, other):
        world.source.put(pod)
    running = copy(own)
    running.status.phase = "Running"
    await world.update(running, own, user=NODE, subresource="status")
    await world.delete(own, user=NODE)
    with pytest.raises(Forbidden, match='node "n1" can only update pod status for pods with'):
        await world.update(copy(other), other, user=NODE, subresource="status")
    with pytest.raises(Forbidden, match="can only delete pods"):
        await world.delete(other, user=NODE)
    with pytest.raises(Forbidden, match="can only create and delete mirror pods"):
        await world.update(running, own, user=NODE)
    labeled = copy(own)
    labeled.metadata.labels = {"app": "x"}
    with pytest.raises(Forbidden, match="cannot update labels through pod status"):
        await world.update(labeled, own, user=NODE, subresource="status")


async def test_only_its_own_node(world: World) -> None:
    created = await world.create(node_object(), user=NODE)
    assert created.spec.taints
    await world.update(copy(created), created, user=NODE, subresource="status")
    with pytest.raises(Forbidden, match='node "n1" is not allowed to modify node "n2"'):
        await world.create(node_object("n2"), user=NODE)
    tainted = copy(created)
    tainted.spec.taints = []
    with pytest.raises(Forbidden, match='node "n1" is not allowed to modify taints'):
        await world.update(tainted, created, user=NODE)
    await world.update(tainted, created)


@pytest.mark.parametrize(
    ("label", "allowed"),
    [
        ("kubernetes.io/hostname", True),
        ("topology.kubernetes.io/zone", True),
        ("node.kubernetes.io/anything", True),
        ("kubelet.kubernetes.io/x", True),
        ("example.com/x", True),
        ("plain", True),
        ("node-role.kubernetes.io/control-plane", False),
        ("kubernetes.io/made-up", False),
        ("x.k8s.io/y", False),
        ("node-restriction.kubernetes.io/secure", False),
        ("team.node-restriction.kubernetes.io/secure", False),
    ],
)
async def test_labels(world: World, label: str, allowed: bool) -> None:
    node = node_object()
    node.metadata.labels = {label: "v"}
    if allowed:
        await world.create(copy(node), user=NODE)
        await world.update(node, node_object(), user=NODE)
        return
    with pytest.raises(Forbidden, match=f"not allowed to set the following labels: {label}"):
        await world.create(node, user=NODE)
    with pytest.raises(Forbidden, match=f"is not allowed to modify labels: {label}"):
        await world.update(node, node_object(), user=NODE)


async def test_leases_and_csi_nodes(world: World) -> None:
    world.source.put(core.Namespace(metadata=ObjectMeta(name="kube-node-lease")))
    own = Lease(metadata=ObjectMeta(name="n1", namespace="kube-node-lease"))
    await world.create(own, user=NODE)
    await world.update(own, own, user=NODE)
    await world.create(CSINode(metadata=ObjectMeta(name="n1")), user=NODE)
    with pytest.raises(Forbidden, match="can only access node lease with the same name"):
        await world.create(Lease(metadata=ObjectMeta(name="n2", namespace="kube-node-lease")), user=NODE)
    with pytest.raises(Forbidden, match='can only access leases in the "kube-node-lease" system namespace'):
        await world.create(Lease(metadata=ObjectMeta(name="n1", namespace="shop")), user=NODE)
    with pytest.raises(Forbidden, match="can only access CSINode with the same name"):
        await world.create(CSINode(metadata=ObjectMeta(name="n2")), user=NODE)


async def test_claims_change_in_status_only(world: World) -> None:
    old = core.PersistentVolumeClaim(metadata=ObjectMeta(name="d", namespace="shop"))
    new = copy(old)
    new.status.capacity = {"storage": "1Gi"}
    await world.update(new, old, user=NODE, subresource="status")
    with pytest.raises(Forbidden, match="may only update PVC status"):
        await world.update(new, old, user=NODE)
    new.metadata.labels = {"a": "b"}
    with pytest.raises(Forbidden, match="is not allowed to update fields other than"):
        await world.update(new, old, user=NODE, subresource="status")


POD = BoundObjectReference(kind="Pod", apiVersion="v1", name="web", uid="p1")


def running_pod(*audiences: str, node: str = "n1") -> core.Pod:
    sources = [{"serviceAccountToken": {"path": "t", "audience": audience}} for audience in audiences]
    pod = make_pod(nodeName=node, volumes=[{"name": "t", "projected": {"sources": sources}}])
    pod.metadata.uid = "p1"
    return pod


def ask_token(world: World, ref: BoundObjectReference | None, *audiences: str) -> Any:
    request = TokenRequest(metadata=ObjectMeta(name="default", namespace="shop"))
    request.spec = TokenRequestSpec(boundObjectRef=ref, audiences=list(audiences))
    return world.create(request, user=NODE, on=core.ServiceAccount, subresource="token", name="default")


async def test_tokens_of_its_pods(world: World) -> None:
    world.source.put(running_pod("", "vault"))
    await ask_token(world, POD)
    await ask_token(world, POD, "vault")


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        (None, "node requested token not bound to a pod"),
        (BoundObjectReference(kind="Secret", apiVersion="v1", name="web", uid="p1"), "node requested token not bound to a pod"),
        (BoundObjectReference(kind="Pod", apiVersion="v1", name="web"), "node requested token with a pod binding without a uid"),
        (BoundObjectReference(kind="Pod", apiVersion="v1", name="web", uid="p0"), "does not match the UID in record"),
    ],
)
async def test_tokens_of_nothing(world: World, ref: BoundObjectReference | None, message: str) -> None:
    world.source.put(running_pod(""))
    with pytest.raises(Forbidden, match=message):
        await ask_token(world, ref)


async def test_tokens_of_other_nodes_pods(world: World) -> None:
    with pytest.raises(NotFound):
        await ask_token(world, POD)
    world.source.put(running_pod("", node="n2"))
    with pytest.raises(Forbidden, match="node requested token bound to a pod scheduled on a different node"):
        await ask_token(world, POD)


async def test_tokens_for_audiences_that_the_pod_does_not_have(world: World) -> None:
    world.source.put(running_pod(""))
    with pytest.raises(Forbidden, match='audience "vault" not found in pod spec volume, system:node:n1 is not authorized'):
        await ask_token(world, POD, "vault")
    with pytest.raises(Forbidden, match="node may only request 0 or 1 audiences"):
        await ask_token(world, POD, "", "vault")
    rule = PolicyRule(verbs=["request-serviceaccounts-token-audience"], apiGroups=[""], resources=["vault"])
    world.source.put(ClusterRole(metadata=ObjectMeta(name="v"), rules=[rule]))
    subjects = [Subject(kind="Group", name="system:nodes")]
    world.source.put(ClusterRoleBinding(metadata=ObjectMeta(name="v"), subjects=subjects, roleRef=RoleRef(kind="ClusterRole", name="v")))
    await ask_token(world, POD, "vault")


@pytest.mark.parametrize(
    "volume",
    [
        {"csi": {"driver": "secrets.example"}},
        {"persistentVolumeClaim": {"claimName": "data"}},
        {"ephemeral": {"volumeClaimTemplate": {"spec": {"accessModes": ["ReadWriteOnce"]}}}},
    ],
)
async def test_tokens_that_drivers_of_its_volumes_ask_for(world: World, volume: dict[str, Any]) -> None:
    pod = make_pod(nodeName="n1", volumes=[{"name": "v", **volume}])
    pod.metadata.uid = "p1"
    world.source.put(pod)
    with pytest.raises(Forbidden, match='audience "vault" not found in pod spec volume'):
        await ask_token(world, POD, "vault")
    world.source.put(CSIDriver(metadata=ObjectMeta(name="secrets.example"), spec=CSIDriverSpec(tokenRequests=[DriverToken("vault")])))
    for name in ("data", "web-v"):
        claim = core.PersistentVolumeClaim(metadata=ObjectMeta(name=name, namespace="shop"))
        claim.spec.volumeName = "pv1"
        world.source.put(claim)
    source = core.CSIPersistentVolumeSource(driver="secrets.example", volumeHandle="h")
    world.source.put(core.PersistentVolume(metadata=ObjectMeta(name="pv1"), spec=core.PersistentVolumeSpec(csi=source)))
    await ask_token(world, POD, "vault")
    with pytest.raises(Forbidden, match='audience "other" not found in pod spec volume'):
        await ask_token(world, POD, "other")
