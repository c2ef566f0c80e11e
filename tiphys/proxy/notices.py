"""Notices of foreign changes to our part of the kernel: nft tables flushed by hand or by a firewall, addresses and routes removed, the
bridge made by the first pod. The kernel tells; nothing is polled.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable

from tiphys.proxy import netlink

log = logging.getLogger(__name__)

NFTABLES = 10
GROUP_NFTABLES = 7
GROUP_LINK, GROUP_ADDRESS, GROUP_ROUTE = 1, 5, 7
NEW_LINK, DELETE_LINK, DELETE_ADDRESS, DELETE_ROUTE = 16, 17, 21, 25
TABLE_NAME = 1
"""The attribute that names the table, in tables, chains, rules, sets and elements alike."""
NETFILTER_HEADER = 4


class Notices:
    """Calls `on_table` when somebody else changed the table, `on_routes` when addresses or routes went, `on_bridge` when the bridge may
    be new. `on_overflow` means that something happened to some table. All are called from the event loop.
    """

    def __init__(
        self,
        table: str,
        bridge: str,
        *,
        on_table: Callable[[], None],
        on_overflow: Callable[[], None],
        on_routes: Callable[[], None],
        on_bridge: Callable[[], None],
    ) -> None:
        self._table = table.encode() + b"\0"
        self._bridge = bridge.encode() + b"\0"
        self._on_table = on_table
        self._on_overflow = on_overflow
        self._on_routes = on_routes
        self._on_bridge = on_bridge
        self._own = 0
        self._links: list[tuple[socket.socket, Callable[[socket.socket], None]]] = []

    def start(self) -> None:
        """Start listening on the running loop. Where that fails, rules are still made, but not repaired."""
        try:
            self._links.append((netlink.subscribe(netlink.NETLINK_NETFILTER, GROUP_NFTABLES), self._read_tables))
            self._links.append((netlink.subscribe(netlink.NETLINK_ROUTE, GROUP_LINK, GROUP_ADDRESS, GROUP_ROUTE), self._read_routes))
        except OSError as error:
            log.error("foreign changes will go unnoticed", extra={"error": str(error)})
        loop = asyncio.get_running_loop()
        for link, read in self._links:
            loop.add_reader(link, read, link)

    def stop(self) -> None:
        """Stop listening."""
        loop = asyncio.get_running_loop()
        for link, _ in self._links:
            loop.remove_reader(link)
            link.close()
        self._links.clear()

    def own(self, process: int) -> None:
        """Treat changes by a process as ours."""
        self._own = process

    def catch_up(self) -> None:
        """Read what the kernel has sent so far. A transaction is reported before the program that made it ends, so nothing read
        after `own` has ended can come from it.
        """
        for link, read in self._links:
            read(link)
        self._own = 0

    def _read_tables(self, link: socket.socket) -> None:
        changed = False
        while (data := self._receive(link, self._on_overflow)) is not None:
            for message in netlink.messages(data):
                if not changed and message.type >> 8 == NFTABLES and message.port != self._own and self._is_ours(message):
                    changed = True
        if changed:
            self._on_table()

    def _is_ours(self, message: netlink.Message) -> bool:
        return netlink.attributes(message.body[NETFILTER_HEADER:]).get(TABLE_NAME) == self._table

    def _read_routes(self, link: socket.socket) -> None:
        kinds: set[int] = set()
        while (data := self._receive(link, self._on_routes)) is not None:
            kinds.update(m.type for m in netlink.messages(data) if m.type not in (NEW_LINK, DELETE_LINK) or self._bridge in m.body)
        if kinds & {DELETE_ADDRESS, DELETE_ROUTE}:
            self._on_routes()
        if kinds & {NEW_LINK, DELETE_LINK}:
            self._on_bridge()

    @staticmethod
    def _receive(link: socket.socket, on_overflow: Callable[[], None]) -> bytes | None:
        try:
            return link.recv(1 << 16)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            on_overflow()
            return b""
