"""Addresses of hollow nodes and their pods: nobody can reach them, but they are there and no two are equal. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from ipaddress import IPv4Network, ip_network

NODES = IPv4Network("127.64.0.0/10")
"""Addresses of the nodes themselves: on loopback, where no request for their kubelets can leave the machine."""
PODS = IPv4Network("198.18.0.0/15")
"""Addresses of pods on nodes that have no range of their own: the range for benchmarks (RFC 2544), which is routed nowhere."""


def node_address(number: int) -> str:
    """Return the address of the node with this number, counted from 0."""
    return str(NODES[number + 1])


class AddressBook:
    """Addresses in use, by pod."""

    def __init__(self) -> None:
        self._of: dict[str, str] = {}
        self._used: set[str] = set()
        self._next: dict[str, Iterator[int]] = {}

    def take(self, uid: str, cidr: str) -> str:
        """Return the address of a pod, a free one of its node's range at first. Raises LookupError when the range is used up."""
        if (known := self._of.get(uid)) is not None:
            return known
        network = ip_network(cidr) if cidr else PODS
        size = network.num_addresses
        numbers = self._next.setdefault(cidr, itertools.count())
        for _ in range(size):
            address = str(network[next(numbers) % (size - 2) + 1])
            if address not in self._used:
                self.keep(uid, address)
                return address
        raise LookupError(f"no address is left in {network}")

    def keep(self, uid: str, address: str) -> None:
        """Note the address that a pod has already."""
        self._of[uid] = address
        self._used.add(address)

    def give_back(self, uid: str) -> None:
        """Free the address of a pod."""
        address = self._of.pop(uid, None)
        if address is not None:
            self._used.discard(address)
