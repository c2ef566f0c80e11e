"""The registry of what is served, and the life-cycle rules of kinds."""

# One case to a line, however long.
# ruff: noqa: E501

from __future__ import annotations

from typing import Any

import pytest

from tiphys.api.apiextensions import v1 as extensions
from tiphys.api.core import v1 as core
from tiphys.api.kinds import SCHEME


def test_kinds_that_kubectl_expects() -> None:
    served = {kind.resource: kind for kind in SCHEME}
    pods = served["pods"]
    assert (pods.short_names, pods.categories, pods.namespaced) == (("po",), ("all",), True)
    assert {sub.name for sub in pods.subresources} >= {"status", "log", "exec", "attach", "portforward", "proxy", "binding", "eviction"}
    assert {kind.resource for kind in SCHEME if "all" in kind.categories} >= {
        *("pods", "services", "replicationcontrollers", "deployments.apps", "replicasets.apps", "daemonsets.apps", "statefulsets.apps"),
        *("jobs.batch", "cronjobs.batch"),
    }
    assert not {"configmaps", "secrets", "controllerrevisions.apps", "podtemplates"} & {
        kind.resource for kind in SCHEME if "all" in kind.categories
    }
    assert served["deployments.apps"].short_names == ("deploy",)
    assert "deletecollection" not in served["namespaces"].verbs
    assert served["selfsubjectaccessreviews.authorization.k8s.io"].verbs == ("create",)
    assert served["localsubjectaccessreviews.authorization.k8s.io"].namespaced
    assert served["events"].ttl(core.Event()) == 3600
    assert served["pods"].ttl(core.Pod()) is None


def test_paths_and_look_ups() -> None:
    assert SCHEME.of(core.Pod).path("team", "web", "status") == "/api/v1/namespaces/team/pods/web/status"
    assert SCHEME.of(core.Node).path("", "n") == "/api/v1/nodes/n"
    found = SCHEME.by_gvk("apps/v1", "Deployment")
    assert found is not None
    assert found is SCHEME.by_resource("apps", "v1", "deployments")
    assert found.path("d", "w", "scale") == "/apis/apps/v1/namespaces/d/deployments/w/scale"
    assert SCHEME.by_gvk("apps/v1", "Nothing") is None


def test_short_names_are_unique() -> None:
    seen: dict[str, str] = {}
    for kind in SCHEME:
        if kind.group == "metrics.k8s.io":  # Named after what they measure; the priority of the group puts them last.
            continue
        for name in (kind.plural, kind.singular, *kind.short_names):
            assert seen.setdefault(name, kind.hub.resource) == kind.hub.resource


def test_selectable_fields() -> None:
    pod = core.Pod(spec=core.PodSpec(nodeName="n", hostNetwork=True), status=core.PodStatus(phase="Running"))
    fields = {name: read(pod) for name, read in SCHEME.of(core.Pod).selectable.items()}
    assert (fields["spec.nodeName"], fields["spec.hostNetwork"], fields["status.phase"]) == ("n", "true", "Running")
    node = SCHEME.of(core.Node).selectable["spec.unschedulable"]
    assert (node(core.Node()), node(core.Node(spec=core.NodeSpec(unschedulable=True)))) == ("false", "true")
    event = core.Event(involvedObject=core.ObjectReference(kind="Pod", name="web"), reportingComponent="k")
    read = SCHEME.of(core.Event).selectable
    assert (read["involvedObject.name"](event), read["source"](event)) == ("web", "k")


@pytest.mark.parametrize("kind", list(SCHEME), ids=lambda kind: kind.resource)
def test_every_kind_survives_its_rules_when_empty(kind: Any) -> None:
    from datetime import UTC, datetime

    obj = kind.type()
    rules = kind.rules
    rules.default(obj)
    rules.prepare_create(obj)
    rules.validate(obj)
    rules.prepare_update(obj, obj)
    rules.validate_update(obj, obj)
    rules.prepare_status_update(obj, obj)
    rules.validate_status_update(obj, obj)
    assert not rules.spec_changed(obj, obj)
    assert not rules.is_held(obj) or isinstance(obj, core.Namespace | extensions.CustomResourceDefinition)
    for column in kind.columns:
        assert isinstance(column.cell(obj, datetime.now(UTC)), str | int | bool | None)
    for read in kind.selectable.values():
        assert isinstance(read(obj), str)


def test_generations(server: Any) -> None:
    service = server.create("{apiVersion: v1, kind: Service, metadata: {name: a, generation: 7}, spec: {ports: [{port: 1}]}}")
    assert service.metadata.generation == 7
    web = server.create(
        "{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: b}]}}}}"
    )
    rules = SCHEME.of(type(web)).rules
    assert rules.spec_changed(server.update(web, metadata__annotations={"a": "b"})[0], web)
    assert not rules.spec_changed(server.update(web, metadata__labels={"a": "b"})[0], web)
    piece = server.create("{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: a}, addressType: IPv4}")
    assert piece.metadata.generation == 1
    assert SCHEME.of(type(piece)).rules.spec_changed(server.update(piece, metadata__labels={"a": "b"})[0], piece)


def test_namespaces_are_held_by_their_own_finalizer(server: Any) -> None:
    team = server.create("{apiVersion: v1, kind: Namespace, metadata: {name: team}}")
    rules = SCHEME.of(core.Namespace).rules
    assert rules.is_held(team)
    rules.begin_deletion(team)
    assert team.status.phase == "Terminating"
    changed, errors = server.update(team, spec__finalizers=[])
    assert changed.spec.finalizers == ["kubernetes"]
    assert errors == []
    changed.spec.finalizers = []
    assert not rules.is_held(changed)


def test_pod_status_updates_keep_what_kubelets_leave_out(server: Any) -> None:
    old = server.create("{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: a, image: b}]}}")
    old.status.conditions = [core.PodCondition(type="Ready", status="False", observedGeneration=2)]
    new, _ = server.update(old)
    new.status = core.PodStatus(phase="Running", conditions=[core.PodCondition(type="Ready", status="True")])
    SCHEME.of(core.Pod).rules.prepare_status_update(new, old)
    assert (new.status.qosClass, new.status.conditions[0].observedGeneration) == ("BestEffort", 2)
