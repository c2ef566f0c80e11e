"""Seats, queues and turns, without requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tiphys.aio.clock import Clock, VirtualClock
from tiphys.api.flowcontrol import v1 as flow
from tiphys.api.machinery.errors import TooManyRequests
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.apiserver.auth.user import User
from tiphys.apiserver.chain.routes import RequestInfo
from tiphys.apiserver.flowcontrol.fairness import HELD_FROM, MOST_UNSENT, SHARE_SECONDS, SWEEP_SECONDS, WAIT_SECONDS, Fairness
from tiphys.apiserver.flowcontrol.levels import MOST_WRITES, Flow
from tiphys.apiserver.flowcontrol.work import Work
from tiphys.wire.http import Request, Response

READ = 0.0001


def level(
    name: str, shares: int = 10, *, lendable: int = 0, borrowing: int | None = 0, queues: int = 4, hand: int = 1, length: int = 3
) -> flow.PriorityLevelConfiguration:
    queuing = flow.QueuingConfiguration(queues=queues, handSize=hand, queueLengthLimit=length) if queues else None
    limited = flow.LimitedPriorityLevelConfiguration(
        nominalConcurrencyShares=shares,
        lendablePercent=lendable,
        borrowingLimitPercent=borrowing,
        limitResponse=flow.LimitResponse(type="Queue" if queues else "Reject", queuing=queuing),
    )
    spec = flow.PriorityLevelConfigurationSpec(type="Limited", limited=limited)
    return flow.PriorityLevelConfiguration(metadata=ObjectMeta(name=name, uid=f"uid-of-{name}"), spec=spec)


def schema(name: str, level_name: str, *users: str, method: str = "ByUser") -> flow.FlowSchema:
    rule = flow.PolicyRulesWithSubjects(
        subjects=[flow.Subject(kind="User", user=flow.UserSubject(name=user)) for user in users],
        resourceRules=[flow.ResourcePolicyRule(verbs=["*"], apiGroups=["*"], resources=["*"], namespaces=["*"], clusterScope=True)],
    )
    spec = flow.FlowSchemaSpec(
        priorityLevelConfiguration=flow.PriorityLevelConfigurationReference(name=level_name),
        matchingPrecedence=100,
        distinguisherMethod=flow.FlowDistinguisherMethod(type=method),
        rules=[rule],
    )
    return flow.FlowSchema(metadata=ObjectMeta(name=name, uid=f"uid-of-{name}"), spec=spec)


class World:
    """Fairness with a level of its own for two users: `catch-all` has the other 5 shares."""

    def __init__(
        self, *levels: flow.PriorityLevelConfiguration, seats: int = 15, users: tuple[str, ...] = ("a", "b"), clock: Clock | None = None
    ) -> None:
        self.fairness = Fairness(seats=seats, json_headers={"Content-Type": "application/json"}, clock=clock)
        self.levels = levels or (level("mine"),)
        self.fairness.configure([schema("s", self.levels[0].metadata.name, *users)], self.levels)

    def flow(self, user: str, path: str = "/api/v1/pods") -> Flow:
        return self.fairness.flow_of(User(user), RequestInfo("get", path, True, "", "v1", "pods"))

    async def run(
        self, flow_: Flow, until: asyncio.Event, done: Callable[[], None] = lambda: None, seats: int = 1, writes: bool = False
    ) -> None:
        if not self.fairness.enter(flow_, seats, writes):
            await self.fairness.wait(flow_, seats, READ, None, writes=writes)
        try:
            await until.wait()
            done()
        finally:
            self.fairness.leave(flow_, seats, writes)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_no_more_run_than_there_are_seats() -> None:
    world, gate, ended = World(), asyncio.Event(), []
    mine = world.flow("a")
    assert mine.level.nominal == 10
    tasks = [asyncio.create_task(world.run(mine, gate, lambda n=n: ended.append(n))) for n in range(13)]  # type: ignore[misc]
    await settle()
    assert (mine.level.executing, mine.level.waiting, mine.level.in_use) == (10, 3, 10)
    gate.set()
    await asyncio.gather(*tasks)
    assert ended == list(range(13))
    assert (mine.level.executing, mine.level.waiting, mine.level.in_use) == (0, 0, 0)


async def test_a_full_queue_refuses() -> None:
    world, gate = World(), asyncio.Event()
    mine = world.flow("a")
    tasks = [asyncio.create_task(world.run(mine, gate)) for _ in range(13)]
    await settle()
    with pytest.raises(TooManyRequests) as refused:
        await world.run(mine, gate)
    assert refused.value.message == "Too many requests, please try again later."
    assert refused.value.details is not None
    assert refused.value.details.retryAfterSeconds == 1
    assert mine.lane.rejected == {"queue-full": 1}
    gate.set()
    await asyncio.gather(*tasks)


async def test_a_level_without_queues_refuses_at_once() -> None:
    world, gate = World(level("mine", queues=0)), asyncio.Event()
    mine = world.flow("a")
    tasks = [asyncio.create_task(world.run(mine, gate)) for _ in range(10)]
    await settle()
    with pytest.raises(TooManyRequests):
        await world.run(mine, gate)
    assert mine.lane.rejected == {"concurrency-limit": 1}
    gate.set()
    await asyncio.gather(*tasks)


@pytest.mark.looptime
async def test_requests_that_wait_too_long_are_rejected() -> None:
    world, gate = World(clock=VirtualClock()), asyncio.Event()
    mine, begun = world.flow("a"), asyncio.get_running_loop().time()
    tasks = [asyncio.create_task(world.run(mine, gate)) for _ in range(11)]
    with pytest.raises(TooManyRequests):
        await asyncio.gather(*tasks)
    assert WAIT_SECONDS <= asyncio.get_running_loop().time() - begun <= WAIT_SECONDS + 2 * SWEEP_SECONDS
    assert mine.lane.wait_seconds == pytest.approx(WAIT_SECONDS, abs=2 * SWEEP_SECONDS)
    assert mine.lane.rejected == {"time-out": 1}
    assert mine.level.waiting == 0
    gate.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert mine.level.in_use == 0


async def test_a_cancelled_request_leaves_its_queue() -> None:
    world, gate = World(), asyncio.Event()
    mine = world.flow("a")
    tasks = [asyncio.create_task(world.run(mine, gate)) for _ in range(12)]
    await settle()
    tasks[10].cancel()
    await settle()
    assert mine.level.waiting == 1
    gate.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (mine.level.waiting, mine.level.in_use) == (0, 0)


async def test_a_flow_that_asks_for_little_does_not_wait_behind_one_that_asks_for_much() -> None:
    world = World(level("mine", shares=10, queues=16, hand=1, length=50))
    a, b = world.flow("a"), world.flow("b")
    assert a.hand != b.hand
    order: list[str] = []
    gates = [asyncio.Event() for _ in range(45)]
    running = [asyncio.create_task(world.run(a, gate, lambda: order.append("a"))) for gate in gates[:40]]
    await settle()
    running += [asyncio.create_task(world.run(b, gate, lambda: order.append("b"))) for gate in gates[40:]]
    await settle()
    for gate in gates[:10]:
        gate.set()
    await settle()
    # Ten seats came free: both flows have the same part of them.
    assert (a.level.executing, b.lane.waiting) == (10, 25)
    for gate in gates:
        gate.set()
    await asyncio.gather(*running)
    assert order[:10] == ["a"] * 10
    assert order[10:20].count("b") == 5


async def test_wide_requests_hold_many_seats_and_are_not_passed() -> None:
    world, gate, wide_gate = World(level("mine", length=50)), asyncio.Event(), asyncio.Event()
    mine = world.flow("a")
    narrow = [asyncio.create_task(world.run(mine, gate)) for _ in range(8)]
    await settle()
    wide = asyncio.create_task(world.run(mine, wide_gate, seats=5))
    await settle()
    late = asyncio.create_task(world.run(world.flow("b"), wide_gate))
    await settle()
    # Two seats are free, but whoever is next needs five.
    assert (mine.level.in_use, mine.level.waiting) == (8, 2)
    gate.set()
    await asyncio.gather(*narrow)
    await settle()
    assert (mine.level.in_use, mine.level.waiting) == (6, 0)
    wide_gate.set()
    await asyncio.gather(wide, late)


class Reader:
    """A client that reads an answer as long as it likes."""

    is_gone = False


def send(world: World, flow_: Flow, seats: int, size: int = HELD_FROM + 1) -> Response:
    """Run a request of so many seats whose large answer begins to go out."""
    assert world.fairness.enter(flow_, seats)
    request, response = Request("GET", "/api/v1/pods", connection=Reader()), Response(body=bytes(size))
    world.fairness.done(flow_, seats, Work(seats, READ, READ), 0.0, request, response, waited=False)
    return response


def finish(*responses: Response) -> None:
    for response in responses:
        assert response.sent is not None
        response.sent()


async def test_answers_that_go_out_bound_large_answers_and_nothing_else() -> None:
    world, gate = World(level("mine", queues=16, length=50)), asyncio.Event()
    lists, quiet = world.flow("a"), world.flow("b")
    going = [send(world, lists, 5), send(world, lists, 5)]
    assert (lists.level.in_use, lists.level.sending) == (10, 10)
    waiting = [asyncio.create_task(world.run(lists, gate, seats=5)) for _ in range(3)]
    await settle()
    assert lists.waiting == 3
    # The next in line waits for answers to go out. That is no reason for a small request to wait.
    assert world.fairness.enter(quiet, 1)
    world.fairness.leave(quiet, 1)
    assert not world.fairness.enter(quiet, 2)
    finish(going[0])
    await settle()
    assert (lists.waiting, lists.level.sending) == (2, 5)
    finish(going[1], going[1])
    gate.set()
    await asyncio.gather(*waiting)
    assert (lists.level.in_use, lists.level.sending, lists.level.executing, lists.level.reserved) == (0, 0, 0, 0)


async def test_no_large_answer_is_begun_while_many_bytes_wait_to_be_sent() -> None:
    world, gate = World(level("mine", queues=16, length=50)), asyncio.Event()
    lists, quiet = world.flow("a"), world.flow("b")
    going = send(world, lists, 2, MOST_UNSENT + 1)
    wide = asyncio.create_task(world.run(lists, gate, seats=2))
    await settle()
    assert (lists.waiting, world.fairness.unsent) == (1, MOST_UNSENT + 1)
    assert world.fairness.enter(quiet, 1)
    world.fairness.leave(quiet, 1)
    finish(going)
    gate.set()
    await wide
    assert world.fairness.unsent == 0


async def test_small_requests_in_a_queue_pass_one_that_waits_for_answers_to_go_out() -> None:
    world, gate = World(level("mine", queues=16, length=50)), asyncio.Event()
    lists, quiet = world.flow("a"), world.flow("b")
    assert lists.hand != quiet.hand
    going = send(world, lists, 8)
    wide = asyncio.create_task(world.run(lists, gate, seats=5))
    await settle()
    small = [asyncio.create_task(world.run(quiet, gate)) for _ in range(9)]
    await settle()
    # Of ten seats five are kept for the list, so that small requests without end do not keep it out.
    assert (lists.waiting, quiet.waiting, lists.level.in_use) == (1, 4, 13)
    finish(going)
    await settle()
    assert (lists.waiting, quiet.waiting, lists.level.in_use) == (0, 4, 10)
    gate.set()
    await asyncio.gather(wide, *small)
    assert (lists.level.in_use, lists.level.sending) == (0, 0)


async def test_a_turn_of_the_loop_has_room_for_others() -> None:
    world = World(level("mine", shares=100), seats=105)
    a, b = world.flow("a"), world.flow("b")
    assert world.fairness.enter(a, 1)
    world.fairness.leave(a, 1)
    world.fairness.charge(a, SHARE_SECONDS)
    assert not world.fairness.enter(a, 1)
    assert world.fairness.enter(b, 1)
    world.fairness.leave(b, 1)
    await settle()
    assert world.fairness.enter(a, 1)
    world.fairness.leave(a, 1)


async def test_exempt_requests_wait_for_turns_but_never_for_seats() -> None:
    world, gate = World(seats=15), asyncio.Event()
    admin = world.fairness.flow_of(User("admin", groups=("system:masters",)), RequestInfo("get", "/version"))
    tasks = [asyncio.create_task(world.run(admin, gate)) for _ in range(1000)]
    await settle()
    assert admin.level.executing == 1000
    world.fairness.charge(admin, SHARE_SECONDS)
    assert not world.fairness.enter(admin, 1)
    await world.fairness.wait(admin, 1, READ, None)
    world.fairness.leave(admin, 1)
    gate.set()
    await asyncio.gather(*tasks)


@pytest.mark.looptime
async def test_exempt_requests_are_never_refused_however_long_they_wait() -> None:
    world, gate = World(clock=VirtualClock()), asyncio.Event()
    admin = world.fairness.flow_of(User("admin", groups=("system:masters",)), RequestInfo("get", "/version"))
    tasks = [asyncio.create_task(world.run(admin, gate, writes=True)) for _ in range(MOST_WRITES + 1)]
    await asyncio.sleep(WAIT_SECONDS + 10 * SWEEP_SECONDS)
    assert (admin.level.executing, admin.level.waiting) == (MOST_WRITES, 1)
    gate.set()
    await asyncio.gather(*tasks)
    assert admin.lane.rejected == {}


async def test_levels_lend_what_they_do_not_use() -> None:
    lender = level("lender", shares=10, lendable=50)
    world, gate = World(level("mine", shares=10, borrowing=None, length=50), lender, seats=25), asyncio.Event()
    mine = world.flow("a")
    tasks = [asyncio.create_task(world.run(mine, gate)) for _ in range(20)]
    await settle()
    assert mine.level.nominal == 10
    assert (mine.level.executing, mine.level.waiting) == (15, 5)
    gate.set()
    await asyncio.gather(*tasks)


async def test_levels_share_a_turn_by_their_seats() -> None:
    high, low = level("mine", shares=90, length=5000), level("low", shares=10, length=5000)
    world = World(high, low, seats=105)
    world.fairness.configure([schema("s", "mine", "a"), schema("t", "low", "b")], [high, low])
    order: list[str] = []
    gate = asyncio.Event()
    gate.set()

    async def exhaust() -> None:
        for user in ("a", "b"):
            world.fairness.charge(world.flow(user), 1.0)

    exhausted = asyncio.create_task(exhaust())
    tasks = [
        asyncio.create_task(world.run(world.flow(user), gate, lambda user=user: order.append(user)))  # type: ignore[misc]
        for _ in range(300)
        for user in ("a", "b")
    ]
    await asyncio.gather(exhausted, *tasks)
    assert 5 <= order[:200].count("b") <= 40


async def test_configurations_change_under_those_who_wait() -> None:
    world, gate = World(), asyncio.Event()
    mine = world.flow("a")
    tasks = [asyncio.create_task(world.run(mine, gate)) for _ in range(13)]
    await settle()
    world.fairness.configure([schema("s", "mine", "a")], [level("mine", shares=1000, queues=8)])
    await settle()
    assert (mine.level.waiting, mine.level.executing) == (0, 13)
    assert world.flow("a").level is mine.level
    world.fairness.configure([schema("s", "mine", "a")], [])
    assert world.fairness.dangling["s"]
    assert world.flow("a").level.name == "catch-all"
    gate.set()
    await asyncio.gather(*tasks)
    assert mine.level.in_use == 0


async def test_answers_name_schema_and_level() -> None:
    mine = World().flow("a")
    assert mine.json_headers == {
        "Content-Type": "application/json",
        "X-Kubernetes-PF-FlowSchema-UID": "uid-of-s",
        "X-Kubernetes-PF-PriorityLevel-UID": "uid-of-mine",
    }


async def test_a_request_whose_client_has_gone_is_not_begun() -> None:
    class Gone:
        is_gone = True

    world, gate = World(), asyncio.Event()
    mine = world.flow("a")
    tasks = [asyncio.create_task(world.run(mine, gate)) for _ in range(10)]
    await settle()
    asked = (Request("GET", "/version", connection=Gone()), RequestInfo("get", "/version"), User("a"))
    late = asyncio.create_task(world.fairness.wait(mine, 1, READ, asked))
    await settle()
    gate.set()
    with pytest.raises(TooManyRequests):
        await late
    await asyncio.gather(*tasks)
    assert mine.lane.rejected == {"cancelled": 1}
    assert mine.level.in_use == 0


async def test_writes_of_one_flow_come_in_groups_of_bounded_size() -> None:
    gate = asyncio.Event()
    world = World(level("mine", shares=995, queues=16, length=500), seats=1000)
    a, b = world.flow("a"), world.flow("b")
    assert a.hand != b.hand
    tasks = [asyncio.create_task(world.run(a, gate, writes=True)) for _ in range(MOST_WRITES + 20)]
    tasks += [asyncio.create_task(world.run(b, gate, writes=True)) for _ in range(5)]
    await settle()
    assert (a.writing, a.waiting, b.writing, b.waiting) == (MOST_WRITES, 20, 5, 0)
    gate.set()
    await asyncio.gather(*tasks)
    assert (a.writing, b.writing, a.level.in_use) == (0, 0, 0)


async def test_a_request_may_be_cancelled_in_the_turn_in_which_it_would_run() -> None:
    world, gate = World(), asyncio.Event()
    mine = world.flow("a")
    tasks = [asyncio.create_task(world.run(mine, gate)) for _ in range(12)]
    await settle()
    gate.set()
    # A seat is free and the pump is called while the cancelled task has not heard of it.
    mine.level.in_use -= 1
    tasks[10].cancel()
    world.fairness._pump()
    mine.level.in_use += 1
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (mine.level.waiting, mine.level.in_use, world.fairness._waiting) == (0, 0, 0)
