"""A runtime and a front for each test, and a check that no task outlives it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.node.serve.streaming.neighbors import Connect, FakeRuntime, Front, listen, stop


@pytest.fixture
async def runtime() -> AsyncIterator[FakeRuntime]:
    fake = FakeRuntime()
    server, fake.port, tasks = await listen(fake.handle)
    yield fake
    await stop(server, tasks)


@pytest.fixture
async def front(runtime: FakeRuntime) -> AsyncIterator[Front]:
    made = Front(runtime.url_of_main)
    server, made.port, tasks = await listen(made.handle)
    yield made
    await stop(server, tasks)


@pytest.fixture
async def connect(front: Front) -> AsyncIterator[Connect]:
    connector = Connect(front)
    yield connector
    for duplex in connector.opened:
        duplex.close()
