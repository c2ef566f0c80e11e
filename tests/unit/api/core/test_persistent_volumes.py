"""PersistentVolumes and their claims: defaults, mistakes, what may change."""

# One case to a line, however long.
# ruff: noqa: E501

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tiphys.api.core.v1 import SecretReference
from tiphys.api.kinds import SCHEME

CSI = "csi: {driver: d.io, volumeHandle: h}"


def volume(more: str = CSI, *, size: str = "1Gi", modes: str = "[ReadWriteOnce]", meta: str = "") -> str:
    return f"{{apiVersion: v1, kind: PersistentVolume, metadata: {{name: a{meta}}}, spec: {{capacity: {{storage: {size}}}, accessModes: {modes}, {more}}}}}"


def claim(more: str = "volumeName: ''", *, size: str = "1Gi", modes: str = "[ReadWriteOnce]", meta: str = "") -> str:
    return f"{{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {{name: a{meta}}}, spec: {{resources: {{requests: {{storage: {size}}}}}, accessModes: {modes}, {more}}}}}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (volume(modes="[]"), "spec.accessModes: Required value"),
        (volume(modes="[Odd]"), 'spec.accessModes: Unsupported value: "Odd": supported values: "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"'),
        (volume(modes="[ReadWriteOncePod, ReadOnlyMany]"), "spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes"),
        (volume(size="'0'"), 'spec.capacity[storage]: Invalid value: "0": must be greater than zero'),
        (volume(size="-1Gi"), "spec.capacity[storage]: Invalid value: -1073741824: must be a valid resource quantity"),
        (volume(size="'1', cpu: '1'"), 'spec.capacity: Unsupported value: {"storage":"1","cpu":"1"}: supported values: "storage"'),
        (volume("persistentVolumeReclaimPolicy: Odd"), 'spec.persistentVolumeReclaimPolicy: Unsupported value: "Odd": supported values: "Delete", "Recycle", "Retain"'),
        (volume("volumeMode: Odd"), 'spec.volumeMode: Unsupported value: "Odd": supported values: "Block", "Filesystem"'),
        (volume("storageClassName: A"), 'spec.storageClassName: Invalid value: "A"'),
        (volume("volumeMode: Block"), "spec: Required value: must specify a volume type"),
        (volume(f"{CSI}, nfs: {{server: s, path: /p}}"), "spec.nfs: Forbidden: may not specify more than 1 volume type"),
        (volume("nfs: {server: s, path: p}"), 'spec.nfs.path: Invalid value: "p": must be an absolute path'),
        (volume("nfs: {path: /p}"), "spec.nfs.server: Required value"),
        (volume("hostPath: {path: /a/../b}"), "spec.hostPath.path: Invalid value: \"/a/../b\": must not contain '..'"),
        (volume("hostPath: {path: /}, persistentVolumeReclaimPolicy: Recycle"), "spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'"),
        (volume("local: {path: /a}"), "spec.nodeAffinity: Required value: Local volume requires node affinity"),
        (volume(f"{CSI}, nodeAffinity: {{}}"), "spec.nodeAffinity.required: Required value: must specify required node constraints"),
        (volume(f"{CSI}, nodeAffinity: {{required: {{}}}}"), "spec.nodeAffinity.required.nodeSelectorTerms: Required value: must have at least one node selector term"),
        (volume("csi: {volumeHandle: h}"), "spec.csi.driver: Required value"),
        (volume("csi: {driver: _, volumeHandle: h}"), 'spec.csi.driver: Invalid value: "_"'),
        (volume("csi: {driver: d}"), "spec.csi.volumeHandle: Required value"),
        (volume("csi: {driver: d, volumeHandle: h, nodePublishSecretRef: {name: s}}"), "spec.csi.nodePublishSecretRef.namespace: Required value"),
        (volume("iscsi: {targetPortal: p, iqn: odd}"), 'spec.iscsi.iqn: Invalid value: "odd": must be valid format'),
        (volume("iscsi: {targetPortal: p, iqn: 'iqn.2003-01.io.k8s:e', lun: 300}"), "spec.iscsi.lun: Invalid value: 300: must be between 0 and 255, inclusive"),
        (volume("fc: {targetWWNs: [a]}"), "spec.fc.lun: Required value: lun is required if targetWWNs is specified"),
        (volume("fc: {}"), "spec.fc.targetWWNs: Required value: must specify either targetWWNs or wwids, but not both"),
        (volume("flexVolume: {driver: d, options: {a.k8s.io/b: c}}"), 'spec.flexVolume.options[a.k8s.io/b]: Invalid value: "a.k8s.io/b": kubernetes.io and k8s.io namespaces are reserved'),
        (volume("gcePersistentDisk: {}"), "spec.persistentDisk.pdName: Required value"),
        (volume("azureDisk: {diskName: d, diskURI: u, kind: Managed}"), 'spec.azureDisk.diskURI: Unsupported value: "u"'),
        (volume("quobyte: {registry: r, volume: v}"), "must be a host:port pair or multiple pairs separated by commas"),
        (volume("volumeAttributesClassName: v, hostPath: {path: /a}"), "spec.csi: Required value: has to be specified when using volumeAttributesClassName"),
        (volume(f"{CSI}, volumeAttributesClassName: ''"), "spec.volumeAttributesClassName: Required value: an empty string is disallowed"),
        (volume(meta=", annotations: {volume.beta.kubernetes.io/mount-options: ro}"), "may not specify mount options for this volume type"),
        (claim(modes="[]"), "spec.accessModes: Required value: at least 1 access mode is required"),
        (claim(modes="[ReadWriteOncePod, ReadOnlyMany]"), "may not use ReadWriteOncePod with other access modes"),
        (claim(size="'0'"), 'spec.resources[storage]: Invalid value: "0": must be greater than zero'),
        ("{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: a}, spec: {accessModes: [ReadWriteOnce]}}", "spec.resources[storage]: Required value"),
        (claim("storageClassName: A"), 'spec.storageClassName: Invalid value: "A"'),
        (claim("volumeMode: Odd"), 'spec.volumeMode: Unsupported value: "Odd": supported values: "Block", "Filesystem"'),
        (claim("selector: {matchExpressions: [{key: a, operator: Odd}]}"), 'spec.selector.matchExpressions[0].operator: Invalid value: "Odd"'),
        (claim("dataSourceRef: {kind: Pod, name: p}"), "spec.dataSourceRef: Invalid value: \"Pod\": must be 'PersistentVolumeClaim' when referencing the default apiGroup"),
        (claim("dataSourceRef: {kind: PersistentVolumeClaim}"), "spec.dataSourceRef.name: Required value"),
        (claim("dataSource: {kind: PersistentVolumeClaim, name: p}, dataSourceRef: {kind: PersistentVolumeClaim, name: q}"), 'spec: Invalid value: "spec.dataSource": must match dataSourceRef'),
    ],
)  # fmt: skip
def test_rejects_invalid_fields(server: Any, text: str, said: str) -> None:
    server.rejects(text, said)


