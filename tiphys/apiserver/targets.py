"""Addresses to which the API server may connect on behalf of a client ("Node and pod proxy": loopback and link-local are refused).

Addresses of nodes and pods come from statuses that clients write. A name is resolved once, all its addresses are judged, and the connection
goes to the address that was judged, so that a name cannot point elsewhere a moment later.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket

from tiphys.api.machinery.errors import BadRequest

NOT_ALLOWED = "address not allowed"


class AddressNotAllowed(BadRequest):
    """The target is an address of the server's own machine or link, or no single host."""

    def __init__(self) -> None:
        super().__init__(NOT_ALLOWED)


def is_proxyable(text: str) -> bool:
    """Return whether a text is a unicast address beyond loopback and the local link. An IPv4 address written as IPv6 counts as IPv4."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return False
        address = address.ipv4_mapped or address
    broadcast = address == ipaddress.IPv4Address(0xFFFFFFFF)
    return not (address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local or broadcast)


async def proxyable(host: str) -> str:
    """The address to connect to for a host: itself, or the first that its name has. Raises BadRequest."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        addresses = await _resolve(host)
    else:
        addresses = [host]
    if not all(is_proxyable(address) for address in addresses):
        raise AddressNotAllowed
    return addresses[0]


async def _resolve(name: str) -> list[str]:
    await asyncio.sleep(0)  # A request that has not waited yet is not a task, and the resolver works in a thread.
    try:
        results = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        raise BadRequest(f"lookup {name}: {exc}") from exc
    addresses = list(dict.fromkeys(str(address[0]) for *_, address in results))
    if not addresses:
        raise BadRequest("no addresses for hostname")
    return addresses
