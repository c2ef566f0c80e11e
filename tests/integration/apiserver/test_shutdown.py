"""Shutdown of a server, and the time that it lets a request take."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.integration.apiserver.api import CONFIGS, Api, config
from tests.integration.apiserver.raw import Raw, RawConnection, request
from tiphys.aio.clock import LoopClock
from tiphys.http import server as http
from tiphys.http.connection import Connection
from tiphys.http.limits import Limits
from tiphys.store.memory import MemoryStore
from tiphys.store.open import open_store
from tiphys.testing.api_server import running_api_server
from tiphys.testing.eventually import eventually

VERSION = request("GET", "/version")


class SlowStore(MemoryStore):
    """Creates wait until `open` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()
        self.open.set()
        self.waiting = 0

    async def create(self, *arguments, **named):  # type: ignore[no-untyped-def]
        self.waiting += 1
        try:
            await self.open.wait()
        finally:
            self.waiting -= 1
        return await super().create(*arguments, **named)


@asynccontextmanager
async def slow_server(keys: Path) -> AsyncIterator[tuple[Raw, SlowStore]]:
    store = SlowStore()
    async with running_api_server(keys, store=store, listen=True) as (server, _):
        raw = Raw(server, keys / "pki")
        try:
            yield raw, store
        finally:
            raw.close()


def post(name: str) -> bytes:
    return request("POST", CONFIGS, body=json.dumps(config(name)).encode())


async def begin_slow_create(raw: Raw, store: SlowStore, name: str) -> RawConnection:
    store.open.clear()
    connection = await raw.connect()
    await connection.send(post(name))
    await eventually(lambda: store.waiting > 0)
    return connection


async def test_shutdown_finishes_requests_and_refuses_new_connections(keys: Path) -> None:
    async with slow_server(keys) as (raw, store):
        watching, idle = await raw.connect(), await raw.connect()
        await watching.send(request("GET", f"{CONFIGS}?watch=1"))
        await watching.head()
        await idle.send(VERSION)
        await idle.answer()
        slow = await begin_slow_create(raw, store, "slow")
        stopping = asyncio.create_task(raw.server.stop(grace=20.0))
        # Idle connections end and watches end properly, while the slow request is still under way.
        assert await idle.ended()
        assert [chunk async for chunk in watching.chunks()] == []
        assert await watching.ended()
        assert not stopping.done()
        with pytest.raises(OSError):
            await raw.connect()
        store.open.set()
        answer = await slow.answer()
        assert (answer.status, answer.headers["connection"]) == (201, "close")
        assert await slow.ended()
        await stopping


async def test_a_request_that_arrives_while_the_server_stops_is_answered(keys: Path) -> None:
    async with slow_server(keys) as (raw, _):
        body = json.dumps(config("late")).encode()
        late, idle = await raw.connect(), await raw.connect()
        await idle.send(VERSION)
        await idle.answer()
        await late.send(request("POST", CONFIGS, f"Content-Length: {len(body)}", "Content-Type: application/json") + body[:10])
        await eventually(lambda: any(connection._begun_at for connection in _connections(raw)))
        stopping = asyncio.create_task(raw.server.stop(grace=20.0))
        # Connections without a request are closed by now.
        assert await idle.ended()
        await late.send(body[10:])
        answer = await late.answer()
        assert (answer.status, answer.headers["connection"]) == (201, "close")
        await stopping


def _connections(raw: Raw) -> list[Connection]:
    server = raw.server._server
    assert server is not None
    return [connection for connection in server.pool.connections if isinstance(connection, Connection)]


async def test_a_server_that_retires_is_not_ready_but_serves(raw: Raw) -> None:
    api = Api(raw.server)
    assert (await api.get("/readyz")).status == 200
    raw.server.retire()
    answer = await api.get("/readyz")
    assert answer.status == 500
    assert b"[-]shutdown failed" in answer.body
    assert (await api.get("/livez")).status == 200
    assert (await api.post(CONFIGS, config("a"))).status == 201


async def test_nothing_acknowledged_is_lost_when_a_server_stops(keys: Path, tmp_path: Path) -> None:
    url = f"sqlite://{tmp_path / 'server.db'}"
    acknowledged: list[str] = []
    names = itertools.count()

    async def write(raw: Raw) -> None:
        connection = await raw.connect()
        while True:
            name = f"c{next(names)}"
            try:
                await connection.send(post(name))
                answer = await connection.answer()
            except (OSError, asyncio.IncompleteReadError):
                return
            assert answer.status == 201, answer.body
            acknowledged.append(name)

    async with running_api_server(keys, store=open_store(url, clock=LoopClock()), listen=True) as (server, _):
        raw = Raw(server, keys / "pki")
        writers = [asyncio.create_task(write(raw)) for _ in range(8)]
        await eventually(lambda: len(acknowledged) > 100)
        await server.stop(grace=10.0)
        await asyncio.gather(*writers)
        raw.close()
    async with running_api_server(keys, store=open_store(url, clock=LoopClock())) as (server, _):
        stored = set((await Api(server).get(CONFIGS)).names)
    assert set(acknowledged) <= stored


async def test_a_request_that_takes_too_long_is_told_so(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "SWEEP_SECONDS", 0.01)
    async with slow_server(keys) as (raw, store):
        server = raw.server._server
        assert server is not None
        server.pool.limits = Limits(response_seconds=0.05)
        watching = await raw.connect()
        await watching.send(request("GET", f"{CONFIGS}?watch=1"))
        await watching.head()
        slow = await begin_slow_create(raw, store, "slow")
        answer = await slow.answer()
        assert (answer.status, answer.reason) == (504, "Timeout")
        assert answer.message == "Timeout: request did not complete within the allotted timeout"
        assert await slow.ended()
        # The write was begun, so it is finished; the watch is not bounded.
        store.open.set()
        assert b'"slow"' in await anext(watching.chunks())


async def test_there_are_no_more_connections_than_allowed(raw: Raw) -> None:
    server = raw.server._server
    assert server is not None
    first = await raw.connect()
    await eventually(lambda: len(server.pool.connections) == 1)
    server.pool.limits = Limits(connections=1)

    async def ask_again() -> None:
        second = await raw.connect()
        await second.send(VERSION)
        await second.answer()

    with pytest.raises((OSError, asyncio.IncompleteReadError)):
        await ask_again()
    assert server.pool.refused == 1
    await first.send(VERSION)
    assert (await first.answer()).status == 200
    server.pool.limits = Limits(connections=2)
    third = await raw.connect()
    await third.send(VERSION)
    assert (await third.answer()).status == 200