@pytest.mark.parametrize(
    "text",
    [
        volume(),
        volume("local: {path: /a}, nodeAffinity: {required: {nodeSelectorTerms: [{}]}}"),
        volume("iscsi: {targetPortal: p, iqn: 'iqn.2003-01.io.k8s:e', initiatorName: eui.0123456789ABCDEF}"),
        volume("quobyte: {registry: 'r:1,[::1]:2', volume: v}"),
        volume("nfs: {server: s, path: /p}", meta=", annotations: {volume.beta.kubernetes.io/mount-options: ro}"),
        claim(),
        claim("storageClassName: ''"),
    ],
)
def test_accepts_valid_objects(server: Any, text: str) -> None:
    server.create(text)


def test_templates_of_claims_in_pods(server: Any) -> None:
    def pod(template: str) -> str:
        return f"{{apiVersion: v1, kind: Pod, metadata: {{name: p}}, spec: {{containers: [{{name: c, image: i}}], volumes: [{{name: v, ephemeral: {{volumeClaimTemplate: {template}}}}}]}}}}"

    assert (
        server.errors(pod("{metadata: {labels: {a: b}}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}"))
        == []
    )
    assert server.errors(
        pod("{metadata: {name: x, labels: {a/b/c: d}}, spec: {accessModes: [Odd], resources: {requests: {storage: 1Gi}}}}")
    ) == [
        "spec.volumes[0].ephemeral.volumeClaimTemplate.metadata.labels: Invalid value: \"a/b/c\": a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
        "spec.volumes[0].ephemeral.volumeClaimTemplate.metadata.name: Forbidden: cannot be set",
        'spec.volumes[0].ephemeral.volumeClaimTemplate.spec.accessModes: Unsupported value: "Odd": supported values: "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"',
    ]


