"""The result of an allocation, as a claim's status has it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from tiphys.api.core.v1.reference import NodeSelector, NodeSelectorRequirement, NodeSelectorTerm
from tiphys.api.resource.v1 import (
    AllocationResult,
    DeviceAllocationConfiguration,
    DeviceAllocationResult,
    DeviceClass,
    DeviceRequestAllocationResult,
    ResourceClaim,
)
from tiphys.scheduler.devices.capacity import Amounts, quantities
from tiphys.scheduler.devices.pools import Candidate
from tiphys.scheduler.devices.requests import Wish


class Choice(NamedTuple):
    """Device chosen for a request."""

    wish: Wish
    candidate: Candidate
    amounts: Amounts
    """Share of its capacities."""


def allocation_of(claim: ResourceClaim, choices: Sequence[Choice], node: str, new_id: Callable[[], str]) -> AllocationResult:
    """Return the allocation of a claim; `new_id` makes the name of a share of a device."""
    return AllocationResult(
        devices=DeviceAllocationResult(
            results=[_result(choice, new_id) for choice in choices],
            config=[*_of_classes(choices), *_of_claim(claim, choices)],
        ),
        nodeSelector=_node_selector(choices, node),
    )


def _result(choice: Choice, new_id: Callable[[], str]) -> DeviceRequestAllocationResult:
    wish, (ident, device, *_), amounts = choice
    shared = bool(device.allowMultipleAllocations)
    return DeviceRequestAllocationResult(
        request=wish.name,
        driver=ident.driver,
        pool=ident.pool,
        device=ident.device,
        adminAccess=True if wish.admin else None,
        tolerations=list(wish.tolerations),
        shareID=new_id() if shared else None,
        consumedCapacity=quantities(device, amounts) if shared else {},
    )


def _of_classes(choices: Iterable[Choice]) -> list[DeviceAllocationConfiguration]:
    """Return the settings of each class once, for all requests that got devices of it."""
    classes: dict[str, tuple[DeviceClass, list[str]]] = {}
    for choice in choices:
        device_class = choice.wish.device_class
        names = classes.setdefault(device_class.metadata.name, (device_class, []))[1]
        if choice.wish.name not in names:
            names.append(choice.wish.name)
    return [
        DeviceAllocationConfiguration(source="FromClass", requests=list(names), opaque=config.opaque)
        for device_class, names in classes.values()
        for config in device_class.spec.config
    ]


def _of_claim(claim: ResourceClaim, choices: Iterable[Choice]) -> list[DeviceAllocationConfiguration]:
    """Return the settings of the claim that are for all, or for a request or the alternative that was chosen."""
    chosen = {choice.wish.name for choice in choices} | {request.name for request in claim.spec.devices.requests or []}
    return [
        DeviceAllocationConfiguration(source="FromClaim", requests=list(config.requests), opaque=config.opaque)
        for config in claim.spec.devices.config
        if not config.requests or not chosen.isdisjoint(config.requests)
    ]


def _node_selector(choices: Iterable[Choice], node: str) -> NodeSelector | None:
    """Return the nodes that can use all devices: this one, if one device is tied to it; None for all nodes."""
    term = NodeSelectorTerm()
    for choice in choices:
        candidate = choice.candidate
        if candidate.is_node_local or candidate.device.bindsToNode:
            only = NodeSelectorRequirement(key="metadata.name", operator="In", values=[node])
            return NodeSelector(nodeSelectorTerms=[NodeSelectorTerm(matchFields=[only])])
        for other in candidate.selector.nodeSelectorTerms if candidate.selector is not None else ():
            term.matchFields += [one for one in other.matchFields if one not in term.matchFields]
            term.matchExpressions += [one for one in other.matchExpressions if one not in term.matchExpressions]
    return NodeSelector(nodeSelectorTerms=[term]) if term.matchFields or term.matchExpressions else None
