"""Faults by chance, for property tests: the same generator gives the same faults."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tiphys.aio.clock import Clock
from tiphys.api.machinery.errors import Conflict, ServiceUnavailable, TooManyRequests
from tiphys.testing.calls import Call
from tiphys.testing.watch_stream import WatchStream
from tiphys.wire.http import Request, Response


@dataclass(frozen=True)
class Chances:
    """Probabilities of faults, from 0 to 1, of each request or event of a watch."""

    unreachable: float = 0.05
    """The request does not arrive."""
    lost_answer: float = 0.05
    """The server acts, and the client sees a broken connection."""
    unavailable: float = 0.03
    """503: the server is starting, or has lost its store."""
    busy: float = 0.02
    """429 with a second to wait."""
    conflict: float = 0.05
    """409 to an update or a patch, as if somebody else had written."""
    late: float = 0.1
    """The request arrives up to `late_seconds` later."""
    late_seconds: float = 5.0
    ended: float = 0.02
    """After the event, the watch ends."""
    broken: float = 0.02
    """After the event, the connection of the watch breaks."""
    repeated: float = 0.05
    """The event arrives twice."""
    lost: float = 0.0
    """The event does not arrive. No server does that, so it is off."""
    reordered: float = 0.0
    """The event arrives after the one that follows it. No server does that, so it is off."""


class Dice:
    """Decides for each request and event."""

    def __init__(self, rng: random.Random, chances: Chances, clock: Clock) -> None:
        self._rng = rng
        self._chances = chances
        self._clock = clock

    async def request(self, call: Call, forward: Callable[[Request], Awaitable[Response]]) -> Response:
        """Send a request, or let it fail."""
        chances, happens = self._chances, self._happens
        if happens(chances.late):
            await self._clock.sleep(self._rng.uniform(0.0, chances.late_seconds))
        if happens(chances.unreachable):
            raise ConnectionError("the API server cannot be reached")
        if happens(chances.unavailable):
            raise ServiceUnavailable("the API server is starting")
        if happens(chances.busy):
            raise TooManyRequests("too many requests, please try again later", retry_after=1)
        if call.verb in ("update", "patch") and happens(chances.conflict):
            raise Conflict.modified(call.resource, call.name, group=call.group)
        lost = happens(chances.lost_answer) and call.verb != "watch"
        response = await forward(call.request)
        if lost:
            raise ConnectionError("the answer was lost")
        return response

    def event(self, watch: WatchStream, line: bytes) -> list[bytes]:
        """Return what arrives in place of an event."""
        chances, happens = self._chances, self._happens
        if happens(chances.ended):
            watch.end()
        if happens(chances.broken):
            watch.end(ConnectionError("the connection broke"))
        if happens(chances.lost):
            return []
        if happens(chances.reordered):
            watch.postpone(line)
            return []
        return [line, line] if happens(chances.repeated) else [line]

    def _happens(self, chance: float) -> bool:
        return self._rng.random() < chance
