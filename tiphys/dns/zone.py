"""The cluster's names, from Services and EndpointSlices ("DNS for Services and Pods", DNS specification 1.1). Pure.

web.default.svc.cluster.local            A    the Service's address, or those of its endpoints if it is headless
web-0.web.default.svc.cluster.local      A    one endpoint of a headless Service, by its hostname
_http._tcp.web.default.svc.cluster.local SRV  a named port
10-42-0-5.default.pod.cluster.local      A    any pod's address spelled as a name
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import AddressValueError, IPv4Address
from typing import NamedTuple

from tiphys.api.core import v1 as core
from tiphys.api.discovery import v1 as discovery

SERVICE_NAME = "kubernetes.io/service-name"


class Srv(NamedTuple):
    """The answer for a named port."""

    port: int
    target: str


class Name(NamedTuple):
    """What is known under one name."""

    addresses: tuple[str, ...] = ()
    services: tuple[Srv, ...] = ()
    alias: str = ""


class Key(NamedTuple):
    namespace: str
    service: str


ServiceNames = dict[str, Name]
"""Names below the cluster's domain, without it: `web.default.svc`."""


def names_of(service: core.Service, slices: Iterable[discovery.EndpointSlice]) -> ServiceNames:
    """Every name that a Service brings, in lower case."""
    spec = service.spec
    base = f"{service.metadata.name}.{service.metadata.namespace}.svc".lower()
    if spec.type == "ExternalName":
        return {base: Name(alias=spec.externalName.rstrip(".").lower())}
    names: dict[str, tuple[set[str], set[Srv]]] = {base: (set(), set())}
    if spec.clusterIP and spec.clusterIP != "None":
        names[base][0].add(spec.clusterIP)
        for port in spec.ports:
            if port.name:
                label = f"_{port.name}._{(port.protocol or 'TCP').lower()}.{base}".lower()
                names[label] = (set(), {Srv(port.port, base)})
    elif spec.clusterIP == "None":
        _add_headless(names, base, slices)
    return {name: Name(tuple(sorted(found[0])), tuple(sorted(found[1]))) for name, found in names.items()}


def _add_headless(names: dict[str, tuple[set[str], set[Srv]]], base: str, slices: Iterable[discovery.EndpointSlice]) -> None:
    for piece in slices:
        if piece.addressType != "IPv4":
            continue
        for endpoint in piece.endpoints:
            if endpoint.conditions.ready is False:
                continue
            for address in endpoint.addresses:
                host = f"{(endpoint.hostname or address.replace('.', '-')).lower()}.{base}"
                names[base][0].add(address)
                names.setdefault(host, (set(), set()))[0].add(address)
                for port in piece.ports:
                    if port.name and port.port:
                        label = f"_{port.name}._{(port.protocol or 'TCP').lower()}.{base}".lower()
                        names.setdefault(label, (set(), set()))[1].add(Srv(port.port, host))


class Zone:
    """All names of the cluster; one Service's names are replaced at a time."""

    def __init__(self, domain: str) -> None:
        self.domain = domain.lower().strip(".")
        self.serial = 1
        self._names: dict[str, Name] = {}
        self._parents: dict[str, int] = {}
        self._by_service: dict[Key, ServiceNames] = {}
        self._reverse: dict[str, set[str]] = {}

    def put(self, key: Key, names: ServiceNames) -> None:
        """Set the names of a Service; none removes it."""
        old = self._by_service.get(key, {})
        if old == names:
            return
        for name, found in old.items():
            self._forget(name, found)
        if names:
            self._by_service[key] = names
        else:
            self._by_service.pop(key, None)
        for name, found in names.items():
            self._names[name] = found
            for parent in _parents(name):
                self._parents[parent] = self._parents.get(parent, 0) + 1
            if not name.startswith("_") and (len(found.addresses) == 1):
                self._reverse.setdefault(found.addresses[0], set()).add(name)
        self.serial += 1

    def _forget(self, name: str, found: Name) -> None:
        self._names.pop(name, None)
        for parent in _parents(name):
            self._parents[parent] -= 1
            if not self._parents[parent]:
                del self._parents[parent]
        for address in found.addresses:
            self._reverse.get(address, set()).discard(name)

    def owns(self, name: str) -> bool:
        """Whether a lower-case name without its final dot is for this zone to answer."""
        return name == self.domain or name.endswith("." + self.domain)

    def find(self, name: str) -> Name | None:
        """What is known under a full name, None when it does not exist; an empty Name for one that only has names below it."""
        if name == self.domain:
            return Name()
        short = name[: -len(self.domain) - 1]
        found = self._names.get(short)
        if found is not None:
            return found
        if short in self._parents or short in ("svc", "pod"):
            return Name()
        return _pod(short)

    def reverse(self, address: str) -> list[str]:
        """The full names of an address that is a Service's or a headless Service's endpoint."""
        return [f"{name}.{self.domain}" for name in sorted(self._reverse.get(address, ()))]


def _parents(name: str) -> Iterable[str]:
    """`default.svc` and `svc` of `web.default.svc`."""
    while "." in name:
        name = name.partition(".")[2]
        yield name


def _pod(short: str) -> Name | None:
    """`10-42-0-5.default.pod`."""
    parts = short.split(".")
    if len(parts) != 3 or parts[2] != "pod":
        return None
    try:
        return Name((str(IPv4Address(parts[0].replace("-", "."))),))
    except AddressValueError:
        return None