def test_defaults(server: Any) -> None:
    made = server.create(volume("hostPath: {path: /a}"))
    assert (made.spec.persistentVolumeReclaimPolicy, made.spec.volumeMode, made.spec.hostPath.type, made.status.phase) == (
        "Retain",
        "Filesystem",
        "",
        "Pending",
    )
    assert (server.create(volume("rbd: {monitors: [m], image: i}"))).spec.rbd.pool == "rbd"
    wanted = server.create(claim())
    assert (wanted.spec.volumeMode, wanted.status.phase) == ("Filesystem", "Pending")


def test_data_sources_say_the_same(server: Any) -> None:
    made = server.create(claim("dataSource: {kind: PersistentVolumeClaim, name: b}"))
    assert (made.spec.dataSourceRef.kind, made.spec.dataSourceRef.name) == ("PersistentVolumeClaim", "b")
    made = server.create(claim("dataSourceRef: {apiGroup: x.io, kind: Odd, name: b}"))
    assert (made.spec.dataSource.apiGroup, made.spec.dataSource.kind) == ("x.io", "Odd")
    made = server.create(claim("dataSource: {apiGroup: x.io, kind: Odd, name: b}"))
    assert made.spec.dataSource is made.spec.dataSourceRef is None
    made = server.create(claim("dataSourceRef: {kind: PersistentVolumeClaim, name: b, namespace: other}"))
    assert made.spec.dataSource is made.spec.dataSourceRef is None


def test_mutable_fields_of_volumes(server: Any) -> None:
    made = server.create(volume())
    assert server.update(made, spec__persistentVolumeReclaimPolicy="Delete")[1] == []
    assert server.update(made, spec__csi__controllerExpandSecretRef=SecretReference(name="s", namespace="n"))[1] == []
    said = server.update(made, spec__csi__volumeHandle="other")[1]
    assert said[0].startswith("spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation\n-\tcsi: ")
    assert server.update(made, spec__volumeMode="Block")[1] == ['volumeMode: Invalid value: "Block": field is immutable']
    classy = server.create(volume(f"{CSI}, volumeAttributesClassName: v"))
    assert server.update(classy, spec__volumeAttributesClassName=None)[1] == [
        "spec.volumeAttributesClassName: Forbidden: update from non-nil value to nil is forbidden"
    ]
    term = "nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: %s, operator: Exists}]}]}}"
    old = server.create(volume(f"{CSI}, {term % 'failure-domain.beta.kubernetes.io/zone'}"))
    renewed = server.create(volume(f"{CSI}, {term % 'topology.kubernetes.io/zone'}")).spec.nodeAffinity
    assert server.update(old, spec__nodeAffinity=renewed)[1] == []
    other = server.create(volume(f"{CSI}, {term % 'topology.kubernetes.io/region'}")).spec.nodeAffinity
    assert server.update(old, spec__nodeAffinity=other)[1][0].endswith("field is immutable, except for updating from beta label to GA")
    assert server.update(made, spec__nodeAffinity=other)[1] == []


