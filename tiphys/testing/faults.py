"""Faults between a client and an API server: whatever a network, a busy server or a cache in between does to requests and watches.

    faults = Faults(clock=clock)
    client = Client(FaultyTransport(transport, faults), clock=clock)      # `MemoryApi.client()` comes with it

    faults.fail("create pods", ServiceUnavailable("away"), times=2)       # the server has not acted
    faults.lose_answers("create pods")                                    # it has, and the client does not hear of it
    faults.conflict("update *")
    faults.delay("create pods/binding", seconds=30)
    faults.before("update deployments", change_it_first)                  # somebody else is faster
    faults.down = True                                                    # nothing passes, and watches break

    with faults.stale_reads("read pods"):                                 # gets and lists show what was before
        ...
    with faults.hold_events("watch pods"):                                # watches show nothing until the end of the block
        ...
    faults.lose_events("watch pods"); faults.repeat_events("watch pods"); faults.reorder_events("watch pods")
    faults.end_watches(); faults.stall_watches("watch nodes"); faults.expire_watches()
    faults.randomly(rng, Chances(lost_answer=0.1))

Requests are selected as in the rules of a role (`calls.matcher`). A fault happens `times` times, or until it is stopped when that is None;
`Fault.count` tells how often it did. `calls` lists all requests, also those that never arrived.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import msgspec

from tiphys.aio.clock import Clock, LoopClock
from tiphys.api.machinery.errors import Conflict, Gone, StatusError
from tiphys.apiserver.answers import render
from tiphys.testing.calls import Call, Where, call_of, matcher
from tiphys.testing.chances import Chances, Dice
from tiphys.testing.stale import read_at
from tiphys.testing.watch_stream import WatchStream
from tiphys.wire.http import Request, Response, Transport

Forward = Callable[[Request], Awaitable[Response]]
Action = Callable[[Call, Forward], Awaitable[Response]]
"""Answer a request in place of the server, which `forward` reaches."""
Error = BaseException | Callable[[Call], BaseException]


class Fault:
    """Something that goes wrong with selected requests or events. As a context manager it stops at the end of the block."""

    def __init__(self, where: Where, times: int | None, stopped: Callable[[Fault], None]) -> None:
        self.count = 0
        """Number of times that it has happened."""
        self._matches = matcher(where)
        self._left = times
        self._stopped = stopped

    def concerns(self, call: Call) -> bool:
        """Return whether it would happen to a request."""
        return self._left != 0 and self._matches(call)

    def happens(self, call: Call) -> bool:
        """Return whether it happens to a request, and count that."""
        if not self.concerns(call):
            return False
        self.count += 1
        if self._left is not None:
            self._left -= 1
        return True

    def stop(self) -> None:
        """Let it happen no more; idempotent."""
        self._left = 0
        self._stopped(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


class Faults:
    """What goes wrong for the clients that share it; see the module."""

    def __init__(self, *, clock: Clock | None = None, revision: Callable[[], int] | None = None) -> None:
        self.clock = clock or LoopClock()
        self.calls: list[Call] = []
        self.watches: list[WatchStream] = []
        """Watches that are open."""
        self._revision = revision
        self._down = False
        self._actions: dict[Fault, Action] = {}
        self._changes: dict[Fault, Callable[[WatchStream, bytes], list[bytes]]] = {}
        self._holds: dict[Fault, None] = {}

    def writes(self) -> list[Call]:
        """Return the requests that were not reads."""
        return [call for call in self.calls if call.writes]

    def clear(self) -> None:
        """Stop all faults: from now on everything works."""
        for fault in (*self._actions, *self._changes, *self._holds):
            fault.stop()
        self.down = False

    # Requests

    @property
    def down(self) -> bool:
        """Whether nothing passes at all. Going down breaks the open watches."""
        return self._down

    @down.setter
    def down(self, value: bool) -> None:
        self._down = value
        if value:
            self.end_watches(error=ConnectionError("the connection broke"))

    def intercept(self, where: Where, action: Action, *, times: int | None = None) -> Fault:
        """Let `action` answer requests; the other faults of requests are made of this."""
        fault = Fault(where, times, self._drop)
        self._actions[fault] = action
        return fault

    def fail(self, where: Where, error: Error, *, times: int | None = 1, after: bool = False) -> Fault:
        """Fail with an error: a StatusError as the server answers with it, anything else (ConnectionError) as transports raise it.

        With `after`, the server has acted before.
        """

        async def action(call: Call, forward: Forward) -> Response:
            if after:
                await forward(call.request)
            raise error if isinstance(error, BaseException) else error(call)

        return self.intercept(where, action, times=times)

    def lose_answers(self, where: Where, *, times: int | None = 1, seconds: float = 0.0) -> Fault:
        """Let the server act while the client waits for an answer in vain, and gives up after `seconds`."""

        async def action(call: Call, forward: Forward) -> Response:
            await forward(call.request)
            await self.clock.sleep(seconds)
            raise ConnectionError("the answer was lost")

        return self.intercept(where, action, times=times)

    def conflict(self, where: Where, *, times: int | None = 1) -> Fault:
        """Refuse writes as if somebody else had changed the object since it was read."""
        return self.fail(where, lambda call: Conflict.modified(call.resource, call.name, group=call.group), times=times)

    def delay(self, where: Where, *, seconds: float, times: int | None = 1, after: bool = False) -> Fault:
        """Let requests (with `after`, their answers) arrive late."""

        async def action(call: Call, forward: Forward) -> Response:
            if not after:
                await self.clock.sleep(seconds)
                return await forward(call.request)
            response = await forward(call.request)
            await self.clock.sleep(seconds)
            return response

        return self.intercept(where, action, times=times)

    def before(self, where: Where, act: Callable[[], Any], *, times: int | None = 1) -> Fault:
        """Call `act`, which may be a coroutine function, just before a request reaches the server: somebody else was faster."""

        async def action(call: Call, forward: Forward) -> Response:
            result = act()
            if isinstance(result, Awaitable):
                await result
            return await forward(call.request)

        return self.intercept(where, action, times=times)

    def answer(self, where: Where, answer: Callable[[Call], Response], *, times: int | None = None) -> Fault:
        """Answer in place of the server, for what no server would say (broken gateways, strange streams)."""

        async def action(call: Call, forward: Forward) -> Response:
            return answer(call)

        return self.intercept(where, action, times=times)

    def stale_reads(self, where: Where = "read *", *, revision: int | None = None, times: int | None = None) -> Fault:
        """Serve gets and lists as of a revision (by default that of now): what a cache shows that lags behind. Watches go on from there.

        Raises ValueError without a revision where that of the server is not known.
        """
        past = self._revision() if revision is None and self._revision is not None else revision
        if past is None:
            raise ValueError("stale_reads: say as of which revision")

        async def action(call: Call, forward: Forward) -> Response:
            return await read_at(past, call, forward)

        return self.intercept(where, action, times=times)

    def randomly(self, rng: random.Random, chances: Chances | None = None, where: Where = "*") -> Fault:
        """Let requests and events of watches fail by chance, the same way for the same seed, until it is stopped.

        Its `count` is that of the decisions.
        """
        dice = Dice(rng, chances or Chances(), self.clock)
        fault = self.intercept(where, dice.request, times=None)
        self._changes[fault] = dice.event
        return fault

    # Watches

    def hold_events(self, where: Where = "watch") -> Fault:
        """Hold the events of watches back; when it stops, they arrive."""
        fault = Fault(where, None, self._drop)
        self._holds[fault] = None
        return fault

    def lose_events(self, where: Where = "watch", *, times: int | None = 1) -> Fault:
        """Let the next events of watches vanish. A server's watches never do that; a loop that comes round again survives it."""
        return self._change(where, lambda watch, line: [], times=times)

    def repeat_events(self, where: Where = "watch", *, times: int | None = 1) -> Fault:
        """Let the next events of watches arrive twice."""
        return self._change(where, lambda watch, line: [line, line], times=times)

    def reorder_events(self, where: Where = "watch", *, times: int | None = 1) -> Fault:
        """Let the next events of watches arrive after those that follow them."""

        def postpone(watch: WatchStream, line: bytes) -> list[bytes]:
            watch.postpone(line)
            return []

        return self._change(where, postpone, times=times)

    def end_watches(self, where: Where = "watch", *, error: BaseException | None = None) -> None:
        """End the open watches: as servers do now and then, or with an error as broken connections."""
        for watch in self._open(where):
            watch.end(error)

    def stall_watches(self, where: Where = "watch") -> None:
        """Let the open watches go dead: nothing more ever arrives on them, not even their end."""
        for watch in self._open(where):
            watch.stall()

    def expire_watches(self, where: Where = "watch") -> None:
        """End the open watches with 410: the server has forgotten the history that they need."""
        error = Gone("The resourceVersion for the provided watch is too old.")
        for watch in self._open(where):
            watch.push(b'{"type":"ERROR","object":%b}' % msgspec.json.encode(error.status()))
            watch.end()

    def _open(self, where: Where) -> list[WatchStream]:
        matches = matcher(where)
        return [watch for watch in self.watches if matches(watch.call)]

    def _change(self, where: Where, change: Callable[[WatchStream, bytes], list[bytes]], *, times: int | None) -> Fault:
        fault = Fault(where, times, self._drop)
        self._changes[fault] = change
        return fault

    def _drop(self, fault: Fault) -> None:
        self._actions.pop(fault, None)
        self._changes.pop(fault, None)
        if fault in self._holds:
            del self._holds[fault]
            for watch in self.watches:
                watch.wake()

    # What transports do

    async def send(self, request: Request, forward: Forward) -> Response:
        """Send a request, or have it fail."""
        call = call_of(request)
        self.calls.append(call)
        if self._down:
            raise ConnectionError("the API server cannot be reached")
        for fault in reversed(self._actions):
            forward = self._link(fault, call, forward)
        try:
            response = await forward(request)
        except StatusError as error:
            return render.failure(error, request)
        if call.verb == "watch" and response.stream is not None:
            watch = WatchStream(call, response.stream, alter=self._alter, held=self._is_held, on_close=self._forget)
            self.watches.append(watch)
            return msgspec.structs.replace(response, stream=watch)
        return response

    def _link(self, fault: Fault, call: Call, forward: Forward) -> Forward:
        action = self._actions[fault]

        async def send(request: Request) -> Response:
            if fault.happens(call):
                return await action(replace(call, request=request), forward)
            return await forward(request)

        return send

    def _alter(self, watch: WatchStream, line: bytes) -> list[bytes]:
        lines = [line]
        for fault, change in tuple(self._changes.items()):
            lines = [after for line in lines for after in (change(watch, line) if fault.happens(watch.call) else [line])]
        return lines

    def _is_held(self, call: Call) -> bool:
        return any(hold.concerns(call) for hold in self._holds)

    def _forget(self, watch: WatchStream) -> None:
        if watch in self.watches:
            self.watches.remove(watch)


class FaultyTransport:
    """Transport of a client to whom faults happen."""

    def __init__(self, transport: Transport, faults: Faults) -> None:
        self._transport = transport
        self._faults = faults

    async def request(self, request: Request) -> Response:
        """Send a request through what goes wrong."""
        return await self._faults.send(request, self._transport.request)

    async def close(self) -> None:
        """Close the transport behind it."""
        await self._transport.close()
