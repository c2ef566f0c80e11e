"""Queue between events and reconciles: each key is queued once, one worker at a time processes it, and failures delay it.

A key added while a worker has it is queued again when the worker is done with it, so nothing that happened during the work is missed.
The behavior and the numbers are those of client-go's work queue.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Callable, Hashable, Iterable
from typing import Any, Generic, TypeVar
from weakref import WeakSet

from tiphys.aio.backoff import BackoffPolicy
from tiphys.aio.clock import Clock, LoopClock
from tiphys.obs import metrics

K = TypeVar("K", bound=Hashable)

RATE = BackoffPolicy(first=0.005, cap=1000.0)
"""Delay of a key after each failure in a row: 5 ms, 10 ms, ... 1000 s."""

BUCKETS = metrics.exponential(1e-8, 10, 10)
DEPTH = metrics.gauge("workqueue_depth", "Keys that wait for a worker.", "name", stability="BETA")
ADDS = metrics.counter("workqueue_adds_total", "Keys that were added.", "name", stability="BETA")
RETRIES = metrics.counter("workqueue_retries_total", "Keys that were added again after a failure.", "name", stability="BETA")
WAITED = metrics.histogram(
    "workqueue_queue_duration_seconds", "Time that keys wait, in seconds.", "name", buckets=BUCKETS, stability="BETA"
)
WORKED = metrics.histogram(
    "workqueue_work_duration_seconds", "Time that keys are worked on, in seconds.", "name", buckets=BUCKETS, stability="BETA"
)
_QUEUES: WeakSet[WorkQueue[Any]] = WeakSet()
"""Open queues, for metrics computed at scrape time."""


def _working(of: Callable[[Iterable[float]], float]) -> metrics.Samples:
    """Return an aggregate of the seconds for which each queue's workers have been processing their keys."""
    return [((queue.name,), of(queue.running)) for queue in _QUEUES]


metrics.collected(
    "workqueue_unfinished_work_seconds", "gauge", "Seconds of work in progress, summed over its keys.", "name",
    read=lambda: _working(sum), stability="BETA",
)  # fmt: skip
metrics.collected(
    "workqueue_longest_running_processor_seconds", "gauge", "Seconds that the key has which is worked on for longest.", "name",
    read=lambda: _working(lambda seconds: max(seconds, default=0.0)), stability="BETA",
)  # fmt: skip


SHORTEST = 0.001
"""Shortest delay in seconds. Less is what rounding leaves of a wait that is over: it may end at the very moment at which it began."""


class WorkQueue(Generic[K]):
    """See the module. Everything but `get` and `close` is synchronous; the owner must `close` it."""

    def __init__(self, name: str = "", *, clock: Clock | None = None, rate: BackoffPolicy = RATE, rng: random.Random | None = None) -> None:
        self.name = name
        self._clock = clock or LoopClock()
        self._rate = rate
        self._rng = rng
        self._ready: asyncio.Queue[K] = asyncio.Queue()
        self._dirty: dict[K, float] = {}
        """Keys waiting for a worker, with the time they were queued."""
        self._working: dict[K, float] = {}
        """Keys that workers are processing, with the time they started."""
        self._failures: dict[K, int] = {}
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._serial = 0
        self._timer: asyncio.Task[None] | None = None
        self._timer_due = 0.0
        self._closed = False
        _QUEUES.add(self)
        for family in (ADDS, RETRIES):
            family.labels(name)  # They begin at 0, so that rates know of the first.

    @property
    def running(self) -> list[float]:
        """Seconds for which workers have been processing each of their keys."""
        now = self._clock.monotonic()
        return [now - started for started in self._working.values()]

    def __len__(self) -> int:
        """Return the number of queued keys, without delayed ones."""
        return len(self._dirty)

    @property
    def delayed(self) -> int:
        """Number of delayed keys."""
        return len(self._due)

    @property
    def idle(self) -> bool:
        """True if no key is queued or being processed."""
        return not self._dirty and not self._working

    def add(self, key: K) -> None:
        """Queue a key, unless it is queued already."""
        if self._closed or key in self._dirty:
            return
        ADDS.labels(self.name).inc()
        self._dirty[key] = self._clock.monotonic()
        if key not in self._working:
            self._ready.put_nowait(key)
        DEPTH.labels(self.name).set(len(self._dirty))

    def add_after(self, key: K, seconds: float) -> None:
        """Queue a key later. Of several calls the earliest time wins."""
        if self._closed:
            return
        if seconds <= 0:
            self.add(key)
            return
        due = self._clock.monotonic() + max(seconds, SHORTEST)
        known = self._due.get(key)
        if known is not None and known <= due:
            return
        self._due[key] = due
        self._serial += 1
        heapq.heappush(self._heap, (due, self._serial, key))
        self._arm()

    def add_rate_limited(self, key: K, *, at_least: float = 0.0) -> float:
        """Queue a key after a failure; the delay grows with each until `forget`. Returns the delay in seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = max(self._rate.delay(failures, self._rng), at_least)
        RETRIES.labels(self.name).inc()
        self.add_after(key, delay)
        return delay

    def failures(self, key: K) -> int:
        """Return the number of consecutive failures of a key."""
        return self._failures.get(key, 0)

    def forget(self, key: K) -> None:
        """Clear the failures of a key: its next failure counts as the first."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """Return the next key to process; call `done` afterwards, whatever the outcome."""
        key = await self._ready.get()
        now = self._clock.monotonic()
        WAITED.labels(self.name).observe(max(now - self._dirty.pop(key), 0.0))
        self._working[key] = now
        DEPTH.labels(self.name).set(len(self._dirty))
        return key

    def done(self, key: K) -> None:
        """Release a key that a worker has finished."""
        started = self._working.pop(key)
        WORKED.labels(self.name).observe(max(self._clock.monotonic() - started, 0.0))
        if key in self._dirty:
            self._ready.put_nowait(key)

    async def close(self) -> None:
        """Accept no more keys and stop the timer. Workers are the owner's to cancel."""
        self._closed = True
        _QUEUES.discard(self)
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
            await asyncio.wait([timer])

    def _arm(self) -> None:
        """Set the timer to the time of the first delayed key."""
        if not self._heap or self._closed:
            return
        first = self._heap[0][0]
        if self._timer is not None:
            if self._timer_due <= first:
                return
            self._timer.cancel()
        self._timer_due = first
        self._timer = asyncio.get_running_loop().create_task(self._fire(first), name=f"queue {self.name} timer")

    async def _fire(self, due: float) -> None:
        await self._clock.sleep(due - self._clock.monotonic())
        self._timer = None
        # The timer's own moment counts as now, lest rounding makes it wake again and again just before.
        now = max(self._clock.monotonic(), due)
        while self._heap and self._heap[0][0] <= now:
            at, _, key = heapq.heappop(self._heap)
            # An entry that an earlier time replaced is stale.
            if self._due.get(key) == at:
                del self._due[key]
                self.add(key)
        self._arm()
