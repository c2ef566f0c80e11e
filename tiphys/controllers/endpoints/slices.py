"""The EndpointSlices that a Service should have, from those that it has ("EndpointSlices"). Pure.

Endpoints with the same ports share slices of at most 100. Slices that are right are not touched, and what has to be added goes where a
write is needed anyway, so that a pod that comes or goes costs one small write and one small event for every watcher.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.discovery import v1 as discovery
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.controllers.endpoints.backends import HEADLESS, Backend, Port, backends, families, inherited, is_headless, pod_reference

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
FULL = 100
"""Endpoints per slice."""


class Plan(NamedTuple):
    """What to write."""

    create: list[discovery.EndpointSlice]
    update: list[discovery.EndpointSlice]
    delete: list[discovery.EndpointSlice]


def plan(service: core.Service, pods: Sequence[core.Pod], slices: Iterable[discovery.EndpointSlice], zones: Mapping[str, str]) -> Plan:
    """The writes that make the Service's slices right. `zones` tells the zone of each node that has one."""
    result = Plan([], [], [])
    live = sorted((found for found in slices if found.metadata.deletionTimestamp is None), key=_age)
    # Slices of an earlier Service of that name are the garbage collector's.
    live = [found for found in live if any(owner.uid == service.metadata.uid for owner in found.metadata.ownerReferences)]
    known = families(service)
    for family in known:
        mine = [found for found in live if found.addressType == family]
        _plan_family(result, service, family, backends(service, pods, family), mine, zones)
    result.delete.extend(found for found in live if found.addressType not in known)
    return result


def _age(found: discovery.EndpointSlice) -> tuple[float, str]:
    created = found.metadata.creationTimestamp
    return (created.timestamp() if created is not None else 0.0, found.metadata.name)


def _plan_family(
    result: Plan,
    service: core.Service,
    family: str,
    found: Sequence[Backend],
    slices: Sequence[discovery.EndpointSlice],
    zones: Mapping[str, str],
) -> None:
    groups: dict[tuple[Port, ...], dict[str, discovery.Endpoint]] = {}
    for backend in found:
        groups.setdefault(backend.ports, {})[backend.pod.metadata.uid] = endpoint(backend, zones)
    # A Service without pods has one empty slice, which tells that nobody is there from nobody having looked yet.
    groups = groups or {(): {}}
    by_ports: dict[tuple[Port, ...], list[discovery.EndpointSlice]] = {}
    for slice_ in slices:
        by_ports.setdefault(_ports_of(slice_), []).append(slice_)
    for ports, wanted in groups.items():
        _plan_group(result, service, family, ports, wanted, by_ports.pop(ports, []))
    for unused in by_ports.values():
        result.delete.extend(unused)


def endpoint(backend: Backend, zones: Mapping[str, str]) -> discovery.Endpoint:
    """One endpoint."""
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
    ports = [Port(port.name or "", port.protocol or "TCP", port.port or 0, port.appProtocol) for port in slice_.ports]
    return tuple(sorted(ports, key=lambda port: (port.name, port.protocol, port.number)))


def _plan_group(
    result: Plan,
    service: core.Service,
    family: str,
    ports: tuple[Port, ...],
    wanted: dict[str, discovery.Endpoint],
    slices: Sequence[discovery.EndpointSlice],
) -> None:
    """Bring the slices of one set of ports in line."""
    missing = dict(wanted)
    contents: list[list[discovery.Endpoint]] = []
    for slice_ in slices:
        kept = [missing.pop(old.targetRef.uid) for old in slice_.endpoints if old.targetRef is not None and old.targetRef.uid in missing]
        contents.append(kept)
    changed = [kept != slice_.endpoints for kept, slice_ in zip(contents, slices, strict=True)]
    left = list(missing.values())
    # First where a write is due anyway, then the fullest slice with room.
    for index in sorted(range(len(slices)), key=lambda index: (not changed[index], -len(contents[index]))):
        room = FULL - len(contents[index])
        if not left:
            break
        contents[index] += left[:room]
        left = left[room:]
    labels = slice_labels(service)
    is_only = not wanted
    for slice_, kept in zip(slices, contents, strict=True):
        if not kept and not (is_only and slice_ is slices[0]):
            result.delete.append(slice_)
        elif kept != slice_.endpoints or labels != slice_.metadata.labels:
            meta = msgspec.structs.replace(slice_.metadata, labels=labels)
            result.update.append(msgspec.structs.replace(slice_, metadata=meta, endpoints=kept))
    while left or (is_only and not slices):
        result.create.append(_make(service, family, ports, left[:FULL]))
        left, is_only = left[FULL:], False


def slice_labels(service: core.Service) -> dict[str, str]:
    """The labels of the Service's slices: its own, and those by which slices are found."""
    labels = inherited(service.metadata.labels, (SERVICE_NAME, MANAGED_BY, HEADLESS))
    if is_headless(service):
        labels[HEADLESS] = ""
    return {**labels, SERVICE_NAME: service.metadata.name, MANAGED_BY: MANAGER}


def _make(service: core.Service, family: str, ports: tuple[Port, ...], content: list[discovery.Endpoint]) -> discovery.EndpointSlice:
    meta = ObjectMeta(generateName=f"{service.metadata.name}-", namespace=service.metadata.namespace, labels=slice_labels(service))
    return discovery.EndpointSlice(
        metadata=meta,
        addressType=family,
        endpoints=content,
        ports=[discovery.EndpointPort(name=p.name, protocol=p.protocol, port=p.number, appProtocol=p.app_protocol) for p in ports],
    )
