"""Priority and fairness on one event loop: seats, and turns of the loop.

    request > flow_of (remembered) > enter: a seat is free and the flow has time left in this turn > run > leave
                                     else wait in a queue until the pump grants a turn, or TooManyRequests

Seats bound what is under way; on one loop they do not bound who gets the processor, since most requests are answered in the callback that
received them. So a flow runs for `SHARE_SECONDS` in a turn of the loop, all flows together for `TURN_SECONDS`; what comes beyond that waits
in its queue. The pump grants so much of what waits that it takes `PUMP_SECONDS`, then sockets are read again, and a client that asks for
little is answered at once.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Any

from tiphys.aio.clock import Clock, LoopClock
from tiphys.api.flowcontrol import v1 as flow
from tiphys.api.helpers.flow_levels import (
    CATCH_ALL,
    MANDATORY_LEVELS,
    MANDATORY_SCHEMAS,
    SUGGESTED_LEVELS,
    SUGGESTED_SCHEMAS,
)
from tiphys.api.machinery.errors import TooManyRequests
from tiphys.apiserver.auth.user import User
from tiphys.apiserver.chain.routes import RequestInfo
from tiphys.apiserver.flowcontrol.levels import MOST_WRITES, WAIT_BUCKETS, Flow, Lane, Level, Reason, Waiting, share_seats
from tiphys.apiserver.flowcontrol.match import distinguisher, matches
from tiphys.apiserver.flowcontrol.work import WRITE, Work
from tiphys.wire.http import Request, Response

SHARE_SECONDS = 0.004
TURN_SECONDS = 0.012
PUMP_SECONDS = 0.003
MARK_SECONDS = 0.0005
"""A turn's end is noticed by a callback, and that is worth its price only when this much was done in the turn."""
WAIT_SECONDS = 15.0
SWEEP_SECONDS = 1.0
CONNECTION_SECONDS = 0.00004
"""TLS and HTTP of one request, which are done outside its handler."""
HELD_FROM = 512 << 10
HELD_SECONDS = 15.0
"""Answers larger than `HELD_FROM` bytes keep their seats until they are sent, or their reader is slow, but no longer than this."""
MOST_UNSENT = 16 << 20
"""Bytes of large answers that are going out beyond which none is begun: a list is made faster than it is sent."""
BYTE_SECONDS = 1.5e-9
MAX_REMEMBERED = 8192
MAX_RETRY_AFTER = 32
TOO_MANY = "Too many requests, please try again later."


Call = tuple[Request, RequestInfo, User]


