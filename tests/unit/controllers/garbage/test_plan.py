"""The owner graph, and what becomes of an object."""

from __future__ import annotations

import pytest

from tests.unit.controllers.make import NOW
from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import ObjectMeta, OwnerReference
from tiphys.controllers.garbage.graph import FOREGROUND, ORPHAN, Graph, Ident
from tiphys.controllers.garbage.plan import Fate, Owner, blocks, fate


def reference(name: str, *, block: bool = True) -> OwnerReference:
    return OwnerReference(apiVersion="v1", kind="ConfigMap", name=name, uid=f"uid-{name}", blockOwnerDeletion=block)


def meta(name: str, *owners: str, finalizers: tuple[str, ...] = (), deleting: bool = False, namespace: str = "default") -> ObjectMeta:
    return ObjectMeta(
        name=name,
        namespace=namespace,
        uid=f"uid-{name}",
        ownerReferences=[reference(owner) for owner in owners],
        finalizers=list(finalizers),
        deletionTimestamp=NOW if deleting else None,
    )


def config(*args: str, **state: object) -> core.ConfigMap:
    return core.ConfigMap(metadata=meta(*args, **state))  # type: ignore[arg-type]


def decided(owners: dict[str, Owner], *, finalizers: tuple[str, ...] = (), below: tuple[ObjectMeta, ...] = ()) -> Fate:
    states = {f"uid-{name}": state for name, state in owners.items()}
    return fate(meta("me", *owners, finalizers=finalizers), states, below)


@pytest.mark.parametrize(
    ("owners", "kept", "propagation"),
    [
        ({}, None, None),
        ({"a": "solid"}, None, None),
        ({"a": "solid", "b": "absent"}, ["a"], None),
        ({"a": "solid", "b": "waiting"}, ["a"], None),
        ({"a": "solid", "b": "unknown", "c": "absent"}, ["a", "b"], None),
        ({"a": "unknown"}, None, None),
        ({"a": "unknown", "b": "absent"}, None, None),
        ({"a": "absent"}, None, "Background"),
        ({"a": "waiting"}, None, "Background"),
        ({"a": "absent", "b": "waiting"}, None, "Background"),
    ],
)
def test_fates(owners: dict[str, Owner], kept: list[str] | None, propagation: str | None) -> None:
    found = decided(owners)
    assert found.propagation == propagation
    assert (None if found.owners is None else [owner.name for owner in found.owners]) == kept


def test_a_dependent_with_dependents_goes_in_the_foreground_too() -> None:
    assert decided({"a": "waiting"}, below=(meta("child", "me"),)) == Fate("Foreground")


def test_a_circle_is_opened() -> None:
    found = decided({"a": "waiting"}, below=(meta("a", "me", finalizers=(FOREGROUND,), deleting=True),))
    assert found.propagation == "Foreground"
    assert found.owners is not None
    assert not blocks(ObjectMeta(ownerReferences=list(found.owners)), "uid-a")


@pytest.mark.parametrize(("finalizer", "propagation"), [(ORPHAN, "Orphan"), (FOREGROUND, "Foreground"), ("other", "Background")])
def test_its_own_finalizers_say_how(finalizer: str, propagation: str) -> None:
    assert decided({"a": "absent"}, finalizers=(finalizer,)).propagation == propagation


def names(idents: list[Ident]) -> list[str]:
    return [ident.name for ident in idents]


def test_only_what_a_change_concerns_is_looked_at() -> None:
    graph = Graph()
    assert names(graph.change("configmaps", None, config("owner"))) == []
    assert names(graph.change("configmaps", None, config("child", "owner"))) == []
    assert names(graph.change("configmaps", None, config("lost", "nobody"))) == ["lost"]
    assert names(graph.change("configmaps", config("owner"), None)) == ["child"]
    assert graph.find("uid-owner") is None
    assert names(graph.dependents("uid-owner")) == ["child"]


def test_waiting_owners_hear_of_their_dependents_and_these_of_them() -> None:
    graph = Graph()
    owner, waiting = config("owner"), config("owner", finalizers=(FOREGROUND,), deleting=True)
    graph.change("configmaps", None, owner)
    graph.change("configmaps", None, config("child", "owner"))
    assert set(names(graph.change("configmaps", owner, waiting))) == {"owner", "child"}
    assert names(graph.change("configmaps", config("child", "owner"), config("child"))) == ["owner"]
    assert graph.dependents("uid-owner") == []
    assert names(graph.change("configmaps", None, config("late", "owner"))) == ["late"]
    assert names(graph.change("configmaps", config("late", "owner"), None)) == ["owner"]


def test_an_owner_of_another_namespace_is_doubtful() -> None:
    graph = Graph()
    graph.change("configmaps", None, config("owner"))
    assert names(graph.change("configmaps", None, config("far", "owner", namespace="other"))) == ["far"]


def test_a_name_that_changed_hands_is_two_objects() -> None:
    graph = Graph()
    first, second = config("a"), config("a")
    second.metadata.uid = "uid-second"
    graph.change("configmaps", None, first)
    graph.change("configmaps", None, config("child", "a"))
    assert names(graph.change("configmaps", first, second)) == ["child"]
    assert graph.find("uid-second") == Ident("configmaps", "default", "a")
    assert len(graph) == 2


def test_identities_survive_the_queue() -> None:
    for ident in (Ident("deployments.apps", "default", "web"), Ident("clusterroles.rbac.authorization.k8s.io", "", "a/b:c")):
        assert Ident.parse(ident.key()) == ident


def test_references_into_another_namespace_are_found_from_both_ends() -> None:
    owner = core.ConfigMap(metadata=ObjectMeta(name="o", namespace="a", uid="o"))
    far = core.ConfigMap(metadata=ObjectMeta(name="d", namespace="b", uid="d", ownerReferences=[OwnerReference(uid="o")]))
    pair = [(Ident("configmaps", "b", "d"), "o")]
    for first, second in ((owner, far), (far, owner)):
        graph = Graph()
        graph.change("configmaps", None, first)
        assert graph.out_of_reach(None, first) == []
        graph.change("configmaps", None, second)
        assert graph.out_of_reach(None, second) == pair
        assert graph.out_of_reach(second, second) == []
    near = core.ConfigMap(metadata=ObjectMeta(name="n", namespace="a", uid="n", ownerReferences=[OwnerReference(uid="o")]))
    graph.change("configmaps", None, near)
    assert graph.out_of_reach(None, near) == []
    assert graph.out_of_reach(near, None) == []
