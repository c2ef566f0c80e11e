"""The plan of static pods to start and to end."""

from __future__ import annotations

import msgspec

from tests.unit.node.make import MOMENT, pod
from tiphys.api.core import v1 as core
from tiphys.node.static.plan import Changes, plan_static


def named(uid: str, name: str = "web") -> core.Pod:
    return pod(metadata={"uid": uid, "name": name})


def ending(of: core.Pod) -> core.Pod:
    return msgspec.structs.replace(of, metadata=msgspec.structs.replace(of.metadata, deletionTimestamp=MOMENT))


def test_a_new_pod_starts_and_one_that_is_gone_ends() -> None:
    assert plan_static({"a": named("a")}, {}, busy=()) == Changes(start=("a",))
    assert plan_static({"a": named("a")}, {"a": named("a")}, busy={"a"}) == Changes()
    assert plan_static({}, {"a": named("a")}, busy={"a"}) == Changes(end=("a",))


def test_a_changed_pod_waits_until_the_one_before_it_is_gone() -> None:
    before, after = named("a"), named("b")
    assert plan_static({"b": after}, {"a": before}, busy={"a"}) == Changes(end=("a",))
    assert plan_static({"b": after}, {"a": ending(before)}, busy={"a"}) == Changes()
    assert plan_static({"b": after}, {}, busy=()) == Changes(start=("b",))


def test_a_pod_that_returns_waits_for_its_own_end() -> None:
    assert plan_static({"a": named("a")}, {"a": ending(named("a"))}, busy={"a"}) == Changes()
    # What was found in the runtime before its manifest was read is being removed.
    assert plan_static({"a": named("a")}, {}, busy={"a"}) == Changes()
