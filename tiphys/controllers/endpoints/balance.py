"""Hints of Services with the annotation `service.kubernetes.io/topology-mode: Auto` ("Topology Aware Routing"). Pure.

Each zone gets endpoints in proportion to the CPU of its nodes, its own ones first. Where that would overload endpoints, or too little is
known, there are no hints, and the reason becomes an event. Hints that are within bounds stay, so that a new pod moves no other.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from tiphys.api.core import v1 as core
from tiphys.api.discovery import v1 as discovery
from tiphys.api.machinery.conditions import is_true
from tiphys.api.machinery.quantity import milli
from tiphys.api.well_known import ZONE

OVERLOAD: Final = 0.2
"""Maximum share by which an endpoint may get more than its part of the traffic."""
ANNOTATIONS: Final = ("service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode")
"""The deprecated one has precedence."""
EXCLUDED: Final = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")

ENABLED: Final = "Topology Aware Hints has been enabled"
DISABLED: Final = "Topology Aware Hints has been disabled"
NO_ZONE: Final = "One or more endpoints do not have a zone specified"
UNKNOWN_NODES: Final = "Insufficient Node information: allocatable CPU or zone not specified on one or more nodes"
FEW_ENDPOINTS: Final = "Insufficient number of endpoints"
OVERLOADED: Final = "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold"


class Share(NamedTuple):
    """Numbers of endpoints for one zone."""

    minimum: int
    maximum: int
    desired: float


class Balance(NamedTuple):
    """Zone of each ready endpoint, or none."""

    zones: Mapping[str, str]
    reason: str
    """`ENABLED`, or the reason for which there are no hints."""


def is_auto(service: core.Service) -> bool:
    """Return whether an annotation of the Service turns on hints by zone."""
    annotations = service.metadata.annotations
    return next((annotations[name] for name in ANNOTATIONS if name in annotations), "") in ("Auto", "auto")


def capacity(node: core.Node | None) -> tuple[str, int] | None:
    """Return the zone and the allocatable CPU (in thousandths) of a node that is ready and not of the control plane, else None."""
    if node is None or any(label in node.metadata.labels for label in EXCLUDED):
        return None
    if not is_true(node.status.conditions, "Ready"):
        return None
    return node.metadata.labels.get(ZONE, ""), milli(node.status.allocatable.get("cpu", "0"))


def cpu_by_zone(nodes: Iterable[core.Node]) -> Mapping[str, int]:
    """Return the CPU of the nodes in each zone; nothing unless it is known for all of them and there are two zones."""
    result: Counter[str] = Counter()
    for node in nodes:
        if (own := capacity(node)) is not None:
            zone, cpu = own
            if not zone or not cpu:
                return {}
            result[zone] += cpu
    return result if len(result) > 1 else {}


def balance(endpoints: Mapping[str, discovery.Endpoint], known: Mapping[str, str], cpu: Mapping[str, int]) -> Balance:
    """Assign zones to the ready ones of a Service's endpoints (by identity, in one address family). `known` has their present zones."""
    own = {name: endpoint.zone or "" for name, endpoint in sorted(endpoints.items()) if endpoint.conditions.ready}
    shares = _shares(len(own), cpu)
    if isinstance(shares, str):
        return Balance({}, shares)
    if not all(own.values()):
        return Balance({}, NO_ZONE)
    kept = {name: known[name] if known.get(name) in shares else zone for name, zone in own.items()}
    counts = Counter(kept.values())
    if counts.keys() <= shares.keys() and all(share.minimum <= counts[zone] <= share.maximum for zone, share in shares.items()):
        return Balance(kept, ENABLED)
    return Balance(_distribute(own, shares), ENABLED)


def _shares(count: int, cpu: Mapping[str, int]) -> Mapping[str, Share] | str:
    """Return the share of each zone, or the reason for which there is none."""
    if not cpu:
        return UNKNOWN_NODES
    numbers = f"({count} endpoints, {len(cpu)} zones)"
    if len(cpu) > count:
        return f"{FEW_ENDPOINTS} {numbers}"
    total = sum(cpu.values())
    desired = {zone: amount / total * count for zone, amount in sorted(cpu.items())}
    least = {zone: math.ceil(number * (1 / (1 + OVERLOAD))) for zone, number in desired.items()}
    spare = count - sum(least.values())
    if spare < 0:
        return f"{OVERLOADED} {numbers}"
    return {zone: Share(least[zone], least[zone] + spare, max(number, least[zone])) for zone, number in desired.items()}


def _distribute(own: Mapping[str, str], shares: Mapping[str, Share]) -> dict[str, str]:
    """Give every zone its own endpoints, then move some from zones with too many to those with too few."""
    result = {name: zone for name, zone in own.items() if zone in shares}
    counts = Counter(result.values())
    for name in sorted(own.keys() - result.keys()):
        # Zones without a ready node have no clients.
        zone = max(sorted(shares), key=lambda zone: shares[zone].desired - counts[zone])
        result[name] = zone
        counts[zone] += 1
    return result | _moves(result, {zone: shares[zone].desired - counts[zone] for zone in shares})


def _moves(zones: Mapping[str, str], lacking: Mapping[str, float]) -> dict[str, str]:
    """Return the endpoints to move, each with its new zone. `lacking` is negative for zones with too many."""
    lack = dict(lacking)
    members: dict[str, list[str]] = {}
    for name, zone in sorted(zones.items(), reverse=True):
        members.setdefault(zone, []).append(name)
    moved: dict[str, str] = {}
    while True:
        giver, taker = min(sorted(lack), key=lambda zone: lack[zone]), max(sorted(lack), key=lambda zone: lack[zone])
        surplus, shortage = -lack[giver], lack[taker]
        # Less than half an endpoint on one side, or less than one on both, is not worth a move.
        if min(surplus, shortage) < 0.5 or max(surplus, shortage) < 1.0:
            return moved
        moved[members[giver].pop()] = taker
        lack[giver] += 1
        lack[taker] -= 1


def events(old: Mapping[str, str], new: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Return type, reason and message of the events that explain a change of results (address family to `Balance.reason`)."""
    result = []
    for family in sorted(old.keys() | new.keys()):
        before, after = old.get(family), new.get(family)
        if after == before or (after is None and before != ENABLED):
            continue
        enabled = after == ENABLED
        type_, reason = ("Normal", "TopologyAwareHintsEnabled") if enabled else ("Warning", "TopologyAwareHintsDisabled")
        result.append((type_, reason, f"{after or DISABLED}, addressType: {family}"))
    return result
