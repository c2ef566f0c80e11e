"""Watches and lists that nobody reads are bounded in sum."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

from tests.integration.apiserver.api import CONFIGS, Api, config
from tests.integration.apiserver.raw import request
from tiphys.http.backlog import total
from tiphys.testing import eventually
from tiphys.testing.api_server import running_api_server

MB = 1 << 20


async def ignore(port: int, directory: Path, path: str) -> asyncio.StreamWriter:
    """Ask over TLS and read nothing of the answer."""
    context = ssl.create_default_context(cafile=directory / "pki" / "ca.crt")
    context.load_cert_chain(directory / "pki" / "admin.crt", directory / "pki" / "admin.key")
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", port))
    _, writer = await asyncio.open_connection(sock=raw, ssl=context, server_hostname="127.0.0.1", limit=1024)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(request("GET", path))
    return writer


async def test_unread_answers_and_watches_are_cut_and_the_rest_goes_on(tmp_path: Path) -> None:
    async with running_api_server(tmp_path, listen=True) as (server, _):
        api = Api(server)
        for number in range(40):
            await api.post(CONFIGS, config(f"c{number}", x="y" * 500_000))  # 20 MB
        door = server._server
        assert door is not None
        door.pool.backlog.budget = 50 * MB
        # A selector makes each list a body of its own.
        paths = [f"{CONFIGS}?labelSelector=a!%3Db"] * 6 + [f"{CONFIGS}?watch=1"] * 10
        writers = [await ignore(server.port, tmp_path, path) for path in paths]
        await eventually(lambda: door.pool.backlog.cut >= 3, timeout=60)

        def fits() -> bool:
            now = asyncio.get_running_loop().time()
            return total(connection.unread(now) for connection in door.pool.backlog.waiting) <= door.pool.backlog.budget

        await eventually(fits, timeout=60)
        # Watches hold little and stay; so does a client that reads.
        kind = server.scheme.by_resource("", "v1", "configmaps")
        assert kind is not None
        cache = server.storage.find(kind)
        assert cache is not None
        await eventually(lambda: cache.watching == 10)
        assert (await api.get(f"{CONFIGS}/c1")).status == 200
        for writer in writers:
            writer.transport.abort()


async def test_a_connection_holds_little_of_what_is_not_read(tmp_path: Path) -> None:
    """Bytes on their way to one unread watch are bounded, in clear and encrypted."""
    async with running_api_server(tmp_path, listen=True) as (server, _):
        api = Api(server)
        for number in range(40):
            await api.post(CONFIGS, config(f"c{number}", x="y" * 200_000))
        door = server._server
        assert door is not None
        writer = await ignore(server.port, tmp_path, f"{CONFIGS}?watch=1")
        await eventually(lambda: len(door.pool.backlog.waiting) == 1, timeout=60)
        (connection,) = door.pool.backlog.waiting
        assert connection.unread(0.0).own <= MB // 2
        writer.transport.abort()
        await eventually(lambda: not door.pool.backlog.waiting, timeout=60)
