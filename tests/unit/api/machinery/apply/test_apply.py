"""Applies on documents: merging, letting go, sharing, conflicts, taking over."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.machinery.apply import document, fieldset
from tiphys.api.machinery.apply.apply import LAST_APPLIED, Application, Applied, apply
from tiphys.api.machinery.apply.conflicts import ApplyConflict
from tiphys.api.machinery.apply.document import SchemaMismatch
from tiphys.api.machinery.apply.managers import after_update, opened
from tiphys.api.machinery.apply.schema import schema_of
from tiphys.api.meta.v1 import ManagedFieldsEntry

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DEPLOYMENT = schema_of(apps.Deployment)
CONFIG_MAP = schema_of(core.ConfigMap)
POD = schema_of(core.Pod)

Document = dict[str, Any]


class Live:
    """An object through a history of applies."""

    def __init__(self, schema: Any = DEPLOYMENT, version: str = "apps/v1", **document: Any) -> None:
        self.schema, self.version, self.now = schema, version, NOW
        self.document: Document = document
        self.entries: list[ManagedFieldsEntry] = []

    def apply(self, manager: str, config: Document, *, force: bool = False, subresource: str = "") -> Document:
        before = copy.deepcopy((self.document, config)), msgspec.json.encode(self.entries)
        how = Application(manager, self.version, self.now, subresource, force)
        done: Applied = apply(self.schema, self.document, self.entries, config, how)
        assert ((self.document, config), msgspec.json.encode(self.entries)) == before, "an apply changes nothing that it is given"
        self.document, self.entries = done
        return self.document

    def update(self, manager: str, document_: Document, *, subresource: str = "") -> None:
        made = document.compare(self.schema, self.document, document_)
        self.entries = after_update(self.entries, made, manager, self.version, self.now, subresource=subresource)
        self.document = document_

    def owned(self, manager: str) -> set[str]:
        return {
            fieldset.describe_path(path)
            for who, owned in opened(self.entries).items()
            if who.name == manager
            for path in fieldset.paths(owned.fields)
        }


def spec(**fields: Any) -> Document:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": fields}


def containers(*items: Document) -> Document:
    return spec(template={"spec": {"containers": list(items)}})


def test_apply_removes_fields_that_the_manager_left_out() -> None:
    live = Live()
    live.apply("a", spec(replicas=3, paused=True, template={"metadata": {"labels": {"x": "1", "y": "2"}}}))
    live.apply("a", spec(replicas=3, template={"metadata": {"labels": {"x": "1"}}}))
    assert live.document["spec"] == {"replicas": 3, "template": {"metadata": {"labels": {"x": "1"}}}}
    live.apply("a", {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}})
    assert "spec" not in live.document
    assert live.entries == []


def test_shared_fields_stay_until_the_last_owner_lets_go() -> None:
    live = Live()
    live.apply("a", spec(replicas=3))
    live.apply("b", spec(replicas=3))
    assert live.owned("a") == live.owned("b") == {".spec.replicas"}
    live.apply("a", spec(paused=True))
    assert live.document["spec"] == {"replicas": 3, "paused": True}
    live.apply("b", spec(minReadySeconds=1))
    assert live.document["spec"] == {"paused": True, "minReadySeconds": 1}


def test_conflicts_name_every_field_and_owner() -> None:
    live = Live()
    live.apply("b", spec(replicas=3, paused=True))
    live.update("ed", {**live.document, "spec": {**live.document["spec"], "minReadySeconds": 4}})
    with pytest.raises(ApplyConflict) as one:
        live.apply("a", spec(replicas=4))
    assert one.value.message == 'Apply failed with 1 conflict: conflict with "b": .spec.replicas'
    with pytest.raises(ApplyConflict) as several:
        live.apply("a", spec(replicas=4, paused=False, minReadySeconds=5))
    assert several.value.message == (
        'Apply failed with 3 conflicts: conflicts with "b":\n- .spec.paused\n- .spec.replicas\n'
        'conflicts with "ed" using apps/v1:\n- .spec.minReadySeconds'
    )
    status = several.value.status()
    assert (status.code, status.reason) == (409, "Conflict")
    assert status.details is not None
    assert [(cause.reason, cause.field, cause.message) for cause in status.details.causes][2] == (
        "FieldManagerConflict", ".spec.minReadySeconds", 'conflict with "ed" using apps/v1',
    )  # fmt: skip


def test_force_takes_ownership() -> None:
    live = Live()
    live.apply("b", spec(replicas=3, paused=True))
    live.apply("a", spec(replicas=4), force=True)
    assert live.document["spec"] == {"replicas": 4, "paused": True}
    assert (live.owned("a"), live.owned("b")) == ({".spec.replicas"}, {".spec.paused"})
    live.apply("b", spec(paused=True))
    assert live.document["spec"] == {"replicas": 4, "paused": True}, "what was taken away is not removed by its former owner"


def test_items_of_several_managers_live_in_one_list() -> None:
    live = Live()
    live.apply("a", containers({"name": "web", "image": "1"}))
    live.apply("b", containers({"name": "side", "image": "2", "ports": [{"containerPort": 80}]}))
    live.apply("c", containers({"name": "web", "env": [{"name": "X", "value": "1"}]}))
    names = [item["name"] for item in live.document["spec"]["template"]["spec"]["containers"]]
    assert names == ["web", "side"]
    assert '.spec.template.spec.containers[name="side"].ports[containerPort=80,protocol="TCP"].containerPort' in live.owned("b")
    with pytest.raises(ApplyConflict, match=r'containers\[name="web"\]\.image'):
        live.apply("c", containers({"name": "web", "image": "3"}))
    live.apply("b", containers())
    assert [item["name"] for item in live.document["spec"]["template"]["spec"]["containers"]] == ["web"]


def test_a_port_is_the_same_with_its_default_protocol_and_without() -> None:
    live = Live(**containers({"name": "web", "ports": [{"containerPort": 80, "protocol": "TCP", "hostPort": 1}]}))
    live.apply("a", containers({"name": "web", "ports": [{"containerPort": 80, "name": "http"}, {"containerPort": 80, "protocol": "UDP"}]}))
    ports = live.document["spec"]["template"]["spec"]["containers"][0]["ports"]
    assert ports == [
        {"containerPort": 80, "protocol": "TCP", "hostPort": 1, "name": "http"},
        {"containerPort": 80, "protocol": "UDP"},
    ]


@pytest.mark.parametrize(
    ("live", "config", "merged"),
    [
        ("abc", "cab", "cab"),
        ("xay", "a", "xay"),
        ("xaybz", "ba", "xybza"),
        ("xayb", "anb", "xaynb"),
        ("a", "nam", "nam"),
        ("xy", "ab", "xyab"),
        ("", "ab", "ab"),
        ("ab", "", "ab"),
    ],
)
def test_order_of_merged_lists(live: str, config: str, merged: str) -> None:
    schema = schema_of(core.PodSpec).fields()["containers"].schema

    def items(text: str) -> list[Document]:
        return [{"name": letter} for letter in text]

    assert document.merge(schema, items(live), items(config)) == items(merged)


def test_set_lists_merge_value_by_value() -> None:
    live = Live(POD, "v1")

    def finalizers(*names: str) -> Document:
        return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "finalizers": list(names)}}

    live.apply("a", finalizers("x/a", "x/shared"))
    live.apply("b", finalizers("x/b", "x/shared"))
    assert set(live.document["metadata"]["finalizers"]) == {"x/a", "x/b", "x/shared"}
    live.apply("a", finalizers())
    assert set(live.document["metadata"]["finalizers"]) == {"x/b", "x/shared"}
    assert live.owned("b") == {'.metadata.finalizers[="x/b"]', '.metadata.finalizers[="x/shared"]'}


def test_atomic_fields_are_replaced_whole_and_disputed_whole() -> None:
    live = Live()
    live.apply("a", spec(selector={"matchLabels": {"x": "1"}}))
    live.apply("a", spec(selector={"matchLabels": {"y": "1"}}))
    assert live.document["spec"]["selector"] == {"matchLabels": {"y": "1"}}
    with pytest.raises(ApplyConflict, match=r"\.spec\.selector$"):
        live.apply("b", spec(selector={"matchLabels": {"z": "1"}}))


def test_updates_take_ownership_and_times_tell_changes() -> None:
    live = Live()
    live.apply("a", spec(replicas=3, paused=True))
    live.now = NOW + timedelta(hours=1)
    live.apply("a", spec(replicas=3, paused=True))
    assert [entry.time for entry in live.entries] == [NOW]
    live.update("ed", {**live.document, "spec": {"replicas": 5, "paused": True}})
    assert [(entry.manager, entry.operation, entry.time) for entry in live.entries] == [
        ("a", "Apply", NOW), ("ed", "Update", live.now),
    ]  # fmt: skip
    assert live.owned("a") == {".spec.paused"}
    live.update("ed", {**live.document, "spec": {"paused": True}})
    assert [entry.manager for entry in live.entries] == ["a"], "who owns nothing any more is forgotten"


def test_an_apply_that_leaves_the_object_as_it_is_has_no_time() -> None:
    """It comes first among the applies, then."""
    live = Live(CONFIG_MAP, "v1", metadata={"name": "a"})
    live.apply("first", {"data": {"a": "1", "b": "1"}})
    live.now += timedelta(seconds=2)
    live.apply("second", {"data": {"a": "1"}})
    assert [(entry.manager, entry.time) for entry in live.entries] == [("second", None), ("first", NOW)]
    live.apply("second", {"data": {"b": "1"}})
    assert [(entry.manager, entry.time) for entry in live.entries] == [("second", None), ("first", NOW)]
    live.apply("second", {"data": {"b": "2"}}, force=True)
    assert [(entry.manager, entry.time) for entry in live.entries] == [("first", NOW), ("second", live.now)]


def test_fields_before_the_first_apply_have_a_manager() -> None:
    live = Live(metadata={"name": "web", "uid": "u", "labels": {"x": "1"}}, spec={"replicas": 2}, status={"replicas": 2})
    with pytest.raises(ApplyConflict, match=r'conflict with "before-first-apply" using apps/v1: \.spec\.replicas'):
        live.apply("a", spec(replicas=3))
    live.apply("a", spec(replicas=2))
    assert live.owned("before-first-apply") == {".metadata.labels", ".metadata.labels.x", ".spec.replicas"}


def client_side(live: Live, config: Document) -> None:
    """Return an object as client-side apply leaves it: with a note, and an entry of its manager."""
    noted = {**config["metadata"], "uid": "u", "annotations": {LAST_APPLIED: json.dumps(config)}}
    live.document = {**config, "metadata": noted}
    made = document.compare(live.schema, {}, {"spec": config["spec"]})
    raw = msgspec.Raw(fieldset.encode(made.changed))
    live.entries = [
        ManagedFieldsEntry(
            manager="kubectl-client-side-apply", operation="Update", apiVersion="apps/v1", fieldsType="FieldsV1", fieldsV1=raw, time=NOW
        )
    ]


def test_kubectl_takes_over_what_its_client_side_apply_left() -> None:
    live = Live()
    client_side(live, spec(replicas=2))
    with pytest.raises(ApplyConflict, match=r'"kubectl-client-side-apply" using apps/v1: \.spec\.replicas'):
        live.apply("other", spec(replicas=3))
    live.apply("kubectl", spec(replicas=3))
    assert live.document["spec"] == {"replicas": 3}
    assert json.loads(live.document["metadata"]["annotations"][LAST_APPLIED]) == spec(replicas=3)


def test_kubectl_does_not_take_over_what_others_changed_since() -> None:
    live = Live()
    client_side(live, spec(replicas=2, paused=True))
    live.update("ed", {**live.document, "spec": {"replicas": 7, "paused": True}})
    with pytest.raises(ApplyConflict, match=r'1 conflict: conflict with "ed" using apps/v1: \.spec\.replicas'):
        live.apply("kubectl", spec(replicas=3, paused=False))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (spec(foo=1), ".spec.foo: field not declared in schema"),
        (spec(replicas="3"), ".spec.replicas: expected numeric"),
        (spec(template=[]), ".spec.template: expected map"),
        (containers({"image": "x"}), 'element 0: associative list with keys has an element that omits key field "name"'),
        (containers({"name": "x"}, {"name": "x"}), "duplicate entries for key"),
        (spec(template={"spec": {"containers": {"a": 1}}}), ".spec.template.spec.containers: expected list"),
        (spec(template={"spec": {"containers": ["a"]}}), "may not have non-map elements"),
    ],
)
def test_configurations_that_the_type_cannot_hold(config: Document, said: str) -> None:
    with pytest.raises(SchemaMismatch) as failed:
        Live().apply("a", config)
    assert said in str(failed.value)


def test_nulls_and_empty_values() -> None:
    live = Live()
    live.apply("a", spec(replicas=3, template={"spec": {"containers": [{"name": "w", "securityContext": {}}]}}))
    assert '.spec.template.spec.containers[name="w"].securityContext' in live.owned("a")
    live.apply("b", {"metadata": {"name": "web", "labels": {}, "creationTimestamp": None}})
    live.apply("c", {"metadata": {"name": "web", "labels": {}}})
    assert live.owned("b") == live.owned("c") == {".metadata.labels"}
    live.apply("d", spec(template={"spec": {"containers": None}}))
    assert live.document["spec"]["template"]["spec"]["containers"] == [{"name": "w", "securityContext": {}}]


# --- properties ---

KEYS = st.sampled_from("abcd")
DATA = st.dictionaries(KEYS, st.sampled_from(["1", "2"]), max_size=4)
MANAGERS = st.sampled_from(["x", "y", "z"])
ITEMS = st.lists(KEYS, unique=True, max_size=4)


def config_map(data: dict[str, str]) -> Document:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data}


@given(st.lists(st.tuples(MANAGERS, DATA, st.booleans()), max_size=8))
def test_any_history_of_applies(history: list[tuple[str, dict[str, str], bool]]) -> None:
    """A twin with dictionaries and sets of owners says what must come out."""
    live = Live(CONFIG_MAP, "v1")
    values: dict[str, str] = {}
    owners: dict[str, set[str]] = {}
    for manager, data, force in history:
        disputed = {key for key, value in data.items() if key in values and values[key] != value and owners[key] - {manager}}
        if disputed and not force:
            with pytest.raises(ApplyConflict) as failed:
                live.apply(manager, config_map(data))
            assert {conflict.path[-1] for conflict in failed.value.conflicts} == {f"f:{key}" for key in disputed}
            continue
        live.apply(manager, config_map(data), force=force)
        for key, value in data.items():
            owners[key] = {manager} if values.get(key, value) != value else owners.get(key, set()) | {manager}
            values[key] = value
        for key in [key for key in values if key not in data]:
            owners[key].discard(manager)
            if not owners[key]:
                del values[key], owners[key]
        assert (live.document.get("data") or {}) == values
        for one in ("x", "y", "z"):
            assert {path for path in live.owned(one) if path != ".data"} == {f".data.{key}" for key in owners if one in owners[key]}
        again = live.entries
        live.now += timedelta(seconds=1)
        live.apply(manager, config_map(data))
        assert (live.document.get("data") or {}, live.entries) == (values, again), "the same apply again changes nothing"


@given(ITEMS, ITEMS)
def test_merged_lists_hold_everything_once_in_the_order_of_the_configuration(live: list[str], config: list[str]) -> None:
    schema = schema_of(core.PodSpec).fields()["containers"].schema
    merged = document.merge(schema, [{"name": name} for name in live], [{"name": name} for name in config])
    names = [item["name"] for item in merged]
    assert sorted(names) == sorted({*live, *config})
    assert [name for name in names if name in config] == config
    assert [name for name in names if name not in config] == [name for name in live if name not in config]
