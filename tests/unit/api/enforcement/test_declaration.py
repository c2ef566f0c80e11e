"""The declaration of what each field does: no field of the audited types is left out, and what it names is there."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module

import msgspec
import pytest

from tiphys.api.core import v1 as core
from tiphys.api.enforcement.entry import Entry
from tiphys.api.enforcement.table import ENTRIES
from tiphys.api.machinery.introspect import Field, describe
from tiphys.api.networking import v1 as networking
from tiphys.api.node import v1 as node
from tiphys.api.policy import v1 as policy
from tiphys.api.scheduling import v1 as scheduling
from tiphys.api.storage import v1 as storage

Type = type[msgspec.Struct]

ROOTS: tuple[Type, ...] = (
    core.PodSpec,
    core.PersistentVolumeClaimSpec,
    core.PersistentVolumeSpec,
    storage.StorageClass,
    storage.VolumeAttributesClass,
    storage.CSIDriverSpec,
    storage.CSINodeSpec,
    storage.CSIStorageCapacity,
    storage.VolumeAttachmentSpec,
    core.ServiceSpec,
    core.ResourceQuotaSpec,
    core.LimitRangeSpec,
    networking.NetworkPolicySpec,
    policy.PodDisruptionBudgetSpec,
    node.RuntimeClass,
    scheduling.PriorityClass,
)
_OF_EVERY_KIND = frozenset(("apiVersion", "kind", "metadata"))
_DECLARED = {(entry.owner, entry.field) for entry in ENTRIES}
_OWNERS = {entry.owner for entry in ENTRIES}


def below(field: Field) -> Type | None:
    """The struct that the field's value consists of, itself or in a list."""
    shape = field.shape.item if field.shape.form == "list" else field.shape
    return shape.struct if shape is not None else None


def matters(type_: Type) -> bool:
    """Return whether a part of the type is declared on its own."""
    return type_ in _OWNERS or any(inner is not None and matters(inner) for inner in map(below, describe(type_).fields.values()))


def undeclared(type_: Type) -> Iterator[str]:
    """Fields of a type, and of what is in it, that no entry covers."""
    for field in describe(type_).fields.values():
        if type_ in ROOTS and field.name in _OF_EVERY_KIND:
            continue
        inner = below(field)
        declared = (type_, field.name) in _DECLARED
        if inner is not None and (matters(inner) if not declared else inner in _OWNERS):
            yield from undeclared(inner)
        elif not declared:
            yield f"{type_.__name__}.{field.name}"


@pytest.mark.parametrize("root", ROOTS, ids=lambda root: root.__name__)
def test_every_field_is_declared(root: Type) -> None:
    assert sorted(set(undeclared(root))) == []


def test_every_entry_is_about_a_field_that_exists() -> None:
    wrong = []
    for entry in ENTRIES:
        known: dict[str, Field] | None = dict(describe(entry.owner).fields)
        for name in entry.field.split("."):
            if known is None or name not in known:
                wrong.append(f"{entry.owner.__name__}.{entry.field}")
                break
            inner = below(known[name])
            known = dict(describe(inner).fields) if inner is not None else None
    assert wrong == []


def test_no_two_entries_are_about_the_same() -> None:
    seen = [(entry.owner, entry.field, entry.case, entry.keys) for entry in ENTRIES]
    assert len(seen) == len(set(seen))


@cache
def words(module: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", inspect.getsource(import_module(module))))


@pytest.mark.parametrize("entry", [one for one in ENTRIES if one.effect == "enforced"], ids=lambda one: f"{one.owner.__name__}.{one.field}")
def test_enforcing_modules_exist_and_name_the_field(entry: Entry) -> None:
    assert entry.by
    name = entry.keys if entry.keys.isalnum() else entry.field.rpartition(".")[2]
    assert [module for module in entry.by if name in words(module)], f"{name} is in none of {entry.by}"


def test_warnings_and_refusals_give_a_reason() -> None:
    assert [
        entry for entry in ENTRIES if entry.effect in ("warned", "refused", "dropped") and (not entry.text or entry.sample is None)
    ] == []
    assert [entry for entry in ENTRIES if entry.effect == "informational" and not entry.text] == []
