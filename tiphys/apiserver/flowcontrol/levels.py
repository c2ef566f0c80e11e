"""Priority levels: seats, queues, and the order of waiting requests. No clock and no event loop in here."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from tiphys.api.flowcontrol import v1 as flow
from tiphys.apiserver.flowcontrol.match import deal

Reason = Literal["concurrency-limit", "queue-full", "time-out", "cancelled"]
WAIT_BUCKETS = (0.0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0)
MOST_WRITES = 32
"""Writes of one flow that are under way at once: enough for the store to commit in large groups."""
WIDEST_PART = 0.15
"""No request takes more than this part of its level's seats."""


class Lane:
    """Counters of one flow schema at its level."""

    __slots__ = ("dispatched", "executing", "level", "rejected", "schema", "seats", "uid", "wait_seconds", "waited", "waiting", "widths")

    def __init__(self, schema: str, uid: str, level: Level) -> None:
        self.schema = schema
        self.uid = uid
        self.level = level
        self.dispatched = 0
        self.executing = 0
        self.seats = 0
        self.waiting = 0
        self.waited = [0] * (len(WAIT_BUCKETS) + 1)
        self.wait_seconds = 0.0
        self.rejected: dict[Reason, int] = {}
        self.widths: dict[int, int] = {}
        """Number of requests that took several seats, by their number of seats."""


class Flow:
    """Requests that wait for each other: those of one user, or in one namespace, under one schema."""

    __slots__ = ("hand", "headers", "json_headers", "lane", "level", "name", "pace", "spent", "turn", "waiting", "writing")

    def __init__(self, lane: Lane, name: str, json_headers: dict[str, str]) -> None:
        self.lane = lane
        self.level = lane.level
        self.name = name
        self.hand = lane.level.hand_of(lane.schema, name)
        self.turn = 0
        self.spent = 0.0
        """Seconds of the event loop that it has had in its turn."""
        self.waiting = 0
        self.writing = 0
        """Writes under way. They come back from the store together, so there must not be many of one flow."""
        self.pace = 1.0
        """Ratio of the duration of its requests to the expected one."""
        self.headers = {"X-Kubernetes-PF-FlowSchema-UID": lane.uid, "X-Kubernetes-PF-PriorityLevel-UID": lane.level.uid}
        self.json_headers = {**json_headers, **self.headers}


class Waiting:
    """A request in a queue. `turn` is resolved when it may go on."""

    __slots__ = ("arrived", "cost", "flow", "granted", "queue", "seats", "turn", "what", "writes")

    def __init__(self, flow_: Flow, seats: int, cost: float, arrived: float, turn: Any, what: Any, writes: bool = False) -> None:
        self.flow = flow_
        self.seats = seats
        self.cost = cost
        self.arrived = arrived
        self.turn = turn
        self.what = what
        self.writes = writes
        self.granted = False
        self.queue: Queue | None = None


class Queue:
    """Requests of the flows that were dealt this queue. `progress` is the time that it has had, in seconds."""

    __slots__ = ("index", "progress", "requests")

    def __init__(self, index: int) -> None:
        self.index = index
        self.requests: deque[Waiting] = deque()
        self.progress = 0.0


