"""Stateful sets, daemon sets and replication controllers: defaults, mistakes, what may change, what a status may say."""

# One case to a line, however long.
# ruff: noqa: E501

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tiphys.api.apps.daemon_set import TEMPLATE_GENERATION
from tiphys.api.apps.v1 import DaemonSetStatus, RollingUpdateStatefulSetStrategy, StatefulSetStatus
from tiphys.api.core.v1 import ReplicationControllerStatus
from tiphys.api.kinds import SCHEME

TEMPLATE = "template: {{metadata: {{labels: {{app: web}}}}, spec: {{containers: [{{name: app, image: a{container}}}]{spec}}}}}"
SET = "{{apiVersion: apps/v1, kind: {kind}, metadata: {{name: {name}}}, spec: {{selector: {selector}, {more}" + TEMPLATE + "}}}}"
RC = "{{apiVersion: v1, kind: ReplicationController, metadata: {{name: {name}}}, spec: {{{more}" + TEMPLATE + "}}}}"


def stateful(more: str = "", *, selector: str = "{matchLabels: {app: web}}", spec: str = "", container: str = "", name: str = "web") -> str:
    return SET.format(kind="StatefulSet", name=name, selector=selector, more=more, spec=spec, container=container)


def daemon(more: str = "", *, selector: str = "{matchLabels: {app: web}}", spec: str = "") -> str:
    return SET.format(kind="DaemonSet", name="web", selector=selector, more=more, spec=spec, container="")


def controller(more: str = "", *, spec: str = "", name: str = "web") -> str:
    return RC.format(name=name, more=more, spec=spec, container="")


CLAIM = "volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}], "


