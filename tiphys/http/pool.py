"""The open connections of one server, and their shared parts: handler, limits, turns, the sum of what is unread, the tasks that answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from tiphys.aio.clock import monotonic
from tiphys.http.backlog import Backlog, Waiting
from tiphys.http.limits import Limits
from tiphys.http.peer import peer_identity
from tiphys.http.turns import Turns
from tiphys.wire.http import PeerIdentity, Request, Response

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
Identify = Callable[[asyncio.BaseTransport], PeerIdentity]
Refuse = Callable[[int, str, str], Response]
"""Makes the answer to a request that does not reach the handler, of an HTTP status, a reason (one of Kubernetes' Status) and a message."""


class Open(Waiting, Protocol):
    """A connection as its pool sees it."""

    @property
    def is_stream(self) -> bool: ...

    def sweep(self, now: float) -> None: ...

    def drain(self) -> None: ...


def plain_refusal(status: int, reason: str, message: str) -> Response:
    """The message as plain text."""
    return Response(status, {"Content-Type": "text/plain; charset=utf-8"}, f"{message}\n".encode())


class Pool:
    """Connections of one server. `loop` is set when it starts."""

    loop: asyncio.AbstractEventLoop

    def __init__(
        self,
        handler: Handler,
        *,
        limits: Limits,
        is_long: Callable[[Request], bool] = lambda _: False,
        identify: Identify = peer_identity,
        refuse: Refuse = plain_refusal,
    ) -> None:
        self.handler = handler
        self.limits = limits
        self.is_long = is_long
        """Return whether a request may take as long as it likes to be answered."""
        self.identify = identify
        self.refuse = refuse
        self.refused = 0
        """Number of connections that were cut because there were too many."""
        self.connections: set[Open] = set()
        self.backlog = Backlog()
        self.stream_turns = Turns()
        self.answer_turns = Turns()
        self.draining = False
        """True if connections end with the answer under way."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._check: asyncio.Handle | None = None
        self._empty: asyncio.Future[None] | None = None

    def admit(self, connection: Open) -> bool:
        """Take a new connection in; False if there are too many."""
        if len(self.connections) >= self.limits.connections:
            self.refused += 1
            return False
        self.connections.add(connection)
        return True

    def forget(self, connection: Open) -> None:
        """A connection is gone."""
        self.connections.discard(connection)
        self.backlog.end(connection)
        if not self.connections and self._empty is not None and not self._empty.done():
            self._empty.set_result(None)

    def spawn(self, serving: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task that ends before the server does."""
        task = self.loop.create_task(serving)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def sweep(self) -> None:
        """Let each connection look whether it is within its limits of time."""
        now = monotonic()
        for connection in tuple(self.connections):
            connection.sweep(now)

    def check_backlog(self) -> None:
        """Check unread data."""
        self._check = None
        self.backlog.check(monotonic())

    def check_backlog_soon(self) -> None:
        """Check unread data in this turn of the loop."""
        if self._check is None:
            self._check = self.loop.call_soon(self.check_backlog)

    async def end_tasks(self) -> None:
        """Cancel requests under way, and wait for them."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def emptied(self, timeout: float) -> None:
        """Wait until no connection is left, at most `timeout` seconds."""
        if self.connections:
            self._empty = self.loop.create_future()
            await asyncio.wait((self._empty,), timeout=timeout)
