"""A CronJob runs once for each time, whatever is lost, late or killed: the loop against an API server in memory, in virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from datetime import datetime
from http import HTTPStatus
from typing import Literal, get_args

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.unit.controllers.cronjob.make import cron_job
from tiphys.aio.clock import VirtualClock
from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.batch import v1 as batch
from tiphys.api.helpers.jobs import is_finished
from tiphys.api.machinery import base
from tiphys.api.machinery.errors import NotFound
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.controllers.cronjob.controller import CronJobController
from tiphys.controllers.cronjob.runs import SCHEDULED_AT
from tiphys.controllers.cronjob.settings import CronJobSettings
from tiphys.testing.calls import Call
from tiphys.testing.faults import Faults, Forward
from tiphys.testing.loops import run_loops
from tiphys.testing.memory_api import MemoryApi
from tiphys.wire.http import Response

# With everything in one process, nothing needs idle rounds of the event loop before time moves on.
pytestmark = pytest.mark.looptime(noop_cycles=0)

Fault = Literal[
    "",
    "lose request",
    "lose answer",
    "stall",
    "stall jobs, lose answer",
    "crash before",
    "crash after",
    "crash, then behind",
    "crash, then jobs behind",
]
FAULTS: tuple[Fault, ...] = ("", *get_args(Fault))
BEHIND = 150.0
"""Seconds for which a server that is behind shows an old state."""
MINUTE = 60.0
TROUBLE = 12
"""Minutes in which faults happen."""


class World:
    """An API server, Jobs that end after a while, and the loop, which is started again when it was killed.

    `faults` are those of the loop's writes, one after the other.
    """

    def __init__(self, api: MemoryApi, faults: list[Fault], lengths: list[float]) -> None:
        self.api = api
        self.created: Counter[str] = Counter()
        """Jobs by the time that they are the run of."""
        self.most_active = 0
        self._pending: Iterator[Fault] = iter(faults)
        self._lengths = iter(lengths)
        self._killed = asyncio.Event()
        self._past: deque[int] = deque(maxlen=5)
        """Revisions before each of the last writes."""
        self._behind: tuple[str, ...] = ()
        """Resources of which the next process gets the oldest of these states: its server is behind."""
        self._faults = Faults(clock=api.clock, revision=api.store.current_revision)
        self._faults.intercept(lambda call: call.writes and call.resource != "events", self._write)

    @classmethod
    @asynccontextmanager
    async def living(cls, faults: list[Fault], lengths: list[float]) -> AsyncIterator[World]:
        """A world in which nothing runs yet."""
        async with MemoryApi.running(clock=VirtualClock()) as api:
            yield cls(api, faults, lengths)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the loop, and the Jobs."""
        tasks = [asyncio.create_task(self._run_loop()), asyncio.create_task(self._end_jobs())]
        try:
            yield
            assert not [task for task in tasks if task.done()]
        finally:
            for task in tasks:
                await cancel_and_wait(task)

    async def create(self, **spec: object) -> None:
        """Create the CronJob, which runs every minute."""
        await self.api.client().create(
            batch.CronJob(metadata=ObjectMeta(name="tick", namespace="default"), spec=cron_job(**spec).spec)  # type: ignore[arg-type]
        )

    async def _write(self, call: Call, forward: Forward) -> Response:
        fault: Fault = next(self._pending, "")
        self._past.append(self.api.revision)
        if fault == "lose request":
            raise ConnectionError(fault)
        if fault == "crash before":
            raise self._kill(fault)
        if fault.startswith("stall"):
            self._faults.stall_watches("watch" if fault == "stall" else "watch jobs")
        response = await forward(call.request)
        self._count(call, response)
        if fault.startswith("crash"):
            raise self._kill(fault)
        if fault.endswith("lose answer"):
            raise ConnectionError(fault)
        return response

    def _kill(self, fault: Fault) -> ConnectionError:
        """Let nothing of the process reach the server any more, and return the error of the request that it was at."""
        self._killed.set()
        self._faults.down = True
        if fault.endswith("behind"):
            self._behind = ("jobs",) if fault == "crash, then jobs behind" else ("cronjobs", "jobs")
        return ConnectionError(fault)

    def _count(self, call: Call, response: Response) -> None:
        if call.verb == "create" and response.status == HTTPStatus.CREATED:
            job = msgspec.json.decode(call.request.body, type=batch.Job)
            self.created[job.metadata.annotations[SCHEDULED_AT]] += 1
            running = [job for job in self.api.list(batch.Job) if not is_finished(job.status)]
            self.most_active = max(self.most_active, len(running))

    async def _run_loop(self) -> None:
        while True:
            self._killed.clear()
            self._faults.down = False
            client = self.api.client(faults=self._faults)
            task = asyncio.create_task(run_loops(client, lambda: CronJobController(CronJobSettings(time_zone="UTC"))))
            try:
                # asyncio's own timeout follows the loop's time, as the clock does.
                with self._lag(), suppress(TimeoutError):
                    await asyncio.wait_for(self._killed.wait(), BEHIND)
                await self._killed.wait()
            finally:
                await cancel_and_wait(task)
            # The next one begins with a fresh look, some seconds later.
            await self.api.clock.sleep(3.0)

    def _lag(self) -> ExitStack:
        """Show the next process, until the end of the block, an old state that does not change."""
        lag = ExitStack()
        for resource in self._behind:
            lag.enter_context(self._faults.stale_reads(f"list {resource}", revision=self._past[0]))
            lag.enter_context(self._faults.hold_events(f"watch {resource}"))
        self._behind = ()
        return lag

    async def _end_jobs(self) -> None:
        client = self.api.client()
        ends: dict[str, float] = {}
        while True:
            await self.api.clock.sleep(4.0)
            now = self.api.clock.now()
            for job in self.api.list(batch.Job):
                end = ends.setdefault(job.metadata.uid, now.timestamp() + next(self._lengths, 20.0))
                if now.timestamp() >= end and not is_finished(job.status):
                    # The loop may be deleting it.
                    with suppress(NotFound):
                        await client.update_status(completed(job, base.time(now)))


