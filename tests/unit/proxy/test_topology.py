"""Hints of endpoints: node before zone before everywhere, and nothing by halves."""

from __future__ import annotations

import pytest

from tests.unit.proxy.make import CONTEXT, LEAVING, hints, only, piece, service
from tiphys.api.discovery import v1 as discovery
from tiphys.proxy.plan import Context, Endpoint
from tiphys.proxy.rules import part_of

WEST = CONTEXT._replace(zone="west")
HERE = hints(zones=["west"], nodes=["n1"])
NEXT_DOOR = hints(zones=["west"], nodes=["n2"])
FAR = hints(zones=["east"], nodes=["n3"])
A, B, C = "10.42.0.5", "10.42.1.5", "10.42.2.5"


def used(*pieces: discovery.EndpointSlice, context: Context = WEST) -> list[str]:
    return [endpoint.address for endpoint in only(service(), *pieces, context=context).everywhere]


@pytest.mark.parametrize(
    ("marks", "addresses"),
    [
        ((HERE, NEXT_DOOR, FAR), [A]),
        ((None, NEXT_DOOR, FAR), [A, B, C]),
        ((hints(zones=["west"]), NEXT_DOOR, FAR), [A, B]),
        ((hints(nodes=["n1"]), NEXT_DOOR, FAR), [A]),
        ((hints(nodes=["n9"]), NEXT_DOOR, FAR), [A, B, C]),
        ((hints(zones=["north"]), hints(zones=["south"]), FAR), [A, B, C]),
        ((hints(zones=["west", "east"]), FAR, FAR), [A]),
        ((FAR, NEXT_DOOR, NEXT_DOOR), [B, C]),
        ((hints(), NEXT_DOOR, FAR), [A, B, C]),
    ],
    ids=[
        "own node", "one without hints", "one without a node", "node is enough", "zones incomplete", "no zone fits", "two zones",
        "own zone", "empty hints",
    ],
)  # fmt: skip
def test_prefers_near_endpoints(marks: tuple[discovery.EndpointHints | None, ...], addresses: list[str]) -> None:
    assert used(*(piece(address, node="n9", hints=mark) for address, mark in zip((A, B, C), marks, strict=True))) == addresses


def test_a_node_without_a_zone_uses_all_zones() -> None:
    assert used(piece(A, hints=hints(zones=["west"])), piece(B, hints=hints(zones=["east"])), context=CONTEXT) == [A, B]


def test_unready_endpoints_have_no_say() -> None:
    unready = discovery.EndpointConditions(ready=False)
    assert used(piece(A, hints=HERE), piece(B, hints=FAR), piece(C, conditions=unready)) == [A]
    assert used(piece(A, hints=HERE, conditions=unready), piece(B, hints=FAR), piece(C, hints=NEXT_DOOR)) == [C]
    assert used(piece(A, hints=FAR, conditions=LEAVING), piece(B, conditions=LEAVING)) == [A, B], "the last ones, wherever they are"


def test_local_policies_ignore_hints() -> None:
    mixed = only(service(externalTrafficPolicy="Local"), piece(A, hints=FAR), piece(B, node="n2", hints=NEXT_DOOR), context=WEST)
    assert mixed.here == (Endpoint(A, 8080),)
    assert mixed.everywhere == (Endpoint(B, 8080),)
    assert set(mixed.reachable) == {Endpoint(A, 8080), Endpoint(B, 8080)}


def test_udp_flows_may_stay_with_far_endpoints() -> None:
    plan = only(service(), piece(A, hints=HERE), piece(B, hints=FAR), context=WEST)
    assert (plan.everywhere, plan.others) == ((Endpoint(A, 8080),), (Endpoint(B, 8080),))


def test_a_local_endpoint_for_another_zone_may_reach_itself() -> None:
    local = only(service(internalTrafficPolicy="Local"), piece(A, hints=FAR), piece(B, node="n2", hints=NEXT_DOOR), context=WEST)
    assert ("hairpins", f"{A} . {A}") in part_of([local], "10.42.0.0/16").elements
