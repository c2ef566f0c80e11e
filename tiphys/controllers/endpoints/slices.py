"""Desired EndpointSlices of a Service, from the present ones ("EndpointSlices"). Pure.

Endpoints with the same ports share slices of at most 100. Slices that are right are not touched, and what has to be added goes where a
write is needed anyway, so that a pod that comes or goes costs one small write and one small event for every watcher.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.discovery import v1 as discovery
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.well_known import SERVICE_NAME
from tiphys.controllers.endpoints import balance, hints
from tiphys.controllers.endpoints.backends import (
    HEADLESS,
    Backend,
    Port,
    backends,
    families,
    inherited,
    is_headless,
    pod_reference,
    sorted_ports,
)
from tiphys.controllers.endpoints.trigger import stamped, trigger_time
from tiphys.controllers.shared.slim import SlimPod

MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
FULL = 100
"""Maximum number of endpoints per slice."""


class Plan(NamedTuple):
    """Slices to create, update and delete."""

    create: list[discovery.EndpointSlice]
    update: list[discovery.EndpointSlice]
    delete: list[discovery.EndpointSlice]
    balance: Mapping[str, str] = MappingProxyType({})
    """Address family to the result of balancing zones, for Services that want it (see `balance.Balance.reason`)."""


class Frame(NamedTuple):
    """Fields that all slices of one owner share."""

    name: str
    namespace: str
    owner: str
    """Uid of the owner; slices of another one are not touched."""
    labels: Mapping[str, str]


Groups = Mapping[tuple[str, tuple[Port, ...]], Mapping[str, discovery.Endpoint]]
"""Address family and ports to endpoints by identity (see `identity`)."""


def plan(
    service: core.Service,
    pods: Sequence[SlimPod],
    slices: Sequence[discovery.EndpointSlice],
    zones: Mapping[str, str],
    cpu: Mapping[str, int] = MappingProxyType({}),
) -> Plan:
    """Plan the writes that update the Service's slices. `zones` maps nodes to their zones, `cpu` zones to their capacity."""
    groups: dict[tuple[str, tuple[Port, ...]], dict[str, discovery.Endpoint]] = {}
    results: dict[str, str] = {}
    for family in families(service):
        members: dict[str, discovery.Endpoint] = {}
        for backend in backends(service, pods, family):
            endpoint_ = endpoint(backend, zones)
            groups.setdefault((family, backend.ports), {})[identity(endpoint_)] = endpoint_
            members[identity(endpoint_)] = endpoint_
        # A Service without pods has one empty slice, unlike one that has not been processed yet.
        if not members:
            groups[family, ()] = {}
        if balance.is_auto(service):
            results[family] = _balance(members, [slice_ for slice_ in slices if slice_.addressType == family], cpu)
        else:
            for endpoint_ in members.values():
                endpoint_.hints = hints.hints_of(service, endpoint_)
    meta = service.metadata
    step = arrange(Frame(meta.name, meta.namespace, meta.uid, slice_labels(service)), groups, slices)
    if writes := [*step.create, *step.update]:
        own = [one for one in slices if any(owner.uid == meta.uid for owner in one.metadata.ownerReferences)]
        before = readiness(own) if own else None
        for written in writes:
            written.metadata = stamped(written.metadata, trigger_time(service, pods, before, readiness([written])))
    return step._replace(balance=results)


def readiness(slices: Iterable[discovery.EndpointSlice]) -> dict[str, bool]:
    """Return the pods in slices with their readiness."""
    return {identity(endpoint): bool(endpoint.conditions.serving) for slice_ in slices for endpoint in slice_.endpoints or []}


def _balance(members: Mapping[str, discovery.Endpoint], slices: Iterable[discovery.EndpointSlice], cpu: Mapping[str, int]) -> str:
    """Set the hints of one family's endpoints by the capacity of zones; returns the result in words."""
    present = [(identity(old), old.hints) for slice_ in slices for old in slice_.endpoints or []]
    known = {name: hint.forZones[0].name for name, hint in present if hint is not None and len(hint.forZones) == 1}
    result = balance.balance(members, known, cpu)
    for name, zone in result.zones.items():
        members[name].hints = discovery.EndpointHints(forZones=[discovery.ForZone(name=zone)])
    return result.reason


def identity(endpoint_: discovery.Endpoint) -> str:
    """Return the identity of an endpoint across changes: its pod, or else its address."""
    reference = endpoint_.targetRef
    return reference.uid if reference is not None and reference.uid else endpoint_.addresses[0]


