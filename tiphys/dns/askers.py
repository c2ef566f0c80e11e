"""Clients that may query cluster DNS: the cluster's own networks and the machine itself."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from ipaddress import IPv4Network


class Askers:
    """Filter of the source addresses of questions."""

    def __init__(self, ranges: Iterable[str]) -> None:
        networks = [IPv4Network(one) for one in ranges]
        self._networks = [(int(one.netmask), int(one.network_address)) for one in networks]

    def allow(self, address: str) -> bool:
        """Return whether an IPv4 address lies in one of the networks or is an address of this machine."""
        (number,) = struct.unpack("!I", socket.inet_aton(address))
        return any(number & mask == network for mask, network in self._networks) or _is_local(address)


def _is_local(address: str) -> bool:
    """Return whether an address belongs to this machine. The kernel is asked, as addresses come and go: only its own can be bound."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True