class Fairness:
    """Decides for every request whether it runs, waits or is refused."""

    def __init__(self, *, seats: int, json_headers: Mapping[str, str], clock: Clock | None = None) -> None:
        self.clock = clock or LoopClock()
        self._seats = seats
        self._json_headers = dict(json_headers)
        self._levels: dict[str, Level] = {}
        self._schemas: list[tuple[flow.FlowSchema, Lane]] = []
        self._lanes: dict[tuple[str, str], Lane] = {}
        self._flows: dict[tuple[str, str], Flow] = {}
        self._remembered: dict[tuple[Any, ...], Flow] = {}
        self._dropped: dict[str, _Drops] = {}
        self._turn = 1
        self._spent = 0.0
        self._marked = False
        self._pumping = False
        self._waiting = 0
        self._sweeper: asyncio.TimerHandle | None = None
        self._progress = 0.0
        self.unsent = 0
        """Bytes of large answers that are going out; those that several clients are sent count once."""
        self._unsent: dict[int, int] = {}
        self.writing = 0
        """Requests that run and write."""
        self.dangling: dict[str, bool] = {}
        """True for each schema that names a missing level."""
        self.configure((*MANDATORY_SCHEMAS.values(), *SUGGESTED_SCHEMAS.values()), (*MANDATORY_LEVELS.values(), *SUGGESTED_LEVELS.values()))

    # --- configuration ---

    def configure(self, schemas: Iterable[flow.FlowSchema], levels: Iterable[flow.PriorityLevelConfiguration]) -> None:
        """Take the objects as they are now. What is mandatory is there even when its object is not."""
        desired = {**MANDATORY_LEVELS, **{level.metadata.name: level for level in levels}}
        for name, config in desired.items():
            known = self._levels.get(name)
            if known is None:
                self._levels[name] = Level(config)
            else:
                known.configure(config)
                known.quiescing = False
        for name, level in tuple(self._levels.items()):
            if name not in desired:
                level.quiescing = True
                level.shares = 0
                if level.is_idle:
                    del self._levels[name]
        share_seats(tuple(self._levels.values()), self._seats)
        every = {**MANDATORY_SCHEMAS, **{schema.metadata.name: schema for schema in schemas}}
        ordered = sorted(every.values(), key=lambda schema: (schema.spec.matchingPrecedence, schema.metadata.name))
        self.dangling = {schema.metadata.name: schema.spec.priorityLevelConfiguration.name not in desired for schema in ordered}
        self._schemas = [(schema, self._lane(schema)) for schema in ordered if not self.dangling[schema.metadata.name]]
        self._flows.clear()
        self._remembered.clear()
        for level in self._levels.values():
            for waiting in level.everyone():
                waiting.flow.hand = level.hand_of(waiting.flow.lane.schema, waiting.flow.name)
            level.requeue()
        self._pump_soon()

    def _lane(self, schema: flow.FlowSchema) -> Lane:
        name, level = schema.metadata.name, schema.spec.priorityLevelConfiguration.name
        lane = self._lanes.get((name, level))
        if lane is None or lane.level is not self._levels[level]:
            lane = self._lanes[name, level] = Lane(name, "", self._levels[level])
        lane.uid = schema.metadata.uid
        return lane

    def lanes(self) -> Iterable[Lane]:
        """Return the counters, by schema and level."""
        return self._lanes.values()

    def levels(self) -> Iterable[Level]:
        """The priority levels, by name."""
        return [self._levels[name] for name in sorted(self._levels)]

    # --- classification ---

    def flow_of(self, user: User, info: RequestInfo) -> Flow:
        """The flow of a request."""
        if info.is_resource:
            namespace = info.namespace
            if info.resource == "namespaces" and not info.group:
                namespace = info.name
            key: tuple[Any, ...] = (user.name, user.groups, info.verb, info.resource, namespace, info.group, info.subresource)
        else:
            key = (user.name, user.groups, info.verb, info.path)
        flow = self._remembered.get(key)
        return flow if flow is not None else self._classify(key, user, info)

    def _classify(self, key: tuple[Any, ...], user: User, info: RequestInfo) -> Flow:
        # A namespace is in itself.
        namespace = info.name if info.resource == "namespaces" and not info.group else info.namespace
        catch_all = next(pair for pair in self._schemas if pair[0].metadata.name == CATCH_ALL)
        schema, lane = next((pair for pair in self._schemas if matches(pair[0], user, info, namespace)), catch_all)
        # Exempt requests never wait for a seat, but one of them may wait for another's turn.
        name = user.name if lane.level.is_exempt else distinguisher(schema, user, namespace)
        flow_ = self._flows.get((lane.schema, name))
        if len(self._remembered) >= MAX_REMEMBERED:
            self._remembered.clear()
            self._flows.clear()
        if flow_ is None:
            flow_ = self._flows[lane.schema, name] = Flow(lane, name, self._json_headers)
        self._remembered[key] = flow_
        return flow_

    # --- running ---

    def enter(self, flow_: Flow, seats: int, writes: bool = False) -> bool:
        """Return whether a request may run at once; then it has its seats until `leave`."""
        level = flow_.level
        if flow_.turn != self._turn:
            flow_.turn = self._turn
            flow_.spent = 0.0
        elif flow_.spent >= SHARE_SECONDS:
            return False
        if flow_.waiting or self._spent >= TURN_SECONDS:
            return False
        in_use = level.in_use + seats
        crowded = in_use + level.reserved > level.nominal or (seats > 1 and self.unsent > MOST_UNSENT)
        if crowded and not level.is_exempt and not self._has_room(level, seats, level.reserved):
            return False
        if writes:
            if flow_.writing >= MOST_WRITES:
                return False
            flow_.writing += 1
            self.writing += 1
        level.in_use = in_use
        level.executing += 1
        lane = flow_.lane
        lane.dispatched += 1
        lane.executing += 1
        lane.seats += seats
        return True

    def _has_room(self, level: Level, seats: int, reserved: int = 0) -> bool:
        """Return whether a level has seats for a request beside those in use and reserved: its nominal ones, and those that others lend.

        Others lend the seats that they neither use nor must keep.
        """
        if not seats or level.is_exempt:
            return True
        if seats > 1 and self.unsent > MOST_UNSENT:
            return False
        taken = level.taken(seats) + reserved + seats
        if taken <= level.nominal:
            return True
        if taken > level.upper:
            return False
        kept = sum(max(other.taken(seats), other.lower) for other in self._levels.values() if other is not level and not other.is_exempt)
        return kept + taken <= self._seats

    def done(self, flow_: Flow, seats: int, work: Work, seconds: float, request: Request, response: Response, *, waited: bool) -> None:
        """A request has been answered after `seconds` of the loop: charge for it, and give its seats back when the answer is on its way."""
        if request.connection is None:
            self.leave(flow_, seats, work is WRITE)
        else:
            seconds += CONNECTION_SECONDS
            size = len(response.body)
            if (size > HELD_FROM and work is not WRITE) or (response.stream is not None and seats > 1):
                seconds += size * BYTE_SECONDS
                held = _Held(self, flow_, seats, response.body)
                # A watch goes on: only its beginning counts.
                timer = asyncio.get_running_loop().call_later(HELD_SECONDS if response.stream is None else work.seconds, held.release)
                if response.stream is None:
                    held.timer, response.sent = timer, held.release
                self._pump_soon()
            else:
                self.leave(flow_, seats, work is WRITE)
        if waited and work.most > work.seconds:
            flow_.pace += 0.2 * (min(max(seconds / work.seconds, 0.2), 50.0) - flow_.pace)
        if flow_.turn == self._turn and self._spent + seconds < MARK_SECONDS:  # As `charge` does, without a call.
            flow_.spent += seconds
            self._spent += seconds
        else:
            self.charge(flow_, seconds)

    def going(self, body: bytes) -> None:
        """A large answer begins to go out."""
        known = self._unsent.get(id(body), 0)
        self._unsent[id(body)] = known + 1
        if not known:
            self.unsent += len(body)

    def gone(self, body: bytes) -> None:
        """It has been sent, or is its reader's matter now."""
        left = self._unsent.pop(id(body)) - 1
        if left:
            self._unsent[id(body)] = left
        else:
            self.unsent -= len(body)

    def leave(self, flow_: Flow, seats: int, writes: bool = False) -> None:
        """Give seats back."""
        if writes:
            flow_.writing -= 1
            self.writing -= 1
        level, lane = flow_.level, flow_.lane
        level.in_use -= seats
        level.executing -= 1
        lane.executing -= 1
        lane.seats -= seats
        if self._waiting and not self._pumping:
            self._pump_soon()

    def charge(self, flow_: Flow, seconds: float) -> None:
        """Count time of the loop that a request has had."""
        if flow_.turn != self._turn:
            flow_.turn = self._turn
            flow_.spent = 0.0
        flow_.spent += seconds
        self._spent += seconds
        if self._spent >= MARK_SECONDS and not self._marked:
            self._marked = True
            asyncio.get_running_loop().call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._marked = False
        self._turn += 1
        self._spent = 0.0

    # --- waiting ---

    async def wait(self, flow_: Flow, seats: int, seconds: float, what: Call | None, *, writes: bool = False) -> None:
        """Return when a request may run; then it has its seats until `leave`. Raises TooManyRequests.

        `what` is the request, for dumps of the queues; `seconds` is its expected cost.
        """
        level = flow_.level
        if level.rejects and not self._has_room(level, seats):
            raise self.refuse(flow_, "concurrency-limit")
        if level.is_full(flow_):
            raise self.refuse(flow_, "queue-full")
        loop = asyncio.get_running_loop()
        arrived = self.clock.monotonic()
        waiting = Waiting(flow_, seats, seconds, arrived, loop.create_future(), what, writes)
        level.enqueue(waiting)
        self._waiting += 1
        if level.waiting == 1:
            # Time in which a level asked for nothing is not saved up.
            level.progress = max(level.progress, self._progress)
        self._pump_soon()
        if self._sweeper is None:
            self._sweeper = loop.call_later(SWEEP_SECONDS, self._sweep)
        try:
            await waiting.turn
        except asyncio.CancelledError:
            if waiting.granted:
                self.leave(flow_, seats, writes)
            else:
                self._withdraw(waiting)
            raise
        finally:
            waited = self.clock.monotonic() - arrived
            flow_.lane.waited[bisect_left(WAIT_BUCKETS, waited)] += 1
            flow_.lane.wait_seconds += waited
        if not waiting.granted:
            raise self.refuse(flow_, "time-out")
        if what is not None and what[0].connection is not None and what[0].connection.is_gone:
            # Nobody waits any more, and nothing was begun.
            self.leave(flow_, seats, writes)
            raise self.refuse(flow_, "cancelled")

    def _withdraw(self, waiting: Waiting) -> None:
        if waiting.queue is not None:
            waiting.flow.level.remove(waiting)
            self._waiting -= 1
            self._pump_soon()

    def _sweep(self) -> None:
        """Send away those who have waited too long."""
        self._sweeper = None
        if not self._waiting:
            return
        self._sweeper = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)
        latest = self.clock.monotonic() - WAIT_SECONDS
        for level in tuple(self._levels.values()):
            # What is exempt is never refused: its turn comes, however slow the machine is.
            for waiting in level.everyone() if level.waiting and not level.is_exempt else ():
                if waiting.arrived < latest and not waiting.turn.done():
                    self._withdraw(waiting)
                    waiting.turn.set_result(None)

    def refuse(self, flow_: Flow, reason: Reason) -> TooManyRequests:
        """The answer to a request that does not get to run."""
        for counts in (flow_.lane.rejected, flow_.level.rejected):
            counts[reason] = counts.get(reason, 0) + 1
        drops = self._dropped.setdefault(flow_.level.name, _Drops())
        return TooManyRequests(TOO_MANY, retry_after=drops.note(int(self.clock.monotonic())))

    def _pump_soon(self) -> None:
        if self._waiting and not self._pumping:
            self._pumping = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        """Grant turns to those who wait, for about `PUMP_SECONDS` of work. They run after this, and before it is called again."""
        self._pumping = False
        self._turn += 1
        self._spent = 0.0
        left = PUMP_SECONDS
        ready = [level for level in self._levels.values() if level.waiting]
        passed: set[Level] = set()
        granted = False
        while ready and left > 0.0:
            level = min(ready, key=lambda level: level.progress)
            if level not in passed:
                level.reserved = 0
            waiting = level.head(narrow=level in passed)
            if waiting is None:
                ready.remove(level)
                continue
            if waiting.turn.done():
                # It was cancelled, and has not come to withdraw yet.
                level.remove(waiting)
                self._waiting -= 1
                continue
            if not self._has_room(level, waiting.seats, level.reserved):
                if level in passed:
                    ready.remove(level)
                    continue
                # It keeps its place; those of one seat pass it while that leaves room for it beside the requests that run, so it waits
                # for nothing but answers that are going out.
                passed.add(level)
                level.reserved = waiting.seats
                level.unaccommodated += 1
                continue
            left -= self._grant(level, waiting)
            granted = True
        for level in self._levels.values():
            if not level.waiting:
                level.reserved = 0
        if granted:
            self._pump_soon()

    def _grant(self, level: Level, waiting: Waiting) -> float:
        """Let a request run; returns the seconds that it is expected to take."""
        level.pop(waiting)
        self._waiting -= 1
        cost = waiting.cost * waiting.flow.pace
        self._progress = max(self._progress, level.progress)
        level.progress += cost / (self._seats if level.is_exempt else max(level.nominal, 1))
        level.in_use += waiting.seats
        level.executing += 1
        lane = waiting.flow.lane
        lane.dispatched += 1
        lane.executing += 1
        lane.seats += waiting.seats
        if waiting.writes:
            waiting.flow.writing += 1
            self.writing += 1
        waiting.granted = True
        waiting.turn.set_result(None)
        return cost

    def limit_of(self, level: Level) -> int:
        """The seats that a level could use at this moment: its nominal ones and what others would lend."""
        if level.is_exempt:
            return level.in_use
        kept = sum(max(other.in_use, other.lower) for other in self._levels.values() if other is not level and not other.is_exempt)
        return max(level.nominal, min(level.upper, self._seats - kept))


