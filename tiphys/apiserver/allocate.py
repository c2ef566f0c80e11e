"""Cluster addresses and node ports for Services ("Service: choosing your own IP address", "type: NodePort", KEP-1880).

What is taken is read off the Services and IPAddresses in the caches, plus what creates under way have reserved. Each address has an
IPAddress object, made before its Service is stored: the store makes two of a name only once, so no number of servers gives an address
away twice. `addresses.py` keeps those objects.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import TypeVar

from tiphys.api.core import v1 as core
from tiphys.api.helpers.service_families import family_errors
from tiphys.api.helpers.services import needs_health_check
from tiphys.api.machinery.conditions import is_true
from tiphys.api.machinery.errors import FieldError, InternalError, Invalid, invalid
from tiphys.api.networking.v1 import ServiceCIDR
from tiphys.apiserver.addresses import AddressBook, addresses_of
from tiphys.apiserver.cache.typed_source import TypedSource
from tiphys.store.contract import KeyExists

T = TypeVar("T")

DEFAULT_RANGE = "kubernetes"
"""The ServiceCIDR for the range of the server's own settings."""
DYNAMIC_OFFSET_MAX = 256
"""The lower part of a range is kept for addresses that people choose, at most this many (KEP-3070)."""
TRIES = 16
"""Addresses to try for one Service when other servers take them first."""


def _port_numbers(service: core.Service) -> set[tuple[str, int]]:
    return {(port.protocol or "TCP", port.nodePort) for port in service.spec.ports if port.nodePort}


def _node_ports(service: core.Service) -> set[tuple[str, int]]:
    """Every port of the nodes that the Service holds, that of its health check among them."""
    ports = _port_numbers(service)
    if service.spec.healthCheckNodePort:
        ports.add(("TCP", service.spec.healthCheckNodePort))
    return ports


def _usable(cidr: ServiceCIDR) -> bool:
    ready = is_true(cidr.status.conditions, "Ready")
    return ready and cidr.metadata.deletionTimestamp is None


