"""The real API server in-process, and schedulers that act as the user they are."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path

import pytest

from tiphys.aio.clock import LoopClock
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import AlreadyExists
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.client.client import Client
from tiphys.scheduler.scheduler import Scheduler
from tiphys.testing.api_server import ClientFor, running_api_server
from tiphys.testing.eventually import eventually

RunScheduler = Callable[[], AbstractAsyncContextManager[Scheduler]]


@pytest.fixture
async def client_for(tmp_path: Path) -> AsyncIterator[ClientFor]:
    async with running_api_server(tmp_path, listen=True) as (_, made):
        yield made


@pytest.fixture
async def client(client_for: ClientFor) -> Client:
    client = client_for()

    async def account() -> bool:
        # What the controllers would make.
        with suppress(AlreadyExists):
            await client.create(core.ServiceAccount(metadata=ObjectMeta(name="default", namespace="default")))
        return True

    await eventually(account)
    return client


@pytest.fixture
def run_scheduler(client_for: ClientFor) -> RunScheduler:
    @asynccontextmanager
    async def run() -> AsyncIterator[Scheduler]:
        scheduler = Scheduler(client_for("system:kube-scheduler"), clock=LoopClock(), rng=random.Random(1))
        async with asyncio.TaskGroup() as group:
            # In a group, so that a test ends at once when the scheduler does.
            task = group.create_task(scheduler.run())
            yield scheduler
            task.cancel()

    return run
