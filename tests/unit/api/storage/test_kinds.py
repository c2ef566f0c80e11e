"""Storage classes, attachments of volumes, and the kinds of CSI."""

# One case to a line, however long.
# ruff: noqa: E501

from __future__ import annotations

from typing import Any

import pytest

from tiphys.api.kinds import SCHEME
from tiphys.api.storage.v1 import VolumeError

CSI = "csi: {driver: d.io, volumeHandle: h}"


def storage(kind: str, rest: str) -> str:
    return f"{{apiVersion: storage.k8s.io/v1, kind: {kind}, metadata: {{name: a}}, {rest}}}"


def attachment(spec: str) -> str:
    return storage("VolumeAttachment", f"spec: {{attacher: d.io, nodeName: n, {spec}}}")


def driver(spec: str) -> str:
    return storage("CSIDriver", f"spec: {spec}")


def node(item: str) -> str:
    return storage("CSINode", f"spec: {{drivers: [{item}]}}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (storage("StorageClass", "reclaimPolicy: Delete"), "provisioner: Required value"),
        (storage("StorageClass", "provisioner: a/b/c"), 'provisioner: Invalid value: "a/b/c"'),
        (storage("StorageClass", "provisioner: p, reclaimPolicy: Recycle"), 'reclaimPolicy: Unsupported value: "Recycle": supported values: "Delete", "Retain"'),
        (storage("StorageClass", "provisioner: p, volumeBindingMode: Odd"), 'volumeBindingMode: Unsupported value: "Odd": supported values: "Immediate", "WaitForFirstConsumer"'),
        (storage("StorageClass", "provisioner: p, parameters: {'': a}"), 'parameters: Invalid value: "": field can not be empty.'),
        (storage("StorageClass", "provisioner: p, allowedTopologies: [{matchLabelExpressions: [{key: a, values: [b, b]}, {key: a}]}]"), "allowedTopologies[0].matchLabelExpressions[1].values: Required value"),
        (storage("StorageClass", "provisioner: p, allowedTopologies: [{matchLabelExpressions: [{key: a, values: [b]}]}, {matchLabelExpressions: [{key: a, values: [b]}]}]"), 'allowedTopologies[1].matchLabelExpressions: Duplicate value: ""'),
        (storage("VolumeAttributesClass", "driverName: d"), "parameters: Required value: must contain at least one key/value pair"),
        (storage("VolumeAttributesClass", "parameters: {a: b}"), "driverName: Required value"),
        (attachment("source: {}"), "spec.source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName"),
        (attachment("source: {persistentVolumeName: ''}"), "spec.source.persistentVolumeName: Required value: must specify non empty persistentVolumeName"),
        (attachment("source: {persistentVolumeName: v, inlineVolumeSpec: {}}"), "spec.source: Forbidden: must specify exactly one of"),
        (attachment("source: {inlineVolumeSpec: {accessModes: [ReadWriteOnce]}}"), "spec.source.inlineVolumeSpec.csi: Required value: has to be specified in the context of inline volumes"),
        (attachment(f"source: {{inlineVolumeSpec: {{accessModes: [ReadWriteOnce], capacity: {{storage: '1'}}, {CSI}}}}}"), "spec.source.inlineVolumeSpec.capacity: Forbidden: may not be specified in the context of inline volumes"),
        (storage("VolumeAttachment", "spec: {nodeName: N, source: {persistentVolumeName: v}}"), "spec.attacher: Required value"),
        (storage("VolumeAttachment", "spec: {nodeName: N, source: {persistentVolumeName: v}}"), 'spec.nodeName: Invalid value: "N"'),
        (driver("{fsGroupPolicy: Odd}"), 'spec.fsGroupPolicy: Unsupported value: "Odd": supported values: "File", "None", "ReadWriteOnceWithFSType"'),
        (driver("{volumeLifecycleModes: [Odd]}"), 'spec.volumeLifecycleModes: Unsupported value: "Odd": supported values: "Persistent", "Ephemeral"'),
        (driver("{tokenRequests: [{audience: a}, {audience: a}]}"), 'spec.tokenRequests[1].audience: Duplicate value: "a"'),
        (driver("{tokenRequests: [{audience: a, expirationSeconds: 5}]}"), "spec.tokenRequests[0].expirationSeconds: Invalid value: 5: may not specify a duration less than 10 minutes"),
        (driver("{nodeAllocatableUpdatePeriodSeconds: 9}"), "spec.nodeAllocatableUpdatePeriodSeconds: Invalid value: 9: must be greater than or equal to 10 seconds"),
        (driver("{serviceAccountTokenInSecrets: true}"), "serviceAccountTokenInSecrets is set but no tokenRequests are specified"),
        (node("{name: d}"), "spec.drivers[0].nodeID: Required value"),
        (node(f"{{name: d, nodeID: {'x' * 257}}}"), "must be 256 characters or less"),
        (node("{name: d, nodeID: n}, {name: d, nodeID: n}"), 'spec.drivers[1].name: Duplicate value: "d"'),
        (node("{name: d, nodeID: n, topologyKeys: [a, a]}"), 'spec.drivers[0]: Duplicate value: "a"'),
        (node("{name: d, nodeID: n, allocatable: {count: -1}}"), "spec.drivers[0].allocatable.count: Invalid value: -1: must be greater than or equal to 0"),
        (storage("CSIStorageCapacity", "storageClassName: A"), 'storageClassName: Invalid value: "A"'),
        (storage("CSIStorageCapacity", "storageClassName: a, capacity: '-1'"), 'capacity: Invalid value: "-1": must be greater than or equal to 0'),
    ],
)  # fmt: skip
def test_rejects_invalid_fields(server: Any, text: str, said: str) -> None:
    server.rejects(text, said)


