"""The compiled comparison of objects, against the plain one of their documents, for every served kind."""

from __future__ import annotations

import random
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.api.machinery.protobuf.filling import fill
from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.kinds import SCHEME
from tiphys.api.machinery.apply import document, fieldset, typed
from tiphys.api.machinery.apply.fieldset import LEAF, Fields
from tiphys.api.machinery.apply.schema import schema_of
from tiphys.api.meta.v1 import ObjectMeta

KINDS = sorted((kind.type for kind in SCHEME), key=lambda type_: (type_.__module__, type_.__name__))


def plain(obj: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(obj))


def copied(obj: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(obj), type=type(obj))


def tracked(fields: Fields) -> Fields:
    """Without what nobody owns, and below it."""
    top = {name: node for name, node in fields.items() if name not in ("f:apiVersion", "f:kind")}
    if top.get("f:metadata"):
        unowned = {f"f:{name}" for name in typed.UNTRACKED[typed.METADATA]}
        left = {name: node for name, node in top["f:metadata"].items() if name not in unowned}
        top = {**top, "f:metadata": left} if left else {name: node for name, node in top.items() if name != "f:metadata"}
    return top


def check(old: Any, new: Any) -> None:
    kind: type[msgspec.Struct] = type(new)
    slow = document.compare(schema_of(kind), plain(old), plain(new))
    quick = typed.difference(old, new)
    assert fieldset.encode(quick.changed) == fieldset.encode(tracked(slow.changed))
    assert fieldset.encode(quick.removed) == fieldset.encode(tracked(slow.removed))


@given(st.sampled_from(KINDS), st.integers(0, 2**32), st.floats(0.05, 0.9))
@settings(max_examples=300, deadline=None)
def test_new_objects(type_: type[Any], seed: int, density: float) -> None:
    new = fill(type_, random.Random(seed), density=density, depth=4)
    check(type_(), new)
    assert typed.created(new) == typed.difference(type_(), new)
    assert typed.difference(new, copied(new)) == ({}, {})


@given(st.sampled_from(KINDS), st.integers(0, 2**32), st.floats(0.05, 0.9))
@settings(max_examples=300, deadline=None)
def test_changed_objects(type_: type[Any], seed: int, density: float) -> None:
    rng = random.Random(seed)
    old, other = (fill(type_, rng, density=density, depth=4) for _ in range(2))
    check(old, other)
    mixed = copied(old)
    for name in type_.__struct_fields__:
        if name not in ("apiVersion", "kind") and rng.random() < 0.5:
            setattr(mixed, name, getattr(copied(other), name))
    check(old, mixed)


def pod(**spec: Any) -> core.Pod:
    return core.Pod(metadata=ObjectMeta(name="p", namespace="n"), spec=core.PodSpec(**spec))


def test_items_go_by_their_keys() -> None:
    old = pod(containers=[core.Container(name="a", image="1"), core.Container(name="b", image="1")])
    new = pod(containers=[core.Container(name="b", image="2"), core.Container(name="a", image="1")])
    made = typed.difference(old, new)
    assert made.changed == {"f:spec": {"f:containers": {'k:{"name":"b"}': {"f:image": LEAF}}}}
    assert made.removed == {}
    made = typed.difference(old, pod(containers=[core.Container(name="a", image="1")]))
    assert made.removed == {
        "f:spec": {"f:containers": {'k:{"name":"b"}': {".": LEAF, "f:name": LEAF, "f:image": LEAF, "f:resources": LEAF}}}
    }


def test_a_port_without_a_protocol_is_tcp() -> None:
    made = typed.difference(
        pod(containers=[core.Container(name="a")]),
        pod(containers=[core.Container(name="a", ports=[core.ContainerPort(containerPort=80)])]),
    )
    ports = made.changed["f:spec"]["f:containers"]['k:{"name":"a"}']["f:ports"]
    assert list(ports) == [".", 'k:{"containerPort":80,"protocol":"TCP"}']


def test_atomic_fields_are_one_leaf() -> None:
    old = apps.Deployment()
    new = apps.Deployment()
    new.spec.selector = core_selector()
    assert typed.difference(old, new).changed == {"f:spec": {"f:selector": LEAF}}


def core_selector() -> Any:
    from tiphys.api.meta.v1 import LabelSelector

    return LabelSelector(matchLabels={"a": "b"})


def test_repeated_items_are_compared_as_one() -> None:
    def env(*values: str) -> core.Pod:
        return pod(containers=[core.Container(name="a", env=[core.EnvVar(name="X", value=value) for value in values])])

    check(env("1", "2"), env("1", "3"))
    check(env("1", "2"), env("1"))
    check(env("1"), env("1", "2"))
    check(env(), env("1", "2"))
    check(env("1", "2"), env())
    assert typed.difference(env("1", "2"), env("1", "2")) == ({}, {})