def arrange(frame: Frame, groups: Groups, slices: Iterable[discovery.EndpointSlice]) -> Plan:
    """Plan the writes after which the slices hold these endpoints."""
    result = Plan([], [], [])
    by_ports: dict[tuple[str, tuple[Port, ...]], list[discovery.EndpointSlice]] = {}
    for slice_ in sorted(slices, key=_age):
        meta = slice_.metadata
        # Those of an earlier owner of that name are the garbage collector's.
        if meta.deletionTimestamp is None and any(owner.uid == frame.owner for owner in meta.ownerReferences):
            by_ports.setdefault((slice_.addressType, _ports_of(slice_)), []).append(slice_)
    for place, desired in groups.items():
        _arrange_group(result, frame, place, desired, by_ports.pop(place, []))
    for unused in by_ports.values():
        result.delete.extend(unused)
    return result


def _age(slice_: discovery.EndpointSlice) -> tuple[float, str]:
    created = slice_.metadata.creationTimestamp
    return (created.timestamp() if created is not None else 0.0, slice_.metadata.name)


def endpoint(backend: Backend, zones: Mapping[str, str]) -> discovery.Endpoint:
    """Build an endpoint."""
    node = backend.pod.spec.nodeName
    return discovery.Endpoint(
        addresses=[backend.address],
        conditions=discovery.EndpointConditions(ready=backend.ready, serving=backend.serving, terminating=backend.terminating),
        hostname=backend.hostname or None,
        targetRef=pod_reference(backend.pod),
        nodeName=node or None,
        zone=zones.get(node),
    )


def _ports_of(slice_: discovery.EndpointSlice) -> tuple[Port, ...]:
    return sorted_ports(Port(port.name or "", port.protocol or "TCP", port.port or 0, port.appProtocol) for port in slice_.ports or [])


def _arrange_group(
    result: Plan,
    frame: Frame,
    place: tuple[str, tuple[Port, ...]],
    desired: Mapping[str, discovery.Endpoint],
    slices: Sequence[discovery.EndpointSlice],
) -> None:
    """Update the slices of one family and one set of ports."""
    missing = dict(desired)
    contents: list[list[discovery.Endpoint]] = []
    for slice_ in slices:
        known = [identity(old) for old in slice_.endpoints or []]
        contents.append([missing.pop(ident) for ident in known if ident in missing])
    changed = [kept != slice_.endpoints for kept, slice_ in zip(contents, slices, strict=True)]
    left = list(missing.values())
    # First where a write is due anyway, then the fullest slice with room.
    for index in sorted(range(len(slices)), key=lambda index: (not changed[index], -len(contents[index]))):
        room = FULL - len(contents[index])
        if not left:
            break
        contents[index] += left[:room]
        left = left[room:]
    is_only = not desired
    for slice_, kept in zip(slices, contents, strict=True):
        if not kept and not (is_only and slice_ is slices[0]):
            result.delete.append(slice_)
        elif kept != slice_.endpoints or frame.labels != slice_.metadata.labels:
            meta = msgspec.structs.replace(slice_.metadata, labels=dict(frame.labels))
            result.update.append(msgspec.structs.replace(slice_, metadata=meta, endpoints=kept))
    while left or (is_only and not slices):
        result.create.append(_make(frame, place, left[:FULL]))
        left, is_only = left[FULL:], False


def slice_labels(service: core.Service) -> dict[str, str]:
    """Return the labels of the Service's slices: its own, and those by which slices are found."""
    labels = inherited(service.metadata.labels, (SERVICE_NAME, MANAGED_BY, HEADLESS))
    if is_headless(service):
        labels[HEADLESS] = ""
    return {**labels, SERVICE_NAME: service.metadata.name, MANAGED_BY: MANAGER}


def _make(frame: Frame, place: tuple[str, tuple[Port, ...]], content: list[discovery.Endpoint]) -> discovery.EndpointSlice:
    """Create a slice; the caller adds its owner."""
    family, ports = place
    return discovery.EndpointSlice(
        metadata=ObjectMeta(generateName=f"{frame.name}-", namespace=frame.namespace, labels=dict(frame.labels)),
        addressType=family,
        endpoints=content,
        ports=[discovery.EndpointPort(name=p.name, protocol=p.protocol, port=p.number, appProtocol=p.app_protocol) for p in ports],
    )
