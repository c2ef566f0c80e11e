"""managedFields through ordinary writes: who gets an entry, what is folded, what is tolerated."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from tiphys.api.core import v1 as core
from tiphys.api.machinery.apply import fieldset, typed
from tiphys.api.machinery.apply.document import Difference
from tiphys.api.machinery.apply.managers import after_create, after_update, chosen, manager_name
from tiphys.api.meta.v1 import ManagedFieldsEntry, ObjectMeta

NOW = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)


def entry(
    manager: str = "m", operation: str = "Update", fields: bytes = b'{"f:data":{"f:a":{}}}', version: str = "v1"
) -> ManagedFieldsEntry:
    raw = msgspec.Raw(fields)
    return ManagedFieldsEntry(manager=manager, operation=operation, apiVersion=version, time=NOW, fieldsType="FieldsV1", fieldsV1=raw)


def config_map(**data: str) -> core.ConfigMap:
    return core.ConfigMap(metadata=ObjectMeta(name="c", namespace="n"), data=data)


def wrote(**data: None) -> Difference:
    return Difference({"f:data": {f"f:{key}": fieldset.LEAF for key in data}}, {})


def test_the_maker_owns_what_it_set_and_system_fields_are_nobodys() -> None:
    made = config_map(a="1")
    made.metadata.uid, made.metadata.generateName = "u", "c-"
    (only,) = after_create(typed.created(made), "maker", "v1", NOW)
    assert (only.manager, only.operation, only.apiVersion, only.fieldsType) == ("maker", "Update", "v1", "FieldsV1")
    assert only.time == NOW.replace(microsecond=0)
    assert bytes(only.fieldsV1) == b'{"f:data":{".":{},"f:a":{}},"f:metadata":{"f:generateName":{}}}'
    assert after_create(typed.created(config_map()), "maker", "v1", NOW) == []


def test_a_write_that_changes_nothing_changes_no_entry() -> None:
    entries = [entry()]
    assert after_update(entries, Difference({}, {}), "other", "v1", NOW) is entries


def test_objects_that_are_not_tracked_stay_so() -> None:
    assert after_update([], wrote(a=None), "m", "v1", NOW) == []


def test_entries_of_one_manager_are_one_per_operation_version_and_subresource() -> None:
    later = NOW + timedelta(hours=1)
    entries = after_update([entry()], wrote(b=None), "m", "v1", later)
    assert [(one.manager, bytes(one.fieldsV1)) for one in entries] == [("m", b'{"f:data":{"f:a":{},"f:b":{}}}')]
    assert entries[0].time == later.replace(microsecond=0)
    entries = after_update(entries, wrote(c=None), "m", "v1", later, subresource="status")
    assert [(one.manager, one.subresource) for one in entries] == [("m", ""), ("m", "status")]
    entries = after_update(entries, wrote(d=None), "m", "v2", later)
    assert sorted((one.apiVersion, one.subresource) for one in entries) == [("v1", ""), ("v1", "status"), ("v2", "")]


def test_fields_go_from_owner_to_owner() -> None:
    entries = after_update([entry("old", fields=b'{"f:data":{"f:a":{},"f:b":{}}}')], wrote(a=None), "new", "v1", NOW)
    assert [(one.manager, bytes(one.fieldsV1)) for one in entries] == [
        ("new", b'{"f:data":{"f:a":{}}}'), ("old", b'{"f:data":{"f:b":{}}}'),
    ]  # fmt: skip
    entries = after_update(entries, wrote(b=None), "new", "v1", NOW)
    assert [one.manager for one in entries] == ["new"]
    gone = Difference({}, {"f:data": {"f:b": fieldset.LEAF}})
    assert [bytes(one.fieldsV1) for one in after_update(entries, gone, "third", "v1", NOW)] == [b'{"f:data":{"f:a":{}}}']


def test_managers_of_other_versions_lose_what_changed_there() -> None:
    """The same field has other names in another version; what is no version any more is nobody's."""
    others = {"v2": wrote(b=None), "v3": wrote(x=None)}
    before = [
        entry("here"),
        entry("there", version="v2", fields=b'{"f:data":{"f:a":{},"f:b":{}}}'),
        entry("untouched", version="v3"),
        entry("of the past", version="v0"),
    ]
    after = after_update(before, wrote(a=None), "new", "v1", NOW, elsewhere=others.get)
    assert {(one.manager, one.apiVersion): bytes(one.fieldsV1) for one in after} == {
        ("new", "v1"): b'{"f:data":{"f:a":{}}}',
        ("there", "v2"): b'{"f:data":{"f:a":{}}}',
        ("untouched", "v3"): b'{"f:data":{"f:a":{}}}',
    }
    assert before[2] in after, "an entry that a write does not touch stays the very same"


def test_more_than_ten_updaters_are_folded_oldest_first() -> None:
    entries = [entry("applier", "Apply", b'{"f:data":{"f:z":{}}}')]
    for number in range(12):
        entries = after_update(entries, wrote(**{f"k{number}": None}), f"m{number:02}", "v1", NOW + timedelta(minutes=number))
    names = [one.manager for one in entries if one.operation == "Update"]
    assert names == ["ancient-changes", *[f"m{number:02}" for number in range(3, 12)]]
    assert bytes(entries[1].fieldsV1) == b'{"f:data":{"f:k0":{},"f:k1":{},"f:k2":{}}}'
    assert entries[1].time == (NOW + timedelta(minutes=2)).replace(microsecond=0)
    assert entries[0].manager == "applier"


def test_managed_fields_sent_by_clients() -> None:
    live = [entry()]
    assert chosen([], live) is live, "clients that do not know managedFields cannot lose them"
    assert chosen([entry()], live) is live
    assert chosen([ManagedFieldsEntry()], live) == []
    other = entry("x", fields=b'{ "f:data": {"f:b": {} } }')
    assert [(one.manager, bytes(one.fieldsV1)) for one in chosen([other], live)] == [("x", b'{"f:data":{"f:b":{}}}')]
    for wrong in (
        entry(operation="Touch"), entry(version=""), entry(fields=b'{"a":{}}'), entry(fields=b"3"), ManagedFieldsEntry(manager="x"),
    ):  # fmt: skip
        assert chosen([wrong], live) is live, "what makes no sense is as if it were not there"


@pytest.mark.parametrize(
    ("parameter", "agent", "name"),
    [
        ("me", "kubectl/v1.37", "me"),
        ("", "kubectl-create/v1.37 (linux)", "kubectl-create"),
        ("", "", "unknown"),
        ("", "/x", "unknown"),
        ("", "a\x00b\x7f/1", "ab"),
        ("", "ü" * 100, "ü" * 64),
    ],
)
def test_names_of_managers(parameter: str, agent: str, name: str) -> None:
    assert manager_name(parameter, agent) == name