def test_defaults(server: Any) -> None:
    spec = server.create(stateful(CLAIM)).spec
    assert (spec.replicas, spec.revisionHistoryLimit, spec.podManagementPolicy) == (1, 10, "OrderedReady")
    assert (spec.updateStrategy.type, spec.updateStrategy.rollingUpdate.partition) == ("RollingUpdate", 0)
    assert (spec.persistentVolumeClaimRetentionPolicy.whenDeleted, spec.persistentVolumeClaimRetentionPolicy.whenScaled) == (
        "Retain",
        "Retain",
    )
    assert (spec.volumeClaimTemplates[0].spec.volumeMode, spec.volumeClaimTemplates[0].status.phase) == ("Filesystem", "Pending")
    made = server.create(daemon())
    assert (made.spec.updateStrategy.rollingUpdate.maxUnavailable, made.spec.updateStrategy.rollingUpdate.maxSurge) == (1, 0)
    assert made.metadata.annotations == {TEMPLATE_GENERATION: "1"}
    for odd in ("0", "x", "9" * 5000):
        annotated = server.create(daemon().replace("name: web", f"name: web, annotations: {{{TEMPLATE_GENERATION}: '{odd}'}}", 1))
        assert annotated.metadata.annotations == {TEMPLATE_GENERATION: "1"}, odd[:9]
    rc = server.create(controller())
    assert (rc.spec.replicas, rc.spec.selector, rc.metadata.labels) == (1, {"app": "web"}, {"app": "web"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (stateful(selector="null"), "spec.selector: Required value"),
        (stateful(selector="{}"), "spec.selector: Invalid value: {}: empty selector is invalid for statefulset"),
        (stateful(selector="{matchLabels: {app: db}}"), 'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`'),
        (stateful("podManagementPolicy: Odd, "), "spec.podManagementPolicy: Invalid value: \"Odd\": must be 'OrderedReady' or 'Parallel'"),
        (stateful("updateStrategy: {type: Odd}, "), "spec.updateStrategy: Invalid value: {\"type\":\"Odd\"}: must be 'RollingUpdate' or 'OnDelete'"),
        (stateful("updateStrategy: {type: OnDelete, rollingUpdate: {partition: 1}}, "), "spec.updateStrategy.rollingUpdate: Invalid value: {\"partition\":1}: only allowed for updateStrategy 'RollingUpdate'"),
        (stateful("updateStrategy: {rollingUpdate: {partition: -1}}, "), "spec.updateStrategy.rollingUpdate.partition: Invalid value: -1: must be greater than or equal to 0"),
        (stateful("persistentVolumeClaimRetentionPolicy: {whenDeleted: Odd}, "), 'spec.persistentVolumeClaimRetentionPolicy.whenDeleted: Unsupported value: "Odd": supported values: "Retain", "Delete"'),
        (stateful("replicas: -1, "), "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
        (stateful("ordinals: {start: -1}, "), "spec.ordinals.start: Invalid value: -1: must be greater than or equal to 0"),
        (stateful("serviceName: A, "), 'spec.serviceName: Invalid value: "A": a lowercase RFC 1123 label'),
        (stateful(spec=", restartPolicy: Never"), 'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"'),
        (stateful(spec=", activeDeadlineSeconds: 5"), "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in StatefulSet is not Supported"),
        (stateful(container=", volumeMounts: [{name: data, mountPath: /d}]"), 'volumeMounts[0].name: Not found: "data"'),
        (stateful("volumeClaimTemplates: [{metadata: {name: data}, spec: {resources: {requests: {storage: 1Gi}}}}], "), "spec.volumeClaimTemplates[0].spec.accessModes: Required value: at least 1 access mode is required"),
        (stateful(name="a.b"), 'metadata.name: Invalid value: "a.b": must not contain dots'),
        (daemon(selector="{}"), "spec.selector: Invalid value: {}: empty selector is invalid for daemonset"),
        (daemon(selector="null"), "`selector` does not match template `labels`"),
        (daemon("updateStrategy: {type: Odd}, "), 'spec.updateStrategy: Unsupported value: {"type":"Odd"}: supported values: "RollingUpdate", "OnDelete"'),
        (daemon("updateStrategy: {rollingUpdate: {maxUnavailable: 0}}, "), "spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0"),
        (daemon("updateStrategy: {rollingUpdate: {maxSurge: 10%}}, "), 'spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: "10%": may not be set when maxUnavailable is non-zero'),
        (daemon("updateStrategy: {rollingUpdate: {maxUnavailable: 101%}}, "), "must not be greater than 100%"),
        (daemon("revisionHistoryLimit: -1, "), "spec.revisionHistoryLimit: Invalid value: -1"),
        (daemon(spec=", activeDeadlineSeconds: 5"), "activeDeadlineSeconds in DaemonSet is not Supported"),
        (controller("replicas: -1, "), "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
        (controller("selector: {app: db}, "), 'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`'),
        (controller(spec=", restartPolicy: OnFailure"), 'spec.template.spec.restartPolicy: Unsupported value: "OnFailure": supported values: "Always"'),
        (controller(spec=", activeDeadlineSeconds: 5"), "activeDeadlineSeconds in ReplicationController is not Supported"),
        ("{apiVersion: v1, kind: ReplicationController, metadata: {name: a}}", "spec.template: Required value"),
        ("{apiVersion: v1, kind: ReplicationController, metadata: {name: a}}", "spec.selector: Required value"),
    ],
)  # fmt: skip
def test_rejects_invalid_fields(server: Any, text: str, said: str) -> None:
    server.rejects(text, said)


@pytest.mark.parametrize(
    "text",
    [
        stateful(CLAIM, container=", volumeMounts: [{name: data, mountPath: /d}]", spec=", hostname: NOT_VALID"),
        stateful("updateStrategy: {type: OnDelete}, "),
        daemon("updateStrategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}, "),
        controller("replicas: 0, "),
    ],
)
def test_accepts_valid_objects(server: Any, text: str) -> None:
    server.create(text)


def test_mutable_fields_of_a_stateful_set(server: Any) -> None:
    made = server.create(stateful("serviceName: web, "))
    assert server.update(made, spec__replicas=3, spec__minReadySeconds=5, spec__template__spec__containers__0__image="b")[1] == []
    said = "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
    assert server.update(made, spec__serviceName="other")[1] == [said]
    changed, _ = server.update(made, spec__updateStrategy__rollingUpdate=RollingUpdateStatefulSetStrategy(partition=1, maxUnavailable=2))
    assert changed.spec.updateStrategy.rollingUpdate.maxUnavailable == 2


def test_mutable_fields_of_a_daemon_set(server: Any) -> None:
    made = server.create(daemon())
    changed, errors = server.update(made, spec__template__spec__containers__0__image="b")
    assert errors == []
    assert changed.metadata.annotations[TEMPLATE_GENERATION] == "2"
    same, _ = server.update(changed, spec__minReadySeconds=4, metadata__annotations={TEMPLATE_GENERATION: "9"})
    assert same.metadata.annotations[TEMPLATE_GENERATION] == "2"
    assert any(
        error.endswith("field is immutable") for error in server.update(made, spec__selector__matchLabels={"app": "web", "a": "b"})[1]
    )


def status_errors(made: Any, type_: type[Any], before: dict[str, int], after: dict[str, int]) -> list[str]:
    old, new = (msgspec.structs.replace(made, status=type_(**counts)) for counts in (before, after))
    return [str(error) for error in SCHEME.of(type(made)).rules.validate_status_update(new, old)]


def test_statuses(server: Any) -> None:
    sts, ds, rc = server.create(stateful()), server.create(daemon()), server.create(controller())
    assert status_errors(sts, StatefulSetStatus, {}, {"replicas": 2, "readyReplicas": 1, "availableReplicas": 1}) == []
    assert status_errors(sts, StatefulSetStatus, {"collisionCount": 1}, {"currentReplicas": 1, "availableReplicas": -1}) == [
        "status.availableReplicas: Invalid value: -1: must be greater than or equal to 0",
        "status.currentReplicas: Invalid value: 1: cannot be greater than status.replicas",
        "status.collisionCount: Invalid value: 0: cannot be decremented",
    ]
    assert status_errors(ds, DaemonSetStatus, {}, {"numberReady": -1}) == [
        "status.numberReady: Invalid value: -1: must be greater than or equal to 0"
    ]
    assert status_errors(rc, ReplicationControllerStatus, {}, {"replicas": 1, "availableReplicas": 1, "fullyLabeledReplicas": 2}) == [
        "status.fullyLabeledReplicas: Invalid value: 2: cannot be greater than status.replicas",
        "status.availableReplicas: Invalid value: 1: cannot be greater than readyReplicas",
    ]


def test_warnings(server: Any) -> None:
    def said(text: str) -> list[str]:
        made = server.prepared(text)
        return SCHEME.of(type(made)).rules.warnings(made, None)

    assert said(stateful("revisionHistoryLimit: -1, ")) == [
        "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended"
    ]
    assert said(controller(name="a.b"))[0].startswith(
        "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]"
    )
    assert said(controller()) == []
