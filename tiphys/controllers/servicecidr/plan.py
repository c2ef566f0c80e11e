"""Protection of a range of Service IPs in use, and its `Ready` condition. Pure (KEP-1880)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from datetime import datetime

from tiphys.api.meta.v1 import Condition
from tiphys.api.networking.v1 import IPAddress, ServiceCIDR

FINALIZER = "networking.k8s.io/service-cidr-finalizer"
MANAGED_BY = "ipaddress.kubernetes.io/managed-by"
MANAGER = "ipallocator.k8s.io"
READY = "Kubernetes Service CIDR is ready"
HELD = "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks(cidr: ServiceCIDR) -> list[Network]:
    return [ipaddress.ip_network(text) for text in cidr.spec.cidrs]


def is_within(inner: Network, outer: Network) -> bool:
    """Return whether a range lies entirely within another one."""
    low, high = int(outer.network_address), int(outer.broadcast_address)
    return inner.version == outer.version and low <= int(inner.network_address) and int(inner.broadcast_address) <= high


def is_in(ip: str, cidr: ServiceCIDR) -> bool:
    address = ipaddress.ip_address(ip)
    return any(address.version == network.version and address in network for network in networks(cidr))


def is_ours(address: IPAddress) -> bool:
    """Return whether an API server created an IPAddress for a Service."""
    return address.metadata.labels.get(MANAGED_BY) == MANAGER


def is_held(cidr: ServiceCIDR, others: Iterable[ServiceCIDR], addresses: Iterable[IPAddress]) -> bool:
    """Return whether addresses in use would be in no range without this one."""
    rest = [other for other in others if other.metadata.name != cidr.metadata.name]
    outer = [network for other in rest for network in networks(other)]
    if all(any(is_within(network, wide) for wide in outer) for network in networks(cidr)):
        return False
    return any(
        is_ours(address) and is_in(address.metadata.name, cidr) and not any(is_in(address.metadata.name, other) for other in rest)
        for address in addresses
    )


def condition(held: bool, now: datetime) -> Condition:
    """Return the desired `Ready` condition of a range."""
    if held:
        return Condition(type="Ready", status="False", reason="Terminating", message=HELD, lastTransitionTime=now)
    return Condition(type="Ready", status="True", message=READY, lastTransitionTime=now)


def with_condition(conditions: list[Condition], desired: Condition) -> list[Condition] | None:
    """Return the conditions with the desired one, or None when it is there; its transition time stays while its status does."""
    for index, one in enumerate(conditions):
        if one.type == desired.type:
            if (one.status, one.reason, one.message) == (desired.status, desired.reason, desired.message):
                return None
            if one.status == desired.status:
                desired.lastTransitionTime = one.lastTransitionTime
            return [*conditions[:index], desired, *conditions[index + 1 :]]
    return [*conditions, desired]
