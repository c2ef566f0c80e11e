"""Growing delays between attempts. Pure: randomness is an argument, and waiting is up to the caller."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BackoffPolicy:
    """Delay number n (from 0) is `first * factor**n` seconds, at most `cap`, stretched by a random share of up to `jitter`."""

    first: float
    cap: float
    factor: float = 2.0
    jitter: float = 0.0

    def delay(self, tries: int, rng: random.Random | None = None) -> float:
        """Return the seconds to wait after `tries` failures before this one."""
        # Powers overflow long before anyone waits that often.
        grown = self.first * self.factor ** min(tries, 64)
        delay = min(grown, self.cap)
        if self.jitter and rng is not None:
            delay *= 1 + self.jitter * rng.random()
        return delay


class Backoff:
    """Policy with a count of the attempts since the last success."""

    def __init__(self, policy: BackoffPolicy, rng: random.Random | None = None) -> None:
        self.policy = policy
        self.tries = 0
        self._rng = rng

    def next(self) -> float:
        """Return the seconds to wait now."""
        delay = self.policy.delay(self.tries, self._rng)
        self.tries += 1
        return delay

    def reset(self) -> None:
        """Start again with the first delay."""
        self.tries = 0
