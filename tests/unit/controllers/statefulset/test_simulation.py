"""StatefulSets under faults: lagging caches, conflicts, lost answers, and crashes; no write may do harm, and all end well."""

from __future__ import annotations

import asyncio
import random

import pytest

from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.client.client import Client
from tiphys.testing import eventually
from tiphys.testing.chances import Chances
from tiphys.testing.crashes import crash_between_writes
from tiphys.testing.memory_api import MemoryApi

from .world import BROKEN, World, control, is_available, kubelet

pytestmark = pytest.mark.looptime

HOUR = 3600.0
LAGGING = Chances(
    unreachable=0, lost_answer=0, unavailable=0, busy=0, conflict=0.1, late=0.3, late_seconds=5, ended=0, broken=0, repeated=0.1, lost=0
)
"""Requests and caches are late; nothing is lost."""


async def settled(world: World) -> None:
    await eventually(world.is_settled, timeout=HOUR, interval=1.0)


async def live(world: World, *, steps: int) -> None:
    """Let a user change things at bad moments, while the caches lag behind."""
    rng = world.rng
    for _ in range(steps):
        resource = rng.choice(["watch pods", "watch statefulsets", "watch controllerrevisions", "watch persistentvolumeclaims", "watch"])
        with world.faults.hold_events(resource):
            await asyncio.sleep(rng.uniform(0, 15))
        await asyncio.sleep(rng.uniform(0, 20))
        change = rng.choice(["image", "image", "size", "partition", "nothing"])
        if change == "image":
            world.change(image=rng.choice(["a", "b", "c", BROKEN]))
        elif change == "size":
            world.change(replicas=rng.randrange(6))
        elif change == "partition":
            world.change(partition=rng.choice([0, 0, 1, 3]))


def begin(world: World) -> None:
    rng = world.rng
    world.create(
        replicas=rng.randrange(1, 6),
        parallel=rng.random() < 0.5,
        unavailable=rng.choice([None, 1, 2]),
        claims=rng.choice([(), ("data",)]),
        retention=rng.choice([("Retain", "Retain"), ("Delete", "Retain")]),
        revisionHistoryLimit=rng.choice([0, 2, 10]),
    )


async def end(world: World) -> None:
    """With faults over and an image that works, everything is soon as it should be, and then nothing is written any more."""
    world.faults.clear()
    world.change(image="z", replicas=4, partition=0)
    await settled(world)
    assert world.judge.objections == []
    await asyncio.sleep(60)
    before = len(world.faults.writes())
    await asyncio.sleep(600)
    assert [str(call) for call in world.faults.writes()[before:]] == []
    limit = world.owner.spec.revisionHistoryLimit or 0
    assert len(world.api.list(apps.ControllerRevision, "default")) <= limit + 1


@pytest.mark.parametrize("seed", range(6, 12))
async def test_nothing_is_created_twice_because_a_cache_lags(seed: int) -> None:
    async with World.living(seed) as world:
        begin(world)
        world.faults.randomly(world.rng, LAGGING)
        async with world.loop():
            await live(world, steps=12)
            await end(world)
        assert [str(call) for call in world.judge.refused] == []
        assert len(world.judge.created) > 4


@pytest.mark.parametrize("seed", range(100, 106))
async def test_lost_answers_conflicts_and_outages_do_no_harm(seed: int) -> None:
    async with World.living(seed) as world:
        begin(world)
        world.faults.randomly(world.rng, Chances())
        async with world.loop():
            await live(world, steps=12)
            await end(world)


@pytest.mark.parametrize("seed", range(200, 204))
async def test_restarts_do_no_harm(seed: int) -> None:
    async with World.living(seed) as world:
        begin(world)
        world.faults.randomly(world.rng, Chances())
        for _ in range(6):
            async with world.loop():
                await live(world, steps=1)
        async with world.loop():
            await end(world)


