"""Transports that bound the rate of requests, and that act under service accounts."""

from __future__ import annotations

import asyncio

import pytest

from tiphys.aio.clock import VirtualClock
from tiphys.client.limited import LimitedTransport
from tiphys.wire.http import Request, Response

pytestmark = pytest.mark.looptime


class Sink:
    """Transport that notes when requests come."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.began = self.clock.monotonic()
        self.at: list[tuple[str, float]] = []

    async def request(self, request: Request) -> Response:
        self.at.append((request.path, round(self.clock.monotonic() - self.began, 3)))
        return Response()

    async def close(self) -> None: ...


async def test_a_burst_goes_at_once_and_the_rest_at_the_rate() -> None:
    sink = Sink()
    limited = LimitedTransport(sink, rate=10, burst=3, clock=sink.clock)
    await asyncio.gather(*(limited.request(Request("GET", f"/{number}")) for number in range(6)))
    assert sink.at == [("/0", 0.0), ("/1", 0.0), ("/2", 0.0), ("/3", 0.1), ("/4", 0.2), ("/5", 0.3)]
    await sink.clock.sleep(60)
    sink.at.clear()
    sink.began = sink.clock.monotonic()
    await asyncio.gather(*(limited.request(Request("GET", f"/{number}")) for number in range(4)))
    assert [at for _, at in sink.at] == [0.0, 0.0, 0.0, 0.1], "silence saves no more than a burst"


@pytest.mark.parametrize(("rate", "burst"), [(0.0, 1), (-1.0, 1), (1.0, 0)])
async def test_limits_that_let_nothing_through_are_refused(rate: float, burst: int) -> None:
    with pytest.raises(ValueError, match="let no request through"):
        LimitedTransport(Sink(), rate=rate, burst=burst, clock=VirtualClock())
