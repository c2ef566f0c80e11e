"""The Node authorizer: what the pods of a node make reachable for it."""

from __future__ import annotations

import msgspec
import pytest

from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.resource.v1 import ResourceClaim, ResourceClaimConsumerReference
from tiphys.apiserver.auth.attributes import Attributes
from tiphys.apiserver.auth.node import NodeAuthorizer
from tiphys.apiserver.auth.user import User
from tiphys.testing.object_source import DictObjectSource

NODE = User("system:node:n1", groups=("system:nodes", "system:authenticated"))

POD = msgspec.convert(
    {
        "metadata": {"name": "web", "namespace": "shop", "uid": "1"},
        "spec": {
            "nodeName": "n1",
            "serviceAccountName": "sa",
            "imagePullSecrets": [{"name": "pull"}],
            "initContainers": [{"name": "i", "envFrom": [{"secretRef": {"name": "env-from"}}]}],
            "containers": [
                {
                    "name": "c",
                    "envFrom": [{"configMapRef": {"name": "settings"}}],
                    "env": [
                        {"name": "A", "valueFrom": {"secretKeyRef": {"name": "key", "key": "k"}}},
                        {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "flags", "key": "k"}}},
                        {"name": "C", "value": "plain"},
                    ],
                }
            ],
            "volumes": [
                {"name": "s", "secret": {"secretName": "mounted"}},
                {"name": "m", "configMap": {"name": "files"}},
                {"name": "d", "persistentVolumeClaim": {"claimName": "data"}},
                {"name": "p", "projected": {"sources": [{"secret": {"name": "part"}}, {"configMap": {"name": "kube-root-ca.crt"}}]}},
            ],
        },
    },
    core.Pod,
)


def bound_elsewhere() -> core.Pod:
    other = msgspec.convert(msgspec.to_builtins(POD), core.Pod)
    other.metadata.name, other.spec.nodeName = "far", "n2"
    other.spec.imagePullSecrets = [core.LocalObjectReference(name="far-secret")]
    return other


def volume(namespace: str) -> core.PersistentVolume:
    return core.PersistentVolume(
        metadata=ObjectMeta(name=f"pv-{namespace}"),
        spec=core.PersistentVolumeSpec(claimRef=core.ObjectReference(namespace=namespace, name="data")),
    )


def ask(verb: str, target: str, name: str = "", *, namespace: str = "shop", group: str = "", fields: str = "") -> Attributes:
    resource, _, subresource = target.partition("/")
    return Attributes(NODE, verb, group, "v1", resource, subresource, namespace, name, field_selector=fields)


def authorizer() -> tuple[DictObjectSource, NodeAuthorizer]:
    source = DictObjectSource(POD, bound_elsewhere(), volume("shop"), volume("bank"))
    return source, NodeAuthorizer(source)


@pytest.mark.parametrize("name", ["pull", "env-from", "key", "mounted", "part"])
def test_secrets_of_its_pods(name: str) -> None:
    _, node = authorizer()
    assert node.authorize(ask("get", "secrets", name)).allowed
    assert node.authorize(ask("watch", "secrets", name)).allowed
    assert not node.authorize(ask("update", "secrets", name)).allowed
    assert not node.authorize(ask("get", "secrets", name, namespace="bank")).allowed


@pytest.mark.parametrize("name", ["settings", "flags", "files", "kube-root-ca.crt"])
def test_config_maps_of_its_pods(name: str) -> None:
    assert authorizer()[1].authorize(ask("get", "configmaps", name)).allowed


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        (ask("get", "secrets", "far-secret"), "no relationship found between node 'n1' and this object"),
        (ask("list", "secrets"), "No Object name found"),
        (ask("list", "secrets", namespace=""), "can only read namespaced object of this type"),
        (ask("list", "pods"), "can only list/watch pods with spec.nodeName field selector"),
        (ask("list", "pods", fields="spec.nodeName=n2"), "can only list/watch pods with spec.nodeName field selector"),
        (ask("get", "pods", "far"), "no relationship found between node 'n1' and this object"),
        (ask("get", "nodes", "n2", namespace=""), "node 'n1' cannot read 'n2', only its own Node object"),
        (ask("list", "nodes", namespace=""), "node 'n1' cannot read all nodes, only its own Node object"),
        (ask("get", "persistentvolumes", "pv-bank", namespace=""), "no relationship found between node 'n1' and this object"),
        (ask("create", "serviceaccounts/token", "other"), "no relationship found between node 'n1' and this object"),
        (
            ask("update", "leases", "n1", namespace="kube-system", group="coordination.k8s.io"),
            'can only access leases in the "kube-node-lease" system namespace',
        ),
        (
            ask("update", "leases", "n2", namespace="kube-node-lease", group="coordination.k8s.io"),
            "can only access node lease with the same name as the requesting node",
        ),
        (ask("get", "resourceclaims", "other", group="resource.k8s.io"), "no relationship found between node 'n1' and this object"),
        (ask("update", "resourceclaims", "gpu", group="resource.k8s.io"), "can only read resources of this type"),
        (
            ask("deletecollection", "resourceslices", namespace="", group="resource.k8s.io", fields="spec.nodeName=n2"),
            "can only delete ResourceSlices with spec.nodeName field selector",
        ),
        (ask("delete", "nodes", "n1", namespace=""), ""),
        (ask("create", "pods/exec", "web"), ""),
        (ask("create", "deployments", group="apps"), ""),
    ],
)
def test_not_for_this_node(attributes: Attributes, reason: str) -> None:
    decision = authorizer()[1].authorize(attributes)
    assert (decision.allowed, decision.reason) == (False, reason)


