"""Names of the cluster, from Services and EndpointSlices ("DNS for Services and Pods", DNS specification 1.1). Pure.

web.default.svc.cluster.local              A     the Service's address, or those of its endpoints if it is headless
web-0.web.default.svc.cluster.local        A     one endpoint, by its hostname
10-42-0-5.web.default.svc.cluster.local    A     one endpoint without a hostname
_http._tcp.web.default.svc.cluster.local   SRV   a named port
10-42-0-5.default.pod.cluster.local        A     any pod's address spelled as a name
5.0.42.10.in-addr.arpa                     PTR   back from the address of a Service or of an endpoint
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from typing import NamedTuple

from tiphys.api.core import v1 as core
from tiphys.api.discovery import v1 as discovery
from tiphys.api.machinery.cached import cached
from tiphys.runtime.key import Key

VERSION = "1.1.0"
MAX_NAME = 254
REVERSE = ".in-addr.arpa"


class Srv(NamedTuple):
    """Target of a named port."""

    port: int
    target: str
    """Name below the cluster's domain."""


class Name(NamedTuple):
    """Records of one name. All empty: it exists only because of names below it."""

    addresses: tuple[str, ...] = ()
    services: tuple[Srv, ...] = ()
    alias: str = ""
    text: str = ""
    canonical: bool = False
    """True if its addresses resolve back to it."""


NOTHING = Name()
ServiceNames = dict[str, Name]
"""Names below the cluster's domain, without it: `web.default.svc`."""


def names_of(service: core.Service, slices: Iterable[discovery.EndpointSlice]) -> ServiceNames:
    """Return every name that a Service contributes, in lower case."""
    spec = service.spec
    base = f"{service.metadata.name}.{service.metadata.namespace}.svc".lower()
    if spec.type == "ExternalName":
        alias = spec.externalName.rstrip(".").lower()
        return {base: Name(alias=alias) if all(map(is_label, alias.split("."))) and len(alias) < MAX_NAME else NOTHING}
    headless = spec.clusterIP == "None"
    hosts, ports = _endpoints(base, slices)
    names = {host: Name(tuple(sorted(addresses)), canonical=True) for host, addresses in hosts.items()}
    if headless:
        addresses = {address for entry in hosts.values() for address in entry}
        names[base] = Name(tuple(sorted(addresses)))
    elif is_ipv4(spec.clusterIP):
        names[base] = Name((spec.clusterIP,), canonical=True)
        ports = {_label(port.name, port.protocol, base): {Srv(port.port, base)} for port in spec.ports if port.name}
    else:
        return {base: NOTHING}
    names.update((label, Name(services=tuple(sorted(entry)))) for label, entry in ports.items())
    return names


def _endpoints(base: str, slices: Iterable[discovery.EndpointSlice]) -> tuple[dict[str, set[str]], dict[str, set[Srv]]]:
    """Return the addresses by host name, and the named ports, of the ready endpoints."""
    hosts: dict[str, set[str]] = {}
    ports: dict[str, set[Srv]] = {}
    for piece in slices:
        if piece.addressType != "IPv4":
            continue
        labels = [(_label(port.name, port.protocol, base), port.port) for port in piece.ports or [] if port.name and port.port]
        for endpoint in piece.endpoints or []:
            if endpoint.conditions.ready is False:
                continue
            for address in filter(is_ipv4, endpoint.addresses):
                own = (endpoint.hostname or "").lower()
                host = f"{own if is_label(own) else address.replace('.', '-')}.{base}"
                hosts.setdefault(host, set()).add(address)
                for label, number in labels:
                    ports.setdefault(label, set()).add(Srv(number, host))
    return hosts, ports


def _label(port: str | None, protocol: str | None, base: str) -> str:
    return f"_{port}._{protocol or 'TCP'}.{base}".lower()


def is_label(text: str) -> bool:
    """Return whether text can be one label of a host name. Underscores occur in practice."""
    return 0 < len(text) < 64 and text.isascii() and text.replace("-", "").replace("_", "").isalnum()


