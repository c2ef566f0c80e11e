"""The Endpoints object of a Service: the predecessor of its EndpointSlices ("Endpoints"). Pure.

Unlike slices it has no terminating endpoints, one address family, and at most 1000 addresses.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.controllers.endpoints.backends import HEADLESS, Backend, Port, backends, families, inherited, is_headless, pod_reference
from tiphys.controllers.endpoints.trigger import stamped, trigger_time
from tiphys.controllers.shared.slim import SlimPod

MANAGED_BY = "endpoints.kubernetes.io/managed-by"
MANAGER = "endpoint-controller"
OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"
CAPACITY = 1000

State = tuple[str, bool]
"""Uid of a pod and its readiness."""


def plan(service: core.Service, pods: Sequence[SlimPod], current: core.Endpoints | None) -> core.Endpoints | None:
    """Return the object to write (without a resourceVersion when it must be created), None when it is up to date."""
    counted = [backend for backend in backends(service, pods, families(service)[0]) if _counts(service, backend)]
    truncated = len(counted) > CAPACITY
    subsets_ = subsets(_most(counted))
    labels = inherited(service.metadata.labels, (MANAGED_BY, HEADLESS))
    if is_headless(service):
        labels[HEADLESS] = ""
    labels[MANAGED_BY] = MANAGER
    meta = current.metadata if current is not None else ObjectMeta(name=service.metadata.name, namespace=service.metadata.namespace)
    annotations = {key: value for key, value in meta.annotations.items() if key != OVER_CAPACITY}
    if truncated:
        annotations[OVER_CAPACITY] = "truncated"
    desired = core.Endpoints(metadata=msgspec.structs.replace(meta, labels=labels, annotations=annotations), subsets=subsets_)
    if desired == current:
        return None
    before = readiness(current.subsets) if current is not None else None
    desired.metadata = stamped(desired.metadata, trigger_time(service, pods, before, readiness(subsets_)))
    return desired


def readiness(subsets: Iterable[core.EndpointSubset]) -> dict[str, bool]:
    """Return the pods in subsets with their readiness."""
    result = {}
    for subset in subsets:
        for ready, addresses in ((False, subset.notReadyAddresses), (True, subset.addresses)):
            result.update({address.targetRef.uid: ready for address in addresses if address.targetRef is not None})
    return result


def _counts(service: core.Service, backend: Backend) -> bool:
    return service.spec.publishNotReadyAddresses or not backend.terminating


def _most(backends_: Sequence[Backend]) -> Sequence[Backend]:
    """Keep the maximum number, ready ones first."""
    if len(backends_) <= CAPACITY:
        return backends_
    return sorted(backends_, key=lambda backend: not backend.ready)[:CAPACITY]


def subsets(backends_: Iterable[Backend]) -> list[core.EndpointSubset]:
    """Group addresses so that the ports of a subset are open on every address in it, in a stable order."""
    by_pod = {backend.pod.metadata.uid: backend for backend in backends_}
    by_port: dict[Port | None, list[str]] = {}
    for uid, backend in by_pod.items():
        for port in backend.ports or (None,):
            by_port.setdefault(port, []).append(uid)
    groups: dict[tuple[str, ...], list[Port]] = {}
    for port, uids in by_port.items():
        ports = groups.setdefault(tuple(sorted(uids)), [])
        if port is not None:
            ports.append(port)
    result = [_subset([by_pod[uid] for uid in uids], ports) for uids, ports in groups.items()]
    return sorted(result, key=lambda subset: [(port.name, port.protocol, port.port) for port in subset.ports])


def _subset(group: Iterable[Backend], ports: list[Port]) -> core.EndpointSubset:
    ordered = sorted(group, key=lambda backend: (backend.address, backend.pod.metadata.uid))
    ports.sort(key=lambda port: (port.name, port.protocol, port.number))
    return core.EndpointSubset(
        addresses=[_address(backend) for backend in ordered if backend.ready],
        notReadyAddresses=[_address(backend) for backend in ordered if not backend.ready],
        ports=[core.EndpointPort(name=p.name, port=p.number, protocol=p.protocol, appProtocol=p.app_protocol) for p in ports],
    )


def _address(backend: Backend) -> core.EndpointAddress:
    pod = backend.pod
    return core.EndpointAddress(
        ip=backend.address, hostname=backend.hostname, nodeName=pod.spec.nodeName or None, targetRef=pod_reference(pod)
    )
