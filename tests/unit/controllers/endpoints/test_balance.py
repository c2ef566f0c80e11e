"""Zones get endpoints by their CPU, within bounds, and keep what they have."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.api.core import v1 as core
from tiphys.api.discovery import v1 as discovery
from tiphys.api.machinery.base import Quantity
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.controllers.endpoints import balance
from tiphys.controllers.endpoints.balance import DISABLED, ENABLED, NO_ZONE, UNKNOWN_NODES


def endpoints(*zones: str, ready: bool = True) -> dict[str, discovery.Endpoint]:
    conditions = discovery.EndpointConditions(ready=ready)
    return {
        f"p{at:03}": discovery.Endpoint(addresses=["10.42.0.9"], zone=zone or None, conditions=conditions) for at, zone in enumerate(zones)
    }


def node(zone: str, cpu: str = "4", *, ready: str = "True", label: str = "") -> core.Node:
    labels = {"topology.kubernetes.io/zone": zone} if zone else {}
    status = core.NodeStatus(allocatable={"cpu": Quantity(cpu)} if cpu else {}, conditions=[core.NodeCondition(type="Ready", status=ready)])
    return core.Node(metadata=ObjectMeta(name="n", labels=labels | ({label: ""} if label else {})), status=status)


def counts(result: balance.Balance) -> dict[str, int]:
    return dict(Counter(result.zones.values()))


def test_endpoints_go_by_cpu() -> None:
    cpu = {"a": 4000, "b": 4000, "c": 8000}
    assert counts(balance.balance(endpoints(*"aabbcccc"), {}, cpu)) == {"a": 2, "b": 2, "c": 4}
    crowded = balance.balance(endpoints(*"aaaaaaaa"), {}, cpu)
    assert counts(crowded) == {"a": 2, "b": 2, "c": 4}
    own = balance.balance(endpoints(*"aabbcccc"), {}, cpu).zones
    assert own["p000"] == "a"
    assert own["p007"] == "c", "nobody moves without need"


def test_hints_within_bounds_stay() -> None:
    cpu = {"a": 4000, "b": 4000}
    zones = "aaaaaaaabbbb"
    old = balance.balance(endpoints(*zones), {}, cpu)
    assert counts(old) == {"a": 6, "b": 6}
    more = balance.balance(endpoints(*zones, *"aa"), old.zones, cpu)
    assert {name: more.zones[name] for name in old.zones} == old.zones
    assert counts(more) == {"a": 8, "b": 6}, "within a fifth of seven"
    assert counts(balance.balance(endpoints(*zones, *"aaaa"), more.zones, cpu)) == {"a": 8, "b": 8}


def test_a_zone_with_too_few_gets_more() -> None:
    cpu = {"a": 1, "b": 1, "c": 1}
    starved = {f"p{at:03}": zone for at, zone in enumerate("aaaaaaaabbbbbbbbcc")}
    assert counts(balance.balance(endpoints(*"aaaaaabbbbbbcccccc"), starved, cpu)) == {"a": 6, "b": 6, "c": 6}


def test_zones_without_ready_nodes_have_no_clients() -> None:
    assert counts(balance.balance(endpoints(*"aabbzz"), {}, {"a": 1, "b": 1})) == {"a": 3, "b": 3}
    assert counts(balance.balance(endpoints(*"aabb"), {"p000": "z"}, {"a": 1, "b": 1})) == {"a": 2, "b": 2}


@pytest.mark.parametrize(
    ("zones", "cpu", "reason"),
    [
        ("ab", {}, UNKNOWN_NODES),
        ("a", {"a": 1, "b": 1}, "Insufficient number of endpoints (1 endpoints, 2 zones)"),
        (["a", "", "b", "b"], {"a": 1, "b": 1}, NO_ZONE),
        (
            "abc", {"a": 14, "b": 13, "c": 1},
            "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold (3 endpoints, 3 zones)",
        ),
    ],
)  # fmt: skip
def test_gives_the_reason_for_no_hints(zones: list[str], cpu: dict[str, int], reason: str) -> None:
    result = balance.balance(endpoints(*zones), {"p000": "a"}, cpu)
    assert (result.reason, dict(result.zones)) == (reason, {})


def test_only_ready_endpoints_count() -> None:
    mixed = endpoints(*"aabb") | {"q": endpoints("a", ready=False)["p000"], "r": endpoints("", ready=False)["p000"]}
    assert set(balance.balance(mixed, {}, {"a": 1, "b": 1}).zones) == {"p000", "p001", "p002", "p003"}


@given(
    st.lists(st.sampled_from("abcd"), max_size=40),
    st.dictionaries(st.sampled_from("abc"), st.integers(1, 9), min_size=2),
    st.dictionaries(st.integers(0, 40).map("p{:03}".format), st.sampled_from("abcz")),
)
def test_a_second_look_changes_nothing(zones: list[str], cpu: dict[str, int], known: dict[str, str]) -> None:
    desired = endpoints(*zones)
    first = balance.balance(desired, known, cpu)
    assert balance.balance(desired, first.zones, cpu) == first
    if first.reason == ENABLED:
        assert first.zones.keys() == desired.keys()
        assert set(first.zones.values()) <= cpu.keys()
    else:
        assert not first.zones


def test_capacity_of_zones() -> None:
    assert balance.cpu_by_zone([node("a"), node("a", "500m"), node("b")]) == {"a": 4500, "b": 4000}
    control_plane = node("", label="node-role.kubernetes.io/control-plane")
    assert balance.cpu_by_zone([node("a"), node("b"), node("c", ready="Unknown"), control_plane]) == {"a": 4000, "b": 4000}
    for unclear in (node(""), node("c", "")):
        assert balance.cpu_by_zone([node("a"), node("b"), unclear]) == {}
    assert balance.cpu_by_zone([node("a"), node("a")]) == {}


def test_annotations() -> None:
    def is_auto(**values: str) -> bool:
        names = {"old": "service.kubernetes.io/topology-aware-hints", "new": "service.kubernetes.io/topology-mode"}
        annotations = {names[name]: value for name, value in values.items()}
        return balance.is_auto(core.Service(metadata=ObjectMeta(name="web", annotations=annotations)))

    assert is_auto(new="Auto")
    assert is_auto(old="auto", new="Disabled")
    assert not is_auto(old="Disabled", new="Auto")
    assert not is_auto(new="AUTO")
    assert not is_auto()


def test_events_tell_changes() -> None:
    on = ("Normal", "TopologyAwareHintsEnabled", f"{ENABLED}, addressType: IPv4")
    off = ("Warning", "TopologyAwareHintsDisabled", f"{DISABLED}, addressType: IPv4")
    unclear = ("Warning", "TopologyAwareHintsDisabled", f"{NO_ZONE}, addressType: IPv4")
    assert balance.events({}, {"IPv4": ENABLED}) == [on]
    assert balance.events({"IPv4": ENABLED}, {"IPv4": ENABLED}) == []
    assert balance.events({"IPv4": ENABLED}, {"IPv4": NO_ZONE}) == [unclear]
    assert balance.events({"IPv4": ENABLED}, {}) == [off]
    assert balance.events({"IPv4": NO_ZONE}, {}) == []