def completed(job: batch.Job, now: datetime) -> batch.Job:
    """Return a Job with the status that it has after a run without failures."""
    conditions = [batch.JobCondition(type=type_, status="True", lastTransitionTime=now) for type_ in ("SuccessCriteriaMet", "Complete")]
    job.status = batch.JobStatus(startTime=job.metadata.creationTimestamp, completionTime=now, conditions=conditions)
    return job


@settings(max_examples=30)
@given(
    st.lists(st.sampled_from(FAULTS), max_size=25),
    st.lists(st.floats(1, 200), max_size=8),
    st.sampled_from(["Allow", "Forbid", "Replace"]),
    st.integers(0, 1),
)
@example(["crash after"], [1.0], "Allow", 0)
@example(["lose answer", "crash before"], [1.0], "Forbid", 0)
@example(["", "stall", "lose answer", "lose request"], [150.0], "Forbid", 1)
@example(["", "", "crash after"], [200.0], "Replace", 1)
@example(["stall jobs, lose answer", *["lose request"] * 13], [200.0], "Forbid", 1)
@example(["", "", "", "crash, then behind"], [1.0], "Allow", 0)
@example(["", "", "", "", "crash, then jobs behind"], [200.0], "Forbid", 0)
async def test_a_time_never_runs_twice(faults: list[Fault], lengths: list[float], policy: str, limit: int) -> None:
    async with World.living(faults, lengths) as world:
        await world.create(concurrencyPolicy=policy, successfulJobsHistoryLimit=limit)
        async with world.running():
            await world.api.clock.sleep(TROUBLE * MINUTE)
            assert [due for due, count in world.created.items() if count > 1] == []
            assert policy == "Allow" or world.most_active <= 1
            # When the faults are over, and the watches that went dead are found out, everything runs as it should.
            faults.clear()
            lengths.clear()
            await world.api.clock.sleep(5 * MINUTE + (90.0 - world.api.clock.now().timestamp() % MINUTE) % MINUTE)
            world.created.clear()
            await world.api.clock.sleep(5 * MINUTE)
        assert list(world.created.values()) == [1] * 5
        tick = world.api.get(batch.CronJob, "tick", "default")
        jobs = world.api.list(batch.Job)
        alive = {job.metadata.uid for job in jobs if not is_finished(job.status)}
        assert {ref.uid for ref in tick.status.active} == alive
        assert tick.status.lastScheduleTime == max(datetime.fromisoformat(due) for due in world.created)
        assert len(jobs) - len(alive) <= limit


async def test_a_job_of_somebody_else_with_the_name_of_a_run_is_left_alone() -> None:
    async with World.living([], []) as world:
        await world.create(successfulJobsHistoryLimit=0)
        minute = int(world.api.clock.now().timestamp()) // 60 + 1
        foreign = await world.api.client().create(
            batch.Job(
                metadata=ObjectMeta(name=f"tick-{minute}", namespace="default"),
                spec=batch.JobSpec(template=cron_job().spec.jobTemplate.spec.template),
            )
        )
        async with world.running():
            await world.api.clock.sleep(3.5 * MINUTE)
        assert len(world.created) == 2
        assert world.api.get(batch.Job, foreign.metadata.name, "default").metadata.uid == foreign.metadata.uid