class ServiceAllocator:
    """Hands out addresses of `service_range` and of the ServiceCIDRs that are ready, and ports of `node_ports`."""

    def __init__(self, source: TypedSource, book: AddressBook, *, service_range: str, node_ports: range, rng: random.Random) -> None:
        self._source = source
        self._book = book
        self._default = ipaddress.IPv4Network(service_range)
        self._networks: list[ipaddress.IPv4Network] = []
        self._ports = node_ports
        self._rng = rng
        self._reserved_ips: set[str] = set()
        self._reserved_ports: set[tuple[str, int]] = set()
        self._used_ips: dict[str, int] = {}
        self._used_ports: dict[tuple[str, int], int] = {}
        for service in source.objects(core.Service):
            self._count(service, 1)
        source.on_change(core.Service, self._changed)
        source.on_change(ServiceCIDR, lambda old, new: self._take_ranges())
        self._take_ranges()

    def _changed(self, old: core.Service | None, new: core.Service | None) -> None:
        if old is not None:
            self._count(old, -1)
        if new is not None:
            self._count(new, 1)

    def _count(self, service: core.Service, by: int) -> None:
        for ip in addresses_of(service):
            self._used_ips[ip] = self._used_ips.get(ip, 0) + by
        for port in _node_ports(service):
            self._used_ports[port] = self._used_ports.get(port, 0) + by

    def _take_ranges(self) -> None:
        """The ranges in use: the server's own, unless it is being given up, and the IPv4 ones of ServiceCIDRs that are ready."""
        known = {cidr.metadata.name: cidr for cidr in self._source.objects(ServiceCIDR)}
        own = known.get(DEFAULT_RANGE)
        networks = [self._default] if own is None or own.metadata.deletionTimestamp is None else []
        for _, cidr in sorted(known.items()):
            if _usable(cidr):
                networks += [ipaddress.IPv4Network(text) for text in cidr.spec.cidrs if ":" not in text]
        self._networks = list(dict.fromkeys(networks))

    def _ip_taken(self, ip: str) -> bool:
        return ip in self._reserved_ips or self._used_ips.get(ip, 0) > 0 or self._book.has(ip)

    def _port_taken(self, port: tuple[str, int]) -> bool:
        return port in self._reserved_ports or self._used_ports.get(port, 0) > 0

    async def store(self, service: core.Service, old: core.Service | None, write: Callable[[], Awaitable[T]], *, dry_run: bool) -> T:
        """Fill in what `service` needs, write its IPAddresses, then the Service itself; raises Invalid and whatever `write` raises."""
        chosen = service.spec.clusterIP or (service.spec.clusterIPs[0] if service.spec.clusterIPs else "")
        for _ in range(TRIES):
            with self.allocate(service, old) as fresh:
                if dry_run:
                    return await write()
                try:
                    await self._book.claim(fresh, service)
                except KeyExists:
                    if chosen in fresh:
                        message = f"failed to allocate IP {chosen}: provided IP is already allocated"
                        raise Invalid.object("Service", service.metadata.name, [invalid("spec.clusterIPs", [chosen], message)]) from None
                    service.spec.clusterIP, service.spec.clusterIPs = "", []
                    continue
                try:
                    result = await write()
                except BaseException:
                    await self._book.release(fresh, service)
                    raise
                if old is not None and (left := addresses_of(old) - addresses_of(service)):
                    await self._book.release(left, old)
                return result
        raise self._full(service)

    async def removed(self, service: core.Service) -> None:
        """A Service is gone: so are its IPAddresses."""
        if taken := addresses_of(service):
            await self._book.release(taken, service)

    async def repair(self) -> None:
        """Make the IPAddresses that Services lack and remove those whose Service is not there; see `AddressBook.repair`."""
        desired = {ip: service for service in self._source.objects(core.Service) for ip in addresses_of(service)}
        await self._book.repair(desired, self._reserved_ips)

    @contextmanager
    def allocate(self, service: core.Service, old: core.Service | None) -> Iterator[set[str]]:
        """Fill in what `service` needs and keep it reserved until the block, which stores it, is left; raises Invalid.

        Gives the addresses that are new to it.
        """
        ips: set[str] = set()
        ports: set[tuple[str, int]] = set()
        if errors := family_errors(service.spec, old.spec if old is not None else None):
            raise Invalid.object("Service", service.metadata.name, errors)
        try:
            errors = self._allocate_ip(service, old, ips)
            errors += self._allocate_ports(service, old, ports)
            if errors:
                raise Invalid.object("Service", service.metadata.name, errors)
            yield ips
        finally:
            self._reserved_ips -= ips
            self._reserved_ports -= ports

    def _allocate_ip(self, service: core.Service, old: core.Service | None, taken: set[str]) -> list[FieldError]:
        spec = service.spec
        if spec.type == "ExternalName":
            spec.clusterIP, spec.clusterIPs, spec.ipFamilies, spec.ipFamilyPolicy = "", [], [], None
            return []
        kept = addresses_of(old) if old is not None else set()
        if old is not None and not spec.clusterIP and old.spec.type != "ExternalName":
            spec.clusterIP, spec.clusterIPs = old.spec.clusterIP, list(old.spec.clusterIPs)
        if not spec.clusterIP and spec.clusterIPs:
            spec.clusterIP = spec.clusterIPs[0]
        if not spec.clusterIP:
            spec.clusterIP = self._free_ip(service)
        elif spec.clusterIP != "None" and spec.clusterIP not in kept:
            problem = self._refuse_ip(spec.clusterIP)
            if problem:
                return [invalid("spec.clusterIPs", [spec.clusterIP], problem)]
        spec.clusterIPs = [spec.clusterIP]
        spec.ipFamilies = spec.ipFamilies or ["IPv4"]
        spec.ipFamilyPolicy = spec.ipFamilyPolicy or "SingleStack"
        if spec.clusterIP != "None" and spec.clusterIP not in kept:
            taken.add(spec.clusterIP)
            self._reserved_ips.add(spec.clusterIP)
        return []

    def _refuse_ip(self, ip: str) -> str:
        try:
            address = ipaddress.ip_address(ip)
        except ValueError:
            return "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
        if not any(address in network and address not in (network[0], network[-1]) for network in self._networks):
            return f"failed to allocate IP {ip}: the provided network does not match the current range"
        if self._ip_taken(ip):
            return f"failed to allocate IP {ip}: provided IP is already allocated"
        return ""

    def _free_ip(self, service: core.Service) -> str:
        for network in self._networks:
            size, first = network.num_addresses, int(network.network_address)
            offset = min(max(16, size // 16), DYNAMIC_OFFSET_MAX) if size > 64 else 1
            for low, high in ((offset, size - 1), (1, offset)):
                if low >= high:
                    continue
                start = self._rng.randrange(low, high)
                for number in chain(range(start, high), range(low, start)):
                    ip = str(ipaddress.IPv4Address(first + number))
                    if not self._ip_taken(ip):
                        return ip
        raise self._full(service)

    @staticmethod
    def _full(service: core.Service) -> InternalError:
        return InternalError(f'failed to allocate a serviceIP for Service "{service.metadata.name}": range is full')

    def _allocate_ports(self, service: core.Service, old: core.Service | None, taken: set[tuple[str, int]]) -> list[FieldError]:
        spec = service.spec
        kept = _port_numbers(old) if old is not None else set()
        if spec.type not in ("NodePort", "LoadBalancer"):
            if old is not None and old.spec.type != spec.type:
                for port in spec.ports:
                    port.nodePort = 0
            return []
        errors: list[FieldError] = []
        automatic = spec.type == "NodePort" or spec.allocateLoadBalancerNodePorts is not False
        before = {(p.protocol or "TCP", p.port, p.name): p.nodePort for p in old.spec.ports} if old is not None else {}
        for index, port in enumerate(spec.ports):
            protocol = port.protocol or "TCP"
            if not port.nodePort:
                port.nodePort = before.get((protocol, port.port, port.name), 0)
            if not port.nodePort:
                if not automatic:
                    continue
                port.nodePort = self._free_port(protocol)
            elif (protocol, port.nodePort) not in kept:
                problem = self._refuse_port(protocol, port.nodePort)
                if problem:
                    errors.append(invalid(f"spec.ports[{index}].nodePort", port.nodePort, problem))
                    continue
            self._reserve_port((protocol, port.nodePort), kept, taken)
        if not errors and needs_health_check(spec):
            self._allocate_health_check(spec, old.spec.healthCheckNodePort if old is not None else 0, taken)
        return errors

    def _reserve_port(self, port: tuple[str, int], kept: set[tuple[str, int]], taken: set[tuple[str, int]]) -> None:
        if port not in kept and port not in taken:
            taken.add(port)
            self._reserved_ports.add(port)

    def _allocate_health_check(self, spec: core.ServiceSpec, kept: int, taken: set[tuple[str, int]]) -> None:
        """The port at which load balancers ask nodes whether they have endpoints; raises InternalError, as Kubernetes does."""
        if not spec.healthCheckNodePort:
            spec.healthCheckNodePort = self._free_port("TCP")
        elif spec.healthCheckNodePort != kept:
            problem = self._refuse_port("TCP", spec.healthCheckNodePort)
            if problem:
                port = spec.healthCheckNodePort
                raise InternalError(f"Internal error occurred: failed to allocate requested HealthCheck NodePort {port}: {problem}")
        self._reserve_port(("TCP", spec.healthCheckNodePort), {("TCP", kept)}, taken)

    def _refuse_port(self, protocol: str, port: int) -> str:
        if port not in self._ports:
            return f"provided port is not in the valid range. The range of valid ports is {self._ports.start}-{self._ports.stop - 1}"
        return "provided port is already allocated" if self._port_taken((protocol, port)) else ""

    def _free_port(self, protocol: str) -> int:
        start = self._rng.randrange(self._ports.start, self._ports.stop)
        for port in (*range(start, self._ports.stop), *range(self._ports.start, start)):
            if not self._port_taken((protocol, port)) and not self._port_taken(("UDP" if protocol == "TCP" else "TCP", port)):
                return int(port)
        raise InternalError(f"failed to allocate a nodePort: range {self._ports.start}-{self._ports.stop - 1} is full")