class Level:
    """A priority level: so many seats, and queues for who finds none."""

    def __init__(self, config: flow.PriorityLevelConfiguration) -> None:
        self.name = config.metadata.name
        self.in_use = 0
        self.sending = 0
        """Of the seats in use, those of requests that have been answered and whose large answers are going out."""
        self.executing = 0
        self.waiting = 0
        self.waiting_seats = 0
        self.dispatched = 0
        self.rejected: dict[Reason, int] = {}
        self.unaccommodated = 0
        self.progress = 0.0
        """Position of the level among the levels, in seconds of the loop per seat."""
        self.queues_progress = 0.0
        self.reserved = 0
        """Seats reserved for the next in line while too few are free."""
        self.quiescing = False
        self.nominal = self.lower = self.upper = 0
        self._active: dict[int, Queue] = {}
        self.configure(config)

    def configure(self, config: flow.PriorityLevelConfiguration) -> None:
        """Take a new configuration. Those who wait are dealt into the new queues by `requeue`."""
        spec = config.spec
        self.uid = config.metadata.uid
        self.is_exempt = spec.type == "Exempt"
        shares: flow.LimitedPriorityLevelConfiguration | flow.ExemptPriorityLevelConfiguration
        shares = (spec.exempt or flow.ExemptPriorityLevelConfiguration()) if self.is_exempt else (
            spec.limited or flow.LimitedPriorityLevelConfiguration()
        )  # fmt: skip
        queuing = spec.limited.limitResponse.queuing if spec.limited is not None and not self.is_exempt else None
        self.shares = shares.nominalConcurrencyShares or 0
        self.lendable = shares.lendablePercent or 0
        self.borrowing = spec.limited.borrowingLimitPercent if spec.limited is not None else None
        self.rejects = queuing is None and not self.is_exempt
        self.queues = queuing.queues if queuing is not None else 64
        self.hand = queuing.handSize if queuing is not None else 6
        self.length = queuing.queueLengthLimit if queuing is not None else 0

    def set_seats(self, total: int, all_shares: int) -> None:
        """Work out the limits: the nominal one, and how far lending and borrowing may take it."""
        self.nominal = math.ceil(total * self.shares / all_shares) if all_shares else 0
        self.lower = self.nominal - round(self.nominal * self.lendable / 100)
        self.upper = total if self.borrowing is None else self.nominal + round(self.nominal * self.borrowing / 100)
        self.widest = max(1, min(math.ceil(self.nominal * WIDEST_PART), self.nominal // self.hand))

    def hand_of(self, schema: str, name: str) -> tuple[int, ...]:
        return deal(schema, name, self.queues, self.hand)

    # --- queues ---

    def is_full(self, flow_: Flow) -> bool:
        """Return whether there is no room in any of a flow's queues."""
        if not self.length:
            return False
        active = self._active
        return all(index in active and len(active[index].requests) >= self.length for index in flow_.hand)

    def enqueue(self, waiting: Waiting) -> int:
        """Put a request into the shortest of its flow's queues; returns how many are in it now."""
        active, shortest = self._active, -1
        best: Queue | None = None
        for index in waiting.flow.hand:
            queue = active.get(index)
            if queue is None:
                queue = active[index] = best = Queue(index)
                # Time in which it asked for nothing is not saved up.
                queue.progress = self.queues_progress
                break
            if shortest < 0 or len(queue.requests) < shortest:
                best, shortest = queue, len(queue.requests)
        assert best is not None
        best.requests.append(waiting)
        waiting.queue = best
        self.waiting += 1
        self.waiting_seats += waiting.seats
        waiting.flow.waiting += 1
        waiting.flow.lane.waiting += 1
        return len(best.requests)

    def _left(self, waiting: Waiting, queue: Queue) -> None:
        self.waiting -= 1
        self.waiting_seats -= waiting.seats
        waiting.flow.waiting -= 1
        waiting.flow.lane.waiting -= 1
        waiting.queue = None
        if not queue.requests:
            del self._active[queue.index]

    def head(self, *, narrow: bool = False) -> Waiting | None:
        """Pick the request to run next: the first of the queue that has had the least, and whose flow has not too many writes under way.

        `narrow` looks only at queues whose first takes at most one seat.
        """
        best: Queue | None = None
        for queue in self._active.values():
            first = queue.requests[0]
            if narrow and first.seats > 1:
                continue
            if first.writes and first.flow.writing >= MOST_WRITES:
                continue
            if best is None or (queue.progress, first.arrived) < (best.progress, best.requests[0].arrived):
                best = queue
        return None if best is None else best.requests[0]

    def pop(self, waiting: Waiting) -> None:
        """Take out the one that `head` named: its queue has had its cost."""
        queue = waiting.queue
        assert queue is not None
        queue.requests.popleft()
        self.queues_progress = max(self.queues_progress, queue.progress)
        queue.progress += waiting.cost * waiting.flow.pace
        self._left(waiting, queue)

    def remove(self, waiting: Waiting) -> None:
        """Take out one that waits no longer."""
        queue = waiting.queue
        if queue is not None:
            queue.requests.remove(waiting)
            self._left(waiting, queue)

    def requeue(self) -> None:
        """Deal the waiting requests into queues again, in the order of their arrival."""
        everyone = sorted(self.everyone(), key=lambda waiting: waiting.arrived)
        for waiting in everyone:
            self.remove(waiting)
        for waiting in everyone:
            self.enqueue(waiting)

    def everyone(self) -> list[Waiting]:
        """All who wait."""
        return [waiting for queue in self._active.values() for waiting in queue.requests]

    def active(self) -> Iterator[Queue]:
        """The queues with waiting requests, by number."""
        for index in sorted(self._active):
            yield self._active[index]

    def taken(self, seats: int) -> int:
        """Seats in use for a request that takes `seats`: answers that are going out hold memory, which one seat's requests do not need."""
        return self.in_use if seats > 1 else self.in_use - self.sending

    @property
    def is_idle(self) -> bool:
        return not self.waiting and not self.executing


def share_seats(levels: Sequence[Level], total: int) -> None:
    """Give every level its part of the server's seats."""
    shares = sum(level.shares for level in levels)
    for level in levels:
        level.set_seats(total, shares)
