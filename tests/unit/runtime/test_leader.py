"""Leader election, in virtual time."""

from __future__ import annotations

import asyncio
import random

import pytest

from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.coordination.v1 import Lease, LeaseSpec
from tiphys.runtime.leader import TIMING, LeaderElector, LeadershipLost, Seen, Timing, decide
from tiphys.testing import eventually
from tiphys.testing.memory_api import MemoryApi

pytestmark = pytest.mark.looptime


class Candidate:
    def __init__(self, api: MemoryApi, name: str) -> None:
        self.elector = LeaderElector(api.client(), "lock", name, clock=api.clock, rng=random.Random(name))
        self.leading = False
        self.led = 0
        self.task = asyncio.create_task(self.elector.run(self.lead), name=name)

    async def lead(self) -> None:
        self.leading = True
        self.led += 1
        try:
            await asyncio.sleep(10**9)
        finally:
            self.leading = False


@pytest.mark.parametrize(
    ("holder", "age", "move"),
    [("", 0, "take"), ("me", 100, "renew"), ("you", 14.9, "wait"), ("you", 15, "take")],
)
def test_decides_moves_of_candidates(holder: str, age: float, move: str) -> None:
    lease = Lease(spec=LeaseSpec(holderIdentity=holder, leaseDurationSeconds=15))
    assert decide(Seen(lease, at=1000), "me", 1000 + age, 5) == move


async def test_one_of_several_leads_and_hands_over_at_once_when_it_stops(api: MemoryApi) -> None:
    candidates = [Candidate(api, f"c{number}") for number in range(3)]
    await asyncio.sleep(60)
    (leader,) = [candidate for candidate in candidates if candidate.leading]
    lease = api.get(Lease, "lock", "kube-system")
    assert lease.spec.holderIdentity == leader.elector.identity
    assert lease.spec.leaseTransitions == 1
    others = [candidate for candidate in candidates if candidate is not leader]
    assert {candidate.elector.leader for candidate in others} == {leader.elector.identity}
    stopped = asyncio.get_running_loop().time()
    await cancel_and_wait(leader.task)
    assert not leader.leading
    await eventually(lambda: any(candidate.leading for candidate in others))
    assert asyncio.get_running_loop().time() - stopped < 6
    assert api.get(Lease, "lock", "kube-system").spec.leaseTransitions == 2
    for candidate in candidates:
        await cancel_and_wait(candidate.task)


async def test_a_leader_that_vanished_is_replaced_after_the_lease(api: MemoryApi) -> None:
    first = Candidate(api, "first")
    await eventually(lambda: first.leading)
    second = Candidate(api, "second")
    await asyncio.sleep(20)
    held = api.get(Lease, "lock", "kube-system")
    # As after kill -9: the lease is left as it is.
    await cancel_and_wait(first.task)
    api.add(held)
    killed = asyncio.get_running_loop().time()
    await eventually(lambda: second.leading, timeout=60)
    assert 15 <= asyncio.get_running_loop().time() - killed <= 22
    await cancel_and_wait(second.task)


async def test_a_lease_is_given_up_although_the_answer_to_a_renewal_is_missing(api: MemoryApi) -> None:
    leader = Candidate(api, "a")
    await eventually(lambda: leader.leading)
    lost = api.faults.lose_answers("update leases", seconds=60)
    await eventually(lambda: lost.count)
    await asyncio.sleep(1)
    await cancel_and_wait(leader.task)
    assert api.get(Lease, "lock", "kube-system").spec.holderIdentity == ""


async def test_a_leader_cut_off_stops_before_anyone_else_may_begin(api: MemoryApi) -> None:
    leader = Candidate(api, "a")
    await eventually(lambda: leader.leading)
    renewed = asyncio.get_running_loop().time()
    api.faults.down = True
    with pytest.raises(LeadershipLost):
        await leader.task
    assert not leader.leading
    assert not leader.elector.is_leader
    assert asyncio.get_running_loop().time() - renewed <= TIMING.duration - 1


async def test_the_end_of_the_work_gives_the_lease_up_and_its_error_comes_through(api: MemoryApi) -> None:
    async def fails() -> None:
        raise RuntimeError("bug")

    elector = LeaderElector(api.client(), "lock", "a", clock=api.clock)
    with pytest.raises(RuntimeError, match="bug"):
        await elector.run(fails)
    assert api.get(Lease, "lock", "kube-system").spec.holderIdentity == ""


def test_timings_must_make_sense(api: MemoryApi) -> None:
    with pytest.raises(ValueError, match="outlast"):
        LeaderElector(api.client(), "lock", "a", clock=api.clock, timing=Timing(5, 10, 2))
