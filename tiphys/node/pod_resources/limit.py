"""A limit on the rate of requests. Pure: the time is an argument."""

from __future__ import annotations


class RateLimit:
    """A bucket of `burst` tokens that fills at `rate` tokens a second; a request takes one."""

    def __init__(self, rate: float, burst: int, *, now: float) -> None:
        self.rate = rate
        self.burst = burst
        self._tokens = float(burst)
        self._at = now

    def take(self, now: float) -> bool:
        """Take a token at a time in seconds; False if there is none."""
        self._tokens = min(self._tokens + (now - self._at) * self.rate, self.burst)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
