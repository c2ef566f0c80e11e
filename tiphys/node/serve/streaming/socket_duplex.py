"""The runtime's connection as a Duplex on a bare socket.

When a process ends while stdin is still flowing, the runtime closes its connection with unread data in it, and the kernel resets it. What
the runtime sent before (the last output, the exit code) can still be read, but an asyncio transport gives up both directions when a write
fails. Here each direction fails for itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket

from tiphys.aio.duplex import READ_SIZE


class SocketDuplex:
    """A connected, non-blocking TCP socket as a Duplex. Cancel what reads and writes before closing it."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._loop = asyncio.get_running_loop()
        self._unread = b""
        # Waiters are served in order, so whole writes never mix and keep the order of the calls.
        self._writing = asyncio.Lock()

    async def read(self, n: int = READ_SIZE) -> bytes:
        if self._unread:
            data, self._unread = self._unread[:n], self._unread[n:]
            return data
        return await self._loop.sock_recv(self._socket, n)

    async def write(self, data: bytes) -> None:
        async with self._writing:
            await self._loop.sock_sendall(self._socket, data)

    def push_back(self, data: bytes) -> None:
        """Make the next read return `data`."""
        self._unread = data + self._unread

    @property
    def can_half_close(self) -> bool:
        return True

    def write_eof(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._socket.close()


async def connect_socket(host: str, port: int) -> SocketDuplex:
    """A TCP connection to a literal address or "localhost". Raises OSError."""
    loop = asyncio.get_running_loop()
    (family, kind, proto, _, address), *_ = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    sock = socket.socket(family, kind, proto)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await loop.sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return SocketDuplex(sock)
