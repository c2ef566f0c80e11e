"""Transport that bounds the rate of requests, as `--kube-api-qps` and `--kube-api-burst` of upstream's components ask for."""

from __future__ import annotations

from tiphys.aio.clock import Clock
from tiphys.wire.http import Request, Response, Transport


class LimitedTransport:
    """Transport with a token bucket: `burst` requests at once, `rate` requests per second in the long run.

    Requests beyond it wait, in their order. Raises ValueError for a rate or a burst that lets nothing through.
    """

    def __init__(self, inner: Transport, *, rate: float, burst: int, clock: Clock) -> None:
        if rate <= 0 or burst < 1:
            raise ValueError(f"a rate of {rate:g} requests per second and a burst of {burst} let no request through")
        self._inner = inner
        self._interval = 1 / rate
        self._slack = (burst - 1) * self._interval
        self._clock = clock
        self._next = clock.monotonic() - self._slack
        """Moment at which the next request of a steady flow is due."""

    async def request(self, request: Request) -> Response:
        """Wait for a turn and send. Raises ConnectionError as the transport does."""
        now = self._clock.monotonic()
        due = max(self._next, now - self._slack)
        self._next = due + self._interval
        if due > now:
            await self._clock.sleep(due - now)
        return await self._inner.request(request)

    async def close(self) -> None:
        await self._inner.close()
