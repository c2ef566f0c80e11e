"""Pods behind a Service, as shown by both EndpointSlices and Endpoints ("EndpointSlices"). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import NamedTuple

from tiphys.api.core import v1 as core
from tiphys.api.helpers.pods import is_finished, is_ready
from tiphys.api.machinery.base import IntOrString
from tiphys.controllers.shared.slim import SlimPod

HEADLESS = "service.kubernetes.io/headless"


class Port(NamedTuple):
    """Port of the Service as it is on the pod."""

    name: str
    protocol: str
    number: int
    app_protocol: str | None


class Backend(NamedTuple):
    """Pod at one address."""

    pod: SlimPod
    address: str
    ports: tuple[Port, ...]
    ready: bool
    serving: bool
    terminating: bool
    hostname: str


def needs_endpoints(service: core.Service) -> bool:
    """Return whether the Service's pods are selected and reached by address."""
    return service.spec.type != "ExternalName" and bool(service.spec.selector)


def is_headless(service: core.Service) -> bool:
    return service.spec.clusterIP == "None"


def families(service: core.Service) -> list[str]:
    """Return IPv4, IPv6 or both, the preferred one first."""
    if service.spec.ipFamilies:
        return list(service.spec.ipFamilies)
    addresses = service.spec.clusterIPs or [service.spec.clusterIP]
    result = [family_of(address) for address in addresses if address not in ("", "None")]
    return result or ["IPv4"]


def family_of(address: str) -> str:
    return "IPv6" if ip_address(address).version == 6 else "IPv4"


def backends(service: core.Service, pods: Iterable[SlimPod], family: str) -> list[Backend]:
    """Return the pods that the Service selects, in one address family, terminating ones included. Pods without an address are left out."""
    selector = service.spec.selector.items()
    result = []
    for pod in pods:
        if not (pod.status.podIP or pod.status.podIPs) or is_finished(pod) or not selector <= pod.metadata.labels.items():
            continue
        backend = _backend(service, pod, family)
        if backend is not None:
            result.append(backend)
    return result


def _backend(service: core.Service, pod: SlimPod, family: str) -> Backend | None:
    addresses = [entry.ip for entry in pod.status.podIPs] or [pod.status.podIP]
    address = next((address for address in addresses if address and family_of(address) == family), None)
    if address is None:
        return None
    serving, terminating = is_ready(pod), pod.metadata.deletionTimestamp is not None
    return Backend(
        pod=pod,
        address=address,
        ports=_ports(service, pod),
        ready=service.spec.publishNotReadyAddresses or (serving and not terminating),
        serving=serving,
        terminating=terminating,
        hostname=pod.spec.hostname if pod.spec.hostname and pod.spec.subdomain == service.metadata.name else "",
    )


def _ports(service: core.Service, pod: SlimPod) -> tuple[Port, ...]:
    ports = []
    for port in service.spec.ports:
        protocol = port.protocol or "TCP"
        number = _number(port.targetPort, port.port, protocol, pod)
        if number is not None:
            ports.append(Port(port.name, protocol, number, port.appProtocol))
    return sorted_ports(ports)


def sorted_ports(ports: Iterable[Port]) -> tuple[Port, ...]:
    """Sort ports into the order in which sets of them are compared."""
    return tuple(sorted(ports, key=lambda port: (port.name, port.protocol, port.number)))


def _number(target: IntOrString | None, port: int, protocol: str, pod: SlimPod) -> int | None:
    """Return the number of a target port on the pod; None when no container of it has a port with that name."""
    if target is None or target in ("", 0):
        return port
    if isinstance(target, int):
        return target
    # Init containers that go on running (sidecars) have ports as well.
    sidecars = [container for container in pod.spec.initContainers if container.restartPolicy == "Always"]
    for container in (*pod.spec.containers, *sidecars):
        for candidate in container.ports:
            if candidate.name == target and (candidate.protocol or "TCP") == protocol:
                return candidate.containerPort
    return None


def pod_reference(pod: SlimPod) -> core.ObjectReference:
    """Return the reference by which endpoints name a pod."""
    meta = pod.metadata
    return core.ObjectReference(kind="Pod", namespace=meta.namespace, name=meta.name, uid=meta.uid)


def inherited(own: Mapping[str, str], reserved: Iterable[str]) -> dict[str, str]:
    """Return the labels of the Service that its endpoints inherit."""
    taken = set(reserved)
    return {key: value for key, value in own.items() if key not in taken}
