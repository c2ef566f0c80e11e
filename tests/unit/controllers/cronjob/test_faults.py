"""A CronJob runs once for each time, whatever is lost, late or killed: the loop against an API server in memory, in virtual time."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Literal, get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tiphys.testing.fake_api import Call, FakeApi

from tests.unit.controllers.cronjob.make import cron_job
from tiphys.aio.clock import VirtualClock
from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.batch import v1 as batch
from tiphys.api.helpers.jobs import is_finished
from tiphys.api.machinery import base
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.controllers.cronjob.controller import CronJobController
from tiphys.controllers.cronjob.runs import SCHEDULED_AT
from tiphys.controllers.cronjob.settings import CronJobSettings
from tiphys.runtime import Manager
from tiphys.wire.http import Request, Response

pytestmark = pytest.mark.looptime

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

    def __init__(self, faults: list[Fault], lengths: list[float]) -> None:
        self.api = FakeApi(clock=VirtualClock())
        self.created: Counter[str] = Counter()
        """Jobs by the time that they are the run of."""
        self.most_active = 0
        self._faults: Iterator[Fault] = iter(faults)
        self._lengths = iter(lengths)
        self._killed = asyncio.Event()
        self._inside = False
        self._past: deque[dict[str, Response]] = deque(maxlen=5)
        """Lists as they were before each of the last writes."""
        self._stale: dict[str, Response] = {}
        """Lists that the next process gets: its server is behind."""
        self.api.react(self._react)

    def _react(self, call: Call, request: Request) -> Response | None:
        if self._inside or not request.headers["user-agent"].startswith("tiphys-controller-manager"):
            return None
        if self._killed.is_set():
            raise ConnectionError("the process is gone")
        if call.resource == "events" or call.verb == "get":
            return None
        if call.verb in ("list", "watch"):
            return self._answer_behind(call)
        return self._write(call, request, next(self._faults, ""))

    def _answer_behind(self, call: Call) -> Response | None:
        """Answer with an old list, and with a watch that shows nothing for a while."""
        if call.resource not in self._stale:
            return None
        if call.verb == "list":
            return self._stale[call.resource]
        del self._stale[call.resource]
        return Response(headers={"content-type": "application/json"}, stream=self._nothing())

    async def _nothing(self) -> AsyncIterator[bytes]:
        for frame in [b""] * 2:
            yield frame
            await self.api.clock.sleep(BEHIND / 2)
        raise ConnectionError("the server that was behind is gone")

    def _write(self, call: Call, request: Request, fault: Fault) -> Response:
        self._past.append({kind: self._ask("GET", f"/apis/batch/v1/{kind}") for kind in ("cronjobs", "jobs")})
        if fault in ("lose request", "crash before"):
            if fault == "crash before":
                self._killed.set()
            raise ConnectionError(fault)
        if fault.startswith("stall"):
            for watcher in self.api.store.watchers:
                watcher.stalled = fault == "stall" or "jobs" in watcher.resource
        answer = self._ask(request.method, request.path, request)
        self._look(call, request)
        if fault.startswith("crash"):
            self._killed.set()
        if fault.endswith("behind"):
            self._stale = dict(self._past[0])
            if fault == "crash, then jobs behind":
                del self._stale["cronjobs"]
        if fault.endswith("lose answer") or fault.startswith("crash"):
            raise ConnectionError(fault)
        return answer

    def _ask(self, method: str, path: str, request: Request | None = None) -> Response:
        self._inside = True
        try:
            return self.api._dispatch(request or Request(method=method, path=path, query=(), headers={}, body=b""))
        finally:
            self._inside = False

    def _look(self, call: Call, request: Request) -> None:
        if call.verb == "create":
            made = self.api.decode(self.api.scheme.of(batch.Job), request.body)
            self.created[made.metadata.annotations[SCHEDULED_AT]] += 1
            running = [job for job in self.api.list(batch.Job) if not is_finished(job.status)]
            self.most_active = max(self.most_active, len(running))

    async def run_loop(self) -> None:
        while True:
            self._killed.clear()
            manager = Manager(self.api.client(user_agent="tiphys-controller-manager"), clock=self.api.clock, rng=random.Random(1))
            manager.add_all([CronJobController(CronJobSettings(time_zone="UTC"))])
            task = asyncio.create_task(manager.run())
            try:
                await self._killed.wait()
            finally:
                await cancel_and_wait(task)
            # The next one begins with a fresh look, some seconds later.
            await self.api.clock.sleep(3.0)

    async def end_jobs(self) -> None:
        ends: dict[str, float] = {}
        while True:
            await self.api.clock.sleep(4.0)
            now = self.api.clock.now()
            for job in self.api.list(batch.Job):
                end = ends.setdefault(job.metadata.uid, now.timestamp() + next(self._lengths, 20.0))
                if now.timestamp() >= end and not is_finished(job.status):
                    job.status.completionTime = base.time(now)
                    job.status.conditions = [batch.JobCondition(type="Complete", status="True")]
                    self.api.add(job)


@asynccontextmanager
async def running(world: World) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(world.run_loop()), asyncio.create_task(world.end_jobs())]
    try:
        yield
        assert not [task for task in tasks if task.done()]
    finally:
        for task in tasks:
            await cancel_and_wait(task)


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
    world = World(faults, lengths)
    wanted = cron_job(concurrencyPolicy=policy, successfulJobsHistoryLimit=limit)
    await world.api.client().create(batch.CronJob(metadata=ObjectMeta(name="tick", namespace="default"), spec=wanted.spec))
    async with running(world):
        await world.api.clock.sleep(TROUBLE * MINUTE)
        assert [due for due, count in world.created.items() if count > 1] == []
        assert policy == "Allow" or world.most_active <= 1
        # When the faults are over, and the watches that went dead are found out, everything runs as it should.
        faults.clear()
        lengths.clear()
        world.api.store.end_watches(ConnectionError("found out"))
        await world.api.clock.sleep(5 * MINUTE + (90.0 - world.api.clock.now().timestamp() % MINUTE) % MINUTE)
        world.created.clear()
        await world.api.clock.sleep(5 * MINUTE)
    assert list(world.created.values()) == [1] * 5
    tick = world.api.get(batch.CronJob, "tick", "default")
    alive = {job.metadata.uid for job in world.api.list(batch.Job) if not is_finished(job.status)}
    assert {ref.uid for ref in tick.status.active} == alive
    assert tick.status.lastScheduleTime == max(datetime.fromisoformat(due) for due in world.created)
    assert len(world.api.list(batch.Job)) - len(alive) <= limit


async def test_a_job_of_somebody_else_with_the_name_of_a_run_is_left_alone() -> None:
    world = World([], [])
    await world.api.client().create(batch.CronJob(metadata=ObjectMeta(name="tick", namespace="default"), spec=cron_job().spec))
    minute = int(world.api.clock.now().timestamp()) // 60 + 1
    world.api.add(
        batch.Job(
            metadata=ObjectMeta(name=f"tick-{minute}", namespace="default"),
            spec=batch.JobSpec(template=cron_job().spec.jobTemplate.spec.template),
        )
    )
    async with running(world):
        await world.api.clock.sleep(3 * MINUTE)
    assert len(world.created) == 2
