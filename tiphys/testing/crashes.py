"""Crashes between writes: a control loop that dies at the worst moments and is started again must end where one ends that never died.

async def test_a_crash_between_any_two_writes_does_no_harm() -> None:
    crashes = await crash_between_writes(prepare=arrange, run=run_the_loop, check=the_pods_are_there)
    assert crashes >= 3      # the writes that were followed by a crash
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

from tiphys.aio.clock import VirtualClock
from tiphys.aio.tasks import cancel_and_wait
from tiphys.client.client import Client
from tiphys.testing.calls import call_of
from tiphys.testing.eventually import eventually
from tiphys.testing.memory_api import MemoryApi
from tiphys.wire.http import Request, Response, Transport

LIMIT = 200
"""Writes after which a loop that still is not where it should be counts as one that never will be."""


class MortalTransport:
    """Transport of a process that dies right after the server has acted on its `writes`-th write: it never hears the answer.

    Events do not count, since no loop reads them: a crash after one is a crash before the next write.

    From then on nothing that it does reaches the server, so that what it does while it is cancelled has no effect, as after kill -9.
    """

    def __init__(self, transport: Transport, *, writes: int) -> None:
        self.died = asyncio.Event()
        self._transport = transport
        self._left = writes

    async def request(self, request: Request) -> Response:
        """Send a request; the one that is the last never returns."""
        if self.died.is_set():
            raise ConnectionError("the process is dead")
        response = await self._transport.request(request)
        call = call_of(request)
        if call.writes and call.resource != "events" and response.status < 400:
            self._left -= 1
            if self._left == 0:
                self.died.set()
                await asyncio.get_running_loop().create_future()
        return response

    async def close(self) -> None:
        """Close the transport behind it."""
        await self._transport.close()


def mortal(client: Client, *, writes: int) -> tuple[Client, asyncio.Event]:
    """Return a client like `client` that dies after `writes` writes, and the event of its death."""
    transport = MortalTransport(client.transport, writes=writes)
    return Client(transport, user_agent="mortal", scheme=client.scheme, clock=client.clock, rng=client.rng), transport.died


async def crash_between_writes(
    *,
    prepare: Callable[[MemoryApi], Awaitable[None] | None],
    run: Callable[[Client], Coroutine[Any, Any, None]],
    check: Callable[[MemoryApi], Any],
    timeout: float = 600.0,
    running: Callable[[], AbstractAsyncContextManager[MemoryApi]] = lambda: MemoryApi.running(clock=VirtualClock()),
) -> int:
    """Let a loop die after its first write, its second, and so on, and start it again each time; return how many crashes it took.

    Each round has a server of its own: `prepare` puts objects there, `run(client)` is the loop with fresh state until it is cancelled, and
    `check(api)` is true (or raises no AssertionError) once the loop has done its work. The last round is the one in which the work is done
    before the loop could die. Raises AssertionError when a loop does not get there within `timeout` seconds, and what the loop raises.
    """
    for writes in range(1, LIMIT + 1):
        async with running() as api:
            prepared = prepare(api)
            if prepared is not None:
                await prepared
            client, died = mortal(api.client(), writes=writes)
            await _run_until(run(client), partial(_is_over, died, check, api), timeout)
            if not died.is_set():
                return writes - 1
            try:
                await _run_until(run(api.client()), partial(check, api), timeout)
            except AssertionError as error:
                raise AssertionError(f"after a crash that followed write {writes}: {error}") from error
    raise AssertionError(f"after {LIMIT} writes the work still is not done")


async def _run_until(process: Coroutine[Any, Any, None], over: Callable[[], Any], timeout: float) -> None:
    """Let a process run until something is true. Raises AssertionError after `timeout` seconds, and what the process raises."""
    task = asyncio.create_task(process, name="process")

    def is_over() -> Any:
        if task.done():
            task.result()
        return over()

    try:
        await eventually(is_over, timeout=timeout, interval=0.5)
    finally:
        await cancel_and_wait(task)


def _is_over(died: asyncio.Event, check: Callable[[MemoryApi], Any], api: MemoryApi) -> bool:
    if died.is_set():
        return True
    try:
        return bool(check(api))
    except AssertionError:
        return False