@pytest.mark.parametrize(
    "text",
    [
        storage("StorageClass", "provisioner: Kubernetes.IO/x"),
        storage("VolumeAttributesClass", "driverName: d, parameters: {a: b}"),
        attachment("source: {persistentVolumeName: v}"),
        attachment(f"source: {{inlineVolumeSpec: {{accessModes: [ReadWriteOnce], {CSI}}}}}"),
        driver("{}"),
        node("{name: D.io, nodeID: n, topologyKeys: [a/b]}"),
        storage("CSIStorageCapacity", "storageClassName: a, capacity: 1Gi"),
    ],
)
def test_accepts_valid_objects(server: Any, text: str) -> None:
    server.create(text)


def test_defaults(server: Any) -> None:
    made = server.create(storage("StorageClass", "provisioner: p"))
    assert (made.reclaimPolicy, made.volumeBindingMode) == ("Delete", "Immediate")
    spec = server.create(driver("{}")).spec
    assert (spec.attachRequired, spec.podInfoOnMount, spec.storageCapacity, spec.requiresRepublish, spec.seLinuxMount) == (
        True,
        False,
        False,
        False,
        False,
    )
    assert (spec.fsGroupPolicy, spec.volumeLifecycleModes) == ("ReadWriteOnceWithFSType", ["Persistent"])


def test_immutable_fields(server: Any) -> None:
    made = server.create(storage("StorageClass", "provisioner: p"))
    assert server.update(made, allowVolumeExpansion=True)[1] == []
    assert server.update(made, parameters={"a": "b"}, reclaimPolicy="Retain")[1] == [
        'parameters: Invalid value: {"a":"b"}: field is immutable',
        'reclaimPolicy: Invalid value: "Retain": field is immutable',
    ]
    made = server.create(storage("VolumeAttributesClass", "driverName: d, parameters: {a: b}"))
    assert server.update(made, driverName="e")[1] == ["driverName: Forbidden: updates to driverName are forbidden."]
    assert server.update(made, parameters={"a": "c"})[1] == ["parameters: Forbidden: updates to parameters are forbidden."]
    made = server.create(attachment("source: {persistentVolumeName: v}"))
    assert server.update(made, spec__nodeName="m")[1][0].endswith(": field is immutable")
    made = server.create(driver("{}"))
    assert server.update(made, spec__attachRequired=False)[1] == ["spec.attachedRequired: Invalid value: false: field is immutable"]
    made = server.create(node("{name: d, nodeID: n}"))
    assert server.update(made, spec__drivers__0__nodeID="m")[1][0].startswith("spec.drivers: Invalid value")
    assert server.update(made, spec__drivers=[])[1] == []
    made = server.create(storage("CSIStorageCapacity", "storageClassName: a"))
    assert server.update(made, storageClassName="b")[1] == ['storageClassName: Invalid value: "b": field is immutable']


def test_statuses(server: Any) -> None:
    made = server.create(attachment("source: {persistentVolumeName: v}"))
    made.status.attachError = VolumeError(message="x" * 1025, errorCode=-1)
    assert [str(error) for error in SCHEME.of(type(made)).rules.validate_status_update(made, made)] == [
        "status.attachError.message: Too long: may not be more than 262144 bytes",
        "status.attachError.errorCode: Invalid value: -1: must be between 0 and 2147483647, inclusive",
    ]


@pytest.mark.parametrize(
    ("text", "warnings"),
    [
        (storage("StorageClass", "provisioner: p, allowedTopologies: [{matchLabelExpressions: [{key: beta.kubernetes.io/os, values: [a]}]}]"), ['allowedTopologies[0].matchLabelExpressions[0].key: deprecated since v1.14; use "kubernetes.io/os" instead']),
        (storage("CSIStorageCapacity", "storageClassName: a, nodeTopology: {matchLabels: {beta.kubernetes.io/os: a}}"), ['nodeTopology.matchLabels.beta.kubernetes.io/os: deprecated since v1.14; use "kubernetes.io/os" instead']),
        (driver("{tokenRequests: [{audience: a}]}"), ["spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in volume attributes"]),
    ],
)  # fmt: skip
def test_warnings(server: Any, text: str, warnings: list[str]) -> None:
    assert server.warnings(text) == warnings