@pytest.mark.parametrize(
    "attributes",
    [
        ask("list", "pods", namespace="", fields="spec.nodeName=n1"),
        ask("watch", "pods", namespace="", fields="metadata.namespace=x,spec.nodeName==n1"),
        ask("get", "pods", "web"),
        ask("delete", "pods", "web"),
        ask("patch", "pods/status", "web"),
        ask("create", "pods/eviction", "web"),
        ask("create", "nodes", namespace=""),
        ask("get", "nodes", "n1", namespace=""),
        ask("patch", "nodes/status", "n1", namespace=""),
        ask("create", "serviceaccounts/token", "sa"),
        ask("get", "persistentvolumeclaims", "data"),
        ask("get", "persistentvolumes", "pv-shop", namespace=""),
        ask("create", "leases", namespace="kube-node-lease", group="coordination.k8s.io"),
        ask("update", "leases", "n1", namespace="kube-node-lease", group="coordination.k8s.io"),
        ask("create", "events", namespace="shop"),
        ask("watch", "services", namespace=""),
        ask("watch", "runtimeclasses", namespace="", group="node.k8s.io"),
        ask("create", "tokenreviews", namespace="", group="authentication.k8s.io"),
    ],
)
def test_for_this_node(attributes: Attributes) -> None:
    assert authorizer()[1].authorize(attributes).allowed


def test_reads_the_claims_of_its_pods_and_deletes_the_slices_of_its_drivers() -> None:
    pod = core.Pod(metadata=ObjectMeta(name="p", namespace="shop", uid="u"), spec=core.PodSpec(nodeName="n1"))
    pod.spec.resourceClaims = [
        core.PodResourceClaim(name="a", resourceClaimName="gpu"),
        core.PodResourceClaim(name="b", resourceClaimTemplateName="t"),
    ]
    made = ResourceClaim(metadata=ObjectMeta(name="p-b-1", namespace="shop"))
    made.status.reservedFor = [ResourceClaimConsumerReference(resource="pods", name="p", uid="u")]
    node = NodeAuthorizer(DictObjectSource(pod, made))
    for name in ("gpu", "p-b-1"):
        assert node.authorize(ask("get", "resourceclaims", name, group="resource.k8s.io")).allowed
    slices = ask("deletecollection", "resourceslices", namespace="", group="resource.k8s.io", fields="spec.nodeName=n1,spec.driver=d")
    assert node.authorize(slices).allowed


def test_others_are_no_business_of_this_authorizer() -> None:
    _, node = authorizer()
    for user in (User("alice"), User("system:node:n1"), User("x", groups=("system:nodes",))):
        assert not node.authorize(Attributes(user, "get", "", "v1", "secrets", "", "shop", "mounted")).allowed


def test_reach_follows_the_pods() -> None:
    source, node = authorizer()
    question = ask("get", "secrets", "mounted")
    assert node.authorize(question).allowed
    twin = msgspec.convert(msgspec.to_builtins(POD), core.Pod)
    twin.metadata.name, twin.metadata.uid, twin.spec.nodeName = "twin", "2", ""
    source.put(twin)
    source.remove(POD)
    assert not node.authorize(question).allowed
    placed = msgspec.convert(msgspec.to_builtins(twin), core.Pod)
    placed.spec.nodeName = "n1"
    source.put(placed)
    assert node.authorize(question).allowed
    debugged = msgspec.convert(msgspec.to_builtins(placed), core.Pod)
    debugged.spec.ephemeralContainers = [
        core.EphemeralContainer(name="d", envFrom=[core.EnvFromSource(secretRef=core.SecretEnvSource(name="late"))])
    ]
    assert not node.authorize(ask("get", "secrets", "late")).allowed
    source.put(debugged)
    assert node.authorize(ask("get", "secrets", "late")).allowed
    source.remove(debugged)
    assert not node.authorize(question).allowed
    assert not node.authorize(ask("get", "secrets", "late")).allowed


def csi_volume(name: str, namespace: str, **secrets: str) -> core.PersistentVolume:
    source = core.CSIPersistentVolumeSource(driver="d", volumeHandle=name)
    for field, secret in secrets.items():
        setattr(source, field, core.SecretReference(namespace="drivers", name=secret))
    claim = core.ObjectReference(namespace=namespace, name="data")
    return core.PersistentVolume(metadata=ObjectMeta(name=name), spec=core.PersistentVolumeSpec(claimRef=claim, csi=source))


def test_secrets_of_the_volumes_that_it_mounts() -> None:
    source, node = authorizer()
    source.put(csi_volume("pv1", "shop", nodeStageSecretRef="stage", nodePublishSecretRef="publish", nodeExpandSecretRef="expand"))
    for name in ("stage", "publish", "expand"):
        assert node.authorize(ask("get", "secrets", name, namespace="drivers")).allowed
    source.put(csi_volume("pv1", "shop", nodeStageSecretRef="rotated"))
    source.put(csi_volume("pv2", "shop", controllerPublishSecretRef="attach", controllerExpandSecretRef="grow"))
    source.put(csi_volume("pv3", "bank", nodeStageSecretRef="bank"))
    assert node.authorize(ask("get", "secrets", "rotated", namespace="drivers")).allowed
    assert not node.authorize(ask("get", "secrets", "rotated", namespace="shop")).allowed
    for name in ("stage", "attach", "grow", "bank"):
        decision = node.authorize(ask("get", "secrets", name, namespace="drivers"))
        assert (decision.allowed, decision.reason) == (False, "no relationship found between node 'n1' and this object")
    source.remove(csi_volume("pv1", "shop"))
    assert not node.authorize(ask("get", "secrets", "rotated", namespace="drivers")).allowed