@pytest.mark.parametrize("parallel", [False, True])
async def test_a_crash_between_any_two_writes_of_an_update_does_no_harm(parallel: bool) -> None:
    """A new set with claims starts, is updated, and shrinks."""
    worlds: list[World] = []

    def prepare(api: MemoryApi) -> None:
        world = World(api, random.Random(1))
        worlds.append(world)
        world.create(replicas=2, parallel=parallel, claims=("data",), retention=("Delete", "Delete"))

    async def run(client: Client) -> None:
        world = worlds[-1]
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(kubelet(world.api, world.rng))
            tasks.create_task(user(world))
            await control(client)

    async def user(world: World) -> None:
        if world.owner.spec.template.spec.containers[0].image == "a":
            await eventually(lambda: len(world.pods()) == 2 and world.is_settled(), timeout=HOUR, interval=1.0)
            world.change(image="b", replicas=1)

    def check(api: MemoryApi) -> bool:
        world = worlds[-1]
        assert world.owner.spec.replicas == 1
        (data,) = [claim for claim in api.list(core.PersistentVolumeClaim, "default") if claim.metadata.name == "data-web-1"]
        assert [ref.kind for ref in data.metadata.ownerReferences] == ["Pod"]
        return world.is_settled() and world.owner.status.currentRevision == world.owner.status.updateRevision

    assert await crash_between_writes(prepare=prepare, run=run, check=check, timeout=HOUR) > 10


@pytest.mark.parametrize("parallel", [False, True])
async def test_a_rollback_from_a_revision_that_never_works_goes_ahead_by_itself(parallel: bool) -> None:
    async with World.living(1) as world:
        world.create(replicas=3, parallel=parallel)
        async with world.loop():
            await settled(world)
            first = world.owner.status.currentRevision
            world.change(image=BROKEN)
            await asyncio.sleep(300)
            assert [pod.spec.containers[0].image for pod in world.pods()] == ["a", "a", BROKEN]
            world.change(image="a")
            await settled(world)
            assert (world.owner.status.currentRevision, world.owner.status.updateRevision) == (first, first)
            assert world.judge.objections == []


@pytest.mark.parametrize("parallel", [False, True])
async def test_a_fix_of_a_set_that_never_worked_goes_ahead_by_itself(parallel: bool) -> None:
    async with World.living(1) as world:
        world.create(replicas=3, parallel=parallel, image=BROKEN)
        async with world.loop():
            await asyncio.sleep(300)
            world.change(image="a")
            await settled(world)
            assert world.judge.objections == []


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("lost", [False, True])
async def test_a_deletion_that_the_cache_does_not_show_counts(parallel: bool, lost: bool) -> None:
    """web-2 is deleted as surplus, and is wanted again before the cache shows it: until then it must not pass for available."""
    async with World.living(1) as world:
        world.create(replicas=3, parallel=parallel, partition=2)
        async with world.loop():
            await settled(world)
            world.change(image="b")
            await settled(world)
            assert [pod.spec.containers[0].image for pod in world.pods()] == ["a", "a", "b"]
            if lost:
                world.faults.lose_answers("delete pods", seconds=30)
            with world.faults.hold_events("watch pods"):
                world.change(replicas=2)
                await eventually(lambda: len(world.pods()) == 2, timeout=HOUR, interval=0.1)
                world.change(replicas=3, partition=0)
                await asyncio.sleep(60)
                assert [pod.metadata.name for pod in world.pods()] == ["web-0", "web-1"]
                assert all(pod.metadata.deletionTimestamp is None for pod in world.pods())
            await settled(world)
            assert world.judge.objections == []


async def test_a_pod_that_became_ready_unseen_is_not_replaced_out_of_turn() -> None:
    """The cache still shows it as never ready; deleted for that, one more would be missing than may be."""
    async with World.living(1) as world:
        world.create(replicas=2, parallel=True)
        async with world.loop():
            await settled(world)
            world.change(replicas=3)
            await eventually(lambda: len(world.pods()) == 3, timeout=HOUR, interval=0.1)
            with world.faults.hold_events("watch pods"):
                await eventually(lambda: all(map(is_available, world.pods())), timeout=HOUR, interval=0.1)
                world.change(image="b")
                await asyncio.sleep(60)
                assert len(world.pods()) == 3
            await settled(world)
            assert world.judge.objections == []