def test_mutable_fields_of_claims(server: Any) -> None:
    frozen = "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n"
    made = server.create(claim())
    assert server.update(made, spec__volumeName="v")[1] == []
    assert server.update(made, spec__storageClassName="fast")[1] == []
    assert server.update(made, spec__accessModes=["ReadOnlyMany"])[1] == [
        f'{frozen}-\taccessModes: ["ReadWriteOnce"]\n+\taccessModes: ["ReadOnlyMany"]'
    ]
    assert server.update(made, spec__resources__requests={"storage": "2Gi"})[1][0].startswith(frozen)
    assert server.update(made, metadata__annotations={"volume.beta.kubernetes.io/storage-class": "x"})[1] == [
        'metadata.annotations.volume.beta.kubernetes.io/storage-class: Invalid value: "x": field is immutable'
    ]
    made.status.phase, made.status.capacity = "Bound", {"storage": "1Gi"}
    assert server.update(made, spec__resources__requests={"storage": "2Gi"})[1] == []
    assert server.update(made, spec__volumeAttributesClassName="v")[1] == []
    assert server.update(made, spec__resources__requests={"storage": "1Mi"})[1] == [
        "spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"
    ]
    made.spec.volumeAttributesClassName = made.status.currentVolumeAttributesClassName = "v"
    said = "update to nil is forbidden when status.currentVolumeAttributesClassName is not nil"
    assert server.update(made, spec__volumeAttributesClassName=None)[1] == [f"spec.volumeAttributesClassName: Forbidden: {said}"]
    bound = server.create(claim("volumeName: v"))
    assert server.update(bound, spec__volumeName="w")[1][0].startswith(frozen)
    old = server.create(claim(meta=", annotations: {volume.beta.kubernetes.io/storage-class: x}"))
    assert server.update(old, spec__storageClassName="x", metadata__annotations={})[1] == []
    assert len(server.update(old, spec__storageClassName="y")[1]) == 1


def test_statuses(server: Any) -> None:
    old = server.create(claim())
    new = server.create(claim())
    new.status.allocatedResourceStatuses = {"storage": "Odd", "cpu": "NodeResizePending"}
    new.status.capacity = {"storage": "-1"}
    assert [str(error) for error in SCHEME.of(type(old)).rules.validate_status_update(new, old)] == [
        "status.capacity[storage]: Invalid value: -1: must be a valid resource quantity",
        'status.allocatedResourceStatuses: Unsupported value: "storage": supported values: "ControllerResizeInProgress", "ControllerResizeInfeasible", "NodeResizeInProgress", "NodeResizeInfeasible", "NodeResizePending"',
        'status.allocatedResourceStatuses: Unsupported value: "cpu": supported values: "storage"',
    ]


def test_the_time_of_the_phase(server: Any) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    old = server.load(volume())
    rules = SCHEME.of(type(old)).rules
    old.metadata.creationTimestamp = now - timedelta(hours=1)
    rules.prepare_create(old)
    assert old.status.lastPhaseTransitionTime == now - timedelta(hours=1)
    assert rules.stamp_status is not None
    for phase, said, expected in (
        ("Pending", None, now - timedelta(hours=1)),
        ("Available", None, now),
        ("Available", now - timedelta(hours=1), now),
        ("Available", now - timedelta(minutes=1), now - timedelta(minutes=1)),
    ):
        new = server.load(volume())
        new.status.phase, new.status.lastPhaseTransitionTime = phase, said
        rules.stamp_status(new, old, now)
        assert new.status.lastPhaseTransitionTime == expected


@pytest.mark.parametrize(
    ("text", "warnings"),
    [
        (volume(f"{CSI}, persistentVolumeReclaimPolicy: Recycle"), ["spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning."]),
        (volume("storageos: {volumeName: v}"), ["spec.storageOS: deprecated in v1.22, non-functional in v1.25+"]),
        (volume(f"{CSI}, nodeAffinity: {{required: {{nodeSelectorTerms: [{{matchExpressions: [{{key: beta.kubernetes.io/os, operator: Exists}}]}}]}}}}"), ['spec.nodeAffinity.required.nodeSelectorTerms[0].matchExpressions[0].key: beta.kubernetes.io/os is deprecated since v1.14; use "kubernetes.io/os" instead']),
        (claim(size="1500m"), ['spec.resources.requests[storage]: fractional byte value "1500m" is invalid, must be an integer']),
        (claim(meta=", annotations: {volume.beta.kubernetes.io/storage-class: x}"), ['metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; use "storageClassName" attribute instead']),
        (volume(), []),
        (claim(), []),
    ],
)  # fmt: skip
def test_warnings(server: Any, text: str, warnings: list[str]) -> None:
    assert server.warnings(text) == warnings
