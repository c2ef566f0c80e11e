"""The libraries of addresses and of ranges of addresses."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import msgspec

from tiphys.cel.library import Library, Opaque, Overload

IP, CIDR = "net.IP", "net.CIDR"


class Address(msgspec.Struct, frozen=True):
    """An address; one that has a zone, or an IPv4 address in IPv6 form, is none."""

    value: IPv4Address | IPv6Address


class Range(msgspec.Struct, frozen=True):
    """An address with the length of its prefix."""

    address: IPv4Address | IPv6Address
    length: int

    @property
    def network(self) -> IPv4Network | IPv6Network:
        return ip_network((self.address, self.length), strict=False)

    def __str__(self) -> str:
        return f"{self.address}/{self.length}"


def _address(text: str) -> Address:
    value = ip_address(text)
    if isinstance(value, IPv6Address) and (value.ipv4_mapped is not None or value.scope_id is not None):
        raise ValueError(f"{text} is not a plain address")
    return Address(value)


def _range(text: str) -> Range:
    address, mark, length = text.partition("/")
    if not mark or not length.isdigit() or (len(length) > 1 and length.startswith("0")):
        raise ValueError(f"{text} is not a range of addresses")
    value = _address(address).value
    if int(length) > value.max_prefixlen:
        raise ValueError(f"{text} is not a range of addresses")
    return Range(value, int(length))


def _is_address(text: str) -> bool:
    try:
        _address(text)
    except ValueError:
        return False
    return True


def _is_range(text: str) -> bool:
    try:
        _range(text)
    except ValueError:
        return False
    return True


def _is_global(address: Address) -> bool:
    value = address.value
    broadcast = isinstance(value, IPv4Address) and int(value) == 0xFFFFFFFF
    return not (value.is_unspecified or value.is_loopback or value.is_multicast or value.is_link_local or broadcast)


def _is_local_multicast(address: Address) -> bool:
    value = address.value
    return value in ip_network("224.0.0.0/24") if isinstance(value, IPv4Address) else value.packed[0] == 0xFF and value.packed[1] & 15 == 2


def _contains(outer: Range, inner: Range) -> bool:
    same = outer.address.version == inner.address.version
    return same and inner.length >= outer.length and inner.address in outer.network


ADDRESSES = Library(
    opaque=(Opaque(IP, _address, lambda address: str(address.value), Address), Opaque(CIDR, _range, str, Range)),
    overloads=(
        Overload("ip", ("string",), IP, _address, member=False),
        Overload("isIP", ("string",), "bool", _is_address, member=False),
        Overload("family", (IP,), "int", lambda address: address.value.version),
        Overload("isUnspecified", (IP,), "bool", lambda address: address.value.is_unspecified),
        Overload("isLoopback", (IP,), "bool", lambda address: address.value.is_loopback),
        Overload("isLinkLocalMulticast", (IP,), "bool", _is_local_multicast),
        Overload("isLinkLocalUnicast", (IP,), "bool", lambda address: address.value.is_link_local),
        Overload("isGlobalUnicast", (IP,), "bool", _is_global),
        Overload("cidr", ("string",), CIDR, _range, member=False),
        Overload("isCIDR", ("string",), "bool", _is_range, member=False),
        Overload("ip", (CIDR,), IP, lambda value: Address(value.address)),
        Overload("prefixLength", (CIDR,), "int", lambda value: value.length),
        Overload("masked", (CIDR,), CIDR, lambda value: Range(value.network.network_address, value.length)),
        Overload("containsIP", (CIDR, IP), "bool", lambda outer, inner: inner.value in outer.network),
        Overload("containsIP", (CIDR, "string"), "bool", lambda outer, inner: _address(inner).value in outer.network),
        Overload("containsCIDR", (CIDR, CIDR), "bool", _contains),
        Overload("containsCIDR", (CIDR, "string"), "bool", lambda outer, inner: _contains(outer, _range(inner))),
    ),
    costs=dict.fromkeys(("ip", "isIP", "cidr", "isCIDR", "containsIP", "containsCIDR"), 7),
)
"""`ip("10.0.0.1")`, `cidr("10.0.0.0/8")` ("Kubernetes IP address library", "Kubernetes CIDR library")."""