class _Held:
    """Seats that are given back when a large answer has gone out, or when its reader takes too long over it. Until then they bound how many
    such answers are in memory, and nothing else."""

    __slots__ = ("_body", "_fairness", "_flow", "_seats", "timer")

    def __init__(self, fairness: Fairness, flow_: Flow, seats: int, body: bytes) -> None:
        self._fairness = fairness
        self._body = body
        self._flow: Flow | None = flow_
        self._seats = seats
        self.timer: asyncio.TimerHandle | None = None
        flow_.level.sending += seats
        fairness.going(body)

    def release(self) -> None:
        """Give them back; once."""
        if self.timer is not None:
            self.timer.cancel()
        flow_, self._flow = self._flow, None
        if flow_ is not None:
            flow_.level.sending -= self._seats
            self._fairness.gone(self._body)
            self._body = b""
            self._fairness.leave(flow_, self._seats)


class _Drops:
    """Time for which refused clients should stay away: longer while many are refused."""

    def __init__(self) -> None:
        self._second = 0
        self._count = 0
        self._changed = 0
        self._after = 1

    def note(self, now: int) -> int:
        """Count a refusal; returns the seconds to wait."""
        if now != self._second:
            if now - self._second > 2 * self._after:
                self._after = 1
            elif now - self._changed >= self._after:
                # A second with three times as many refusals as it told seconds to wait was not enough, one with fewer than that was.
                if self._count > 3 * self._after:
                    self._after = min(2 * self._after, MAX_RETRY_AFTER)
                elif self._count <= self._after and self._after > 1:
                    self._after -= 1
                self._changed = now
            self._second, self._count = now, 0
        self._count += 1
        return self._after