@cached(weight=1 << 20)
def is_ipv4(text: str) -> bool:
    """Return whether text is an IPv4 address."""
    try:
        IPv4Address(text)
    except (AddressValueError, ValueError):
        return False
    return True


class Zone:
    """All names of the cluster; one Service's names are replaced at a time. `serial` grows with every change."""

    def __init__(self, domain: str, address: str = "", ranges: Iterable[str] = ()) -> None:
        self.domain = domain.lower().strip(".")
        self.serial = 1
        self._suffix = "." + self.domain
        self._fixed = {"dns-version": Name(text=VERSION), "ns.dns": Name((address,) if address else ()), "dns": NOTHING}
        self._fixed |= dict.fromkeys(("svc", "pod"), NOTHING)
        self._reverse_zones = [_reverse_zone(IPv4Network(text)) for text in ranges]
        self._names: dict[str, Name] = {}
        self._parents: dict[str, int] = {}
        self._by_service: dict[Key, ServiceNames] = {}
        self._reverse: dict[str, dict[str, None]] = {}

    def put(self, key: Key, names: ServiceNames) -> None:
        """Set the names of a Service; an empty set removes it."""
        old = self._by_service.get(key, {})
        if old == names:
            return
        for name, entry in old.items():
            if names.get(name) != entry:
                self._forget(name, entry)
        for name, entry in names.items():
            if old.get(name) != entry:
                self._learn(name, entry)
        if names:
            self._by_service[key] = names
        else:
            self._by_service.pop(key, None)
        self.serial += 1

    def _learn(self, name: str, entry: Name) -> None:
        self._names[name] = entry
        for parent in _parents(name):
            self._parents[parent] = self._parents.get(parent, 0) + 1
        if entry.canonical:
            for address in entry.addresses:
                self._reverse.setdefault(address, {})[name] = None

    def _forget(self, name: str, entry: Name) -> None:
        self._names.pop(name, None)
        for parent in _parents(name):
            self._parents[parent] -= 1
            if not self._parents[parent]:
                del self._parents[parent]
        if entry.canonical:
            for address in entry.addresses:
                names = self._reverse[address]
                del names[name]
                if not names:
                    del self._reverse[address]

    def owns(self, name: str) -> bool:
        """Return whether this zone answers for a lower-case name without its final dot."""
        return name.endswith(self._suffix) or name == self.domain

    def find(self, name: str) -> Name | None:
        """Return the records of a full name, or None when it does not exist."""
        if name == self.domain:
            return NOTHING
        short = name.removesuffix(self._suffix)
        entry = self._names.get(short) or self._fixed.get(short)
        if entry is not None:
            return entry
        return NOTHING if short in self._parents else _pod(short)

    def reverse(self, address: str) -> list[str]:
        """Return the full names of an address of a Service or endpoint."""
        return [name + self._suffix for name in sorted(self._reverse.get(address, ()))]

    def reverse_zone(self, name: str) -> str:
        """Return the part of the reverse tree that belongs to the cluster and contains a name, or ""."""
        return next((zone for zone in self._reverse_zones if name == zone or name.endswith("." + zone)), "")


def _parents(name: str) -> Iterable[str]:
    """Return the parents: `default.svc` and `svc` of `web.default.svc`."""
    while "." in name:
        name = name.partition(".")[2]
        yield name


def _pod(short: str) -> Name | None:
    """Resolve `10-42-0-5.default.pod`; its parent `default.pod` has names below it, whatever the namespace."""
    parts = short.split(".")
    if parts[-1] != "pod" or not 1 < len(parts) < 4:
        return None
    if len(parts) == 2:
        return NOTHING
    address = parts[0].replace("-", ".")
    return Name((address,)) if parts[0].count("-") == 3 and is_ipv4(address) else None


def _reverse_zone(network: IPv4Network) -> str:
    """Return the reverse zone of a range: `42.10.in-addr.arpa` of 10.42.0.0/16; up to the next octet for other lengths."""
    octets = str(network.network_address).split(".")[: network.prefixlen // 8]
    return ".".join(reversed(octets)) + REVERSE
