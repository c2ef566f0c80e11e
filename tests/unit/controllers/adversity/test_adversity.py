"""Control loops on bad days: caches that lag, conflicts, lost answers, events that are lost, repeated or out of order, and crashes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial

import pytest

from tests.unit.controllers.adversity.actors import Change
from tests.unit.controllers.adversity.subjects import SUBJECTS, Subject
from tiphys.aio.clock import VirtualClock
from tiphys.aio.tasks import cancel_and_wait
from tiphys.client.client import Client
from tiphys.runtime import copied
from tiphys.testing import eventually
from tiphys.testing.chances import Chances
from tiphys.testing.crashes import crash_between_writes
from tiphys.testing.faults import Fault, Faults
from tiphys.testing.loops import run_loops, running_loops
from tiphys.testing.memory_api import MemoryApi

pytestmark = pytest.mark.looptime(noop_cycles=0)

HOUR = 3600.0
UNORDERED = Chances(lost=0.05, reordered=0.1, repeated=0.1)
"""Chances of everything, also of what no server does: events that are lost or overtake one another."""

CRASHING = {name: subject for name, subject in SUBJECTS.items() if name != "Deployment that makes room"}
"""Subjects that crash between any two writes: the second Deployment would write as much as the first one, which is most of all."""

ALL = pytest.mark.parametrize("subject", SUBJECTS.values(), ids=SUBJECTS)


class World:
    """A server, whoever acts on it besides the loops, and the loops, which are killed now and then."""

    def __init__(self, api: MemoryApi, subject: Subject, seed: int, changes: Sequence[Change]) -> None:
        self.api = api
        self.rng = random.Random(seed)
        self.faults = Faults(clock=api.clock, revision=api.store.current_revision)
        self._subject = subject
        self._user = api.client()
        self._changes = iter(changes)
        self.changed = False
        """True once the user has made all changes."""
        api.add(*subject.there)

    async def change(self) -> None:
        """Make the user's next change, if there is one."""
        change = next(self._changes, None)
        self.changed = change is None
        if change is not None:
            await change(self._user, self.rng)

    async def act(self) -> None:
        """Play the others."""
        while True:
            await asyncio.sleep(self.rng.uniform(0.2, 2.0))
            self._subject.act(self.api, self.rng)

    @asynccontextmanager
    async def acting(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.act())
        try:
            yield
            assert not task.done(), task
        finally:
            await cancel_and_wait(task)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """A process with the loops, which begins with fresh state and is killed in the middle of whatever it does."""
        async with running_loops(self.api.client(faults=self.faults), *self._subject.loops):
            yield

    async def live(self) -> None:
        """Let the user make all changes, each in the life of one process or of several, with a cache that lags at the worst moment."""
        while not self.changed:
            resource = self.rng.choice(self._subject.watches)
            async with self.running():
                await self._pass(6)
                with self.faults.hold_events(f"watch {resource}"), self._losing(resource):
                    await self._pass(6)
                    if self.rng.random() < 0.7:
                        await self.change()
                    await self._pass(12)
                await self._pass(6)

    def _losing(self, resource: str) -> Fault:
        """Lose the answers to the next writes."""
        return self.faults.lose_answers(f"write {resource}", times=self.rng.choice((0, 0, 1, 2)))

    async def _pass(self, seconds: float) -> None:
        await asyncio.sleep(self.rng.uniform(0, seconds) * self._subject.pace)

    def is_settled(self) -> bool:
        with suppress(KeyError):
            return self._subject.settled(self.api)
        return False

    async def end(self) -> None:
        """With the faults over, all is soon as it should be, and then nothing is written any more, also by a process that starts."""
        self.faults.clear()
        async with self.running():
            await eventually(self.is_settled, timeout=HOUR, interval=1.0)
            await asyncio.sleep(60)
            await self._keep_silent()
        async with self.running():
            await self._keep_silent()
        assert self.is_settled()

    async def _keep_silent(self) -> None:
        before = len(self.faults.writes())
        await asyncio.sleep(60)
        assert [str(call) for call in self.faults.writes()[before:]] == []

    def check_bounds(self) -> None:
        for bound in self._subject.bounds:
            bound.check(self.api)


async def create(subject: Subject, client: Client, rng: random.Random) -> None:
    """Create what the loops are there for."""
    for obj in subject.create:
        await client.create(copied(obj))


@asynccontextmanager
async def living(subject: Subject, seed: int) -> AsyncIterator[World]:
    async with MemoryApi.running(clock=VirtualClock()) as api:
        world = World(api, subject, seed, [partial(create, subject), *subject.changes])
        async with world.acting():
            yield world


@ALL
@pytest.mark.parametrize("seed", range(10))
async def test_bounds_hold_whatever_fails(subject: Subject, seed: int) -> None:
    async with living(subject, seed) as world:
        world.faults.randomly(world.rng, Chances())
        await world.live()
        await world.end()
        world.check_bounds()


@ALL
async def test_events_that_are_lost_or_out_of_order_do_no_lasting_harm(subject: Subject) -> None:
    """No server does this, so too much may be created for a while. When the watches begin anew, it is found out."""
    async with living(subject, 1) as world:
        world.faults.randomly(world.rng, UNORDERED)
        await world.live()
        await world.end()


@pytest.mark.parametrize("subject", CRASHING.values(), ids=CRASHING)
async def test_a_crash_between_any_two_writes_does_no_harm(subject: Subject) -> None:
    worlds: list[World] = []

    async def prepare(api: MemoryApi) -> None:
        worlds.append(World(api, subject, len(worlds), subject.changes[:1]))
        await create(subject, api.client(), worlds[-1].rng)

    async def use(world: World) -> None:
        while not world.changed:
            await eventually(world.is_settled, timeout=HOUR, interval=1.0)
            await world.change()

    async def run(client: Client) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(worlds[-1].act())
            tasks.create_task(use(worlds[-1]))
            await run_loops(client, *subject.loops)

    def check(api: MemoryApi) -> bool:
        world = worlds[-1]
        if not world.changed or not world.is_settled():
            return False
        world.check_bounds()
        return True

    assert await crash_between_writes(prepare=prepare, run=run, check=check, timeout=HOUR) >= 2
