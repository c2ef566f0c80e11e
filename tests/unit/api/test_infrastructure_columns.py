"""Tables of the networking and storage groups, volumes, claims and runtime classes."""

# One case to a line, however long.
# ruff: noqa: E501

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tiphys.api.kinds import SCHEME
from tiphys.api.networking.v1 import IngressLoadBalancerIngress

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def cells(obj: Any) -> list[Any]:
    obj.metadata.creationTimestamp = NOW - timedelta(minutes=5)
    return [column.cell(obj, NOW) for column in SCHEME.of(type(obj)).columns]


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: a}, spec: {rules: [{}]}", ["a", "<none>", "*", "", "80", "5m"]),
        ("apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: a}, spec: {ingressClassName: c, tls: [{}], rules: [{host: a}, {host: b}, {host: c}]}", ["a", "c", "a,b,c", "", "80, 443", "5m"]),
        ("apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: a}, spec: {rules: [{host: a}, {host: b}, {host: c}, {host: d}]}", ["a", "<none>", "a,b,c + 1 more...", "", "80", "5m"]),
        ("apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: a, annotations: {ingressclass.kubernetes.io/is-default-class: 'true'}}, spec: {controller: a.b/c, parameters: {apiGroup: g, kind: K, name: n}}", ["a (default)", "a.b/c", "K.g/n", "5m"]),
        ("apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: a}, spec: {controller: a.b/c}", ["a", "a.b/c", "<none>", "5m"]),
        ("apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: a}, spec: {podSelector: {matchLabels: {b: c}}}", ["a", "b=c", "5m"]),
        ("apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: a}", ["a", "<none>", "5m"]),
        ("apiVersion: v1, kind: PersistentVolume, metadata: {name: a}, spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteMany, ReadWriteOnce], claimRef: {namespace: n, name: c}, storageClassName: s, csi: {driver: d, volumeHandle: h}}", ["a", "1Gi", "RWO,RWX", "Retain", "Pending", "n/c", "s", "<unset>", "", "5m", "Filesystem"]),
        ("apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: a}, spec: {resources: {requests: {storage: 1Gi}}, accessModes: [ReadWriteOnce], storageClassName: s}", ["a", "Pending", "", "", "", "s", "<unset>", "5m", "Filesystem"]),
        ("apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: a, annotations: {storageclass.kubernetes.io/is-default-class: 'true'}}, provisioner: p", ["a (default)", "p", "Delete", "Immediate", False, "5m"]),
        ("apiVersion: storage.k8s.io/v1, kind: CSINode, metadata: {name: a}, spec: {drivers: [{name: d, nodeID: n}]}", ["a", 1, "5m"]),
        ("apiVersion: storage.k8s.io/v1, kind: CSIDriver, metadata: {name: a}", ["a", True, False, False, "<unset>", False, "Persistent", "5m"]),
        ("apiVersion: storage.k8s.io/v1, kind: CSIDriver, metadata: {name: a}, spec: {tokenRequests: [{audience: x}, {audience: y}], attachRequired: false}", ["a", False, False, False, "x,y", False, "Persistent", "5m"]),
        ("apiVersion: storage.k8s.io/v1, kind: CSIStorageCapacity, metadata: {name: a}, storageClassName: s, capacity: 1Gi", ["a", "s", "1Gi"]),
        ("apiVersion: storage.k8s.io/v1, kind: VolumeAttachment, metadata: {name: a}, spec: {attacher: d, nodeName: n, source: {persistentVolumeName: v}}", ["a", "d", "v", "n", False, "5m"]),
        ("apiVersion: storage.k8s.io/v1, kind: VolumeAttributesClass, metadata: {name: a}, driverName: d, parameters: {a: b}", ["a", "d", "5m"]),
        ("apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: a}, handler: h", ["a", "h", "5m"]),
    ],
)  # fmt: skip
def test_rows(server: Any, text: str, row: list[Any]) -> None:
    assert cells(server.prepared(f"{{{text}}}")) == row


def test_addresses_of_ingresses_are_cut(server: Any) -> None:
    ingress = server.prepared("{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: a}, spec: {rules: [{}]}}")
    ingress.status.loadBalancer.ingress = [IngressLoadBalancerIngress(hostname="b"), IngressLoadBalancerIngress(ip="10.0.0.1")]
    assert cells(ingress)[3] == "10.0.0.1,b"
    ingress.status.loadBalancer.ingress.append(IngressLoadBalancerIngress(ip="10.0.0.22"))
    assert cells(ingress)[3] == "10.0.0.1,10.0..."


def test_claims_that_are_bound_and_that_go(server: Any) -> None:
    claim = server.prepared(
        "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: a}, spec: {volumeName: v, storageClassName: s, volumeAttributesClassName: w}}"
    )
    claim.status.capacity, claim.status.accessModes, claim.status.phase = {"storage": "2Gi"}, ["ReadWriteOnce"], "Bound"
    assert cells(claim) == ["a", "Bound", "v", "2Gi", "RWO", "s", "w", "5m", "Filesystem"]
    claim.metadata.deletionTimestamp = NOW
    assert cells(claim)[1] == "Terminating"
