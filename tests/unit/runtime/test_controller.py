"""The reconcile loop: what becomes of each outcome, and that a controller sees its own writes."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.machinery import errors
from tiphys.api.meta.v1 import ObjectMeta, OwnerReference
from tiphys.client import PartialObject
from tiphys.runtime import (
    DONE,
    OWNER,
    ControllerContext,
    Declaration,
    Informer,
    Key,
    LeaderElector,
    LeadershipLost,
    Manager,
    Result,
    Slim,
    Terminal,
    UndeclaredRead,
    Whole,
    index_owners,
    to_owner,
)
from tiphys.testing import eventually
from tiphys.testing.memory_api import MemoryApi
from tiphys.testing.samples import config, pod

pytestmark = pytest.mark.looptime

KEY = Key("default", "c")


class Scripted:
    """Reconciles config maps as told, and notes when it was called."""

    declaration = Declaration(name="scripted", reads=(Whole(core.ConfigMap),))

    def __init__(self, *script: Result | Exception) -> None:
        self.script = list(script)
        self.calls: list[tuple[Key, float]] = []

    def setup(self, ctx: ControllerContext) -> None:
        # The server has some of its own in kube-system.
        ctx.watch(ctx.read(core.ConfigMap), lambda obj: [Key("default", obj.metadata.name)] if obj.metadata.namespace == "default" else [])

    async def reconcile(self, key: Key) -> Result:
        self.calls.append((key, asyncio.get_running_loop().time()))
        step = self.script.pop(0) if self.script else DONE
        if isinstance(step, Exception):
            raise step
        return step


@asynccontextmanager
async def running(api: MemoryApi, *controllers: Scripted | ReplicaSets, workers: int = 2) -> AsyncIterator[Manager]:
    manager = Manager(api.client(), clock=api.clock, rng=random.Random(1))
    for controller in controllers:
        manager.add(controller, workers=workers)
    task = asyncio.create_task(manager.run())
    await eventually(lambda: manager.synced)
    yield manager
    await cancel_and_wait(task)


async def test_events_become_keys_and_done_means_quiet(api: MemoryApi) -> None:
    controller = Scripted()
    api.add(config("c"))
    async with running(api, controller):
        await asyncio.sleep(100)
        assert [key for key, _ in controller.calls] == [KEY]
        api.add(config("c", x="1"))
        api.remove(core.ConfigMap, "c", "default")
        await asyncio.sleep(100)
        assert 2 <= len(controller.calls) <= 3


async def test_result_after_comes_back_later(api: MemoryApi) -> None:
    controller = Scripted(Result(after=30))
    api.add(config("c"))
    async with running(api, controller):
        await asyncio.sleep(100)
    (_, first), (_, second) = controller.calls
    assert round(second - first, 3) == 30


async def test_failures_back_off_and_a_success_forgets_them(api: MemoryApi) -> None:
    controller = Scripted(ValueError("bug"), ConnectionError("away"), errors.Conflict("stale"), Result(after=10), RuntimeError("x"))
    api.add(config("c"))
    async with running(api, controller):
        await asyncio.sleep(100)
    moments = [moment for _, moment in controller.calls]
    gaps = [round(later - earlier, 3) for earlier, later in itertools.pairwise(moments)]
    assert gaps == [0.005, 0.01, 0.02, 10.0, 0.005]


async def test_a_pause_does_not_make_failures_forgotten(api: MemoryApi) -> None:
    pause = Result(after=1, early=True)
    controller = Scripted(ValueError("bug"), pause, ValueError("bug"), pause, ValueError("bug"), pause, Result(after=10), ValueError("bug"))
    api.add(config("c"))
    async with running(api, controller):
        await asyncio.sleep(100)
    moments = [moment for _, moment in controller.calls]
    gaps = [round(later - earlier, 3) for earlier, later in itertools.pairwise(moments)]
    assert gaps == [0.005, 1.0, 0.01, 1.0, 0.02, 1.0, 10.0, 0.005]


async def test_the_stack_of_repeated_failures_is_logged_once(api: MemoryApi, caplog: pytest.LogCaptureFixture) -> None:
    scripted = Scripted(*[ValueError("busy")] * 3)
    await api.client().create(config("c"))
    async with running(api, scripted):
        await eventually(lambda: len(scripted.calls) == 4)
    logged = [record for record in caplog.records if record.getMessage() == "reconcile failed"]
    assert [record.exc_info is not None for record in logged] == [True, False, False]


async def test_terminal_is_not_tried_again(api: MemoryApi, caplog: pytest.LogCaptureFixture) -> None:
    controller = Scripted(Terminal("never"))
    api.add(config("c"))
    async with running(api, controller):
        await asyncio.sleep(1000)
        assert len(controller.calls) == 1
        api.add(config("c", x="1"))
        await eventually(lambda: len(controller.calls) == 2)
    assert "gave up" in caplog.text


async def test_the_server_s_wish_to_wait_is_obeyed(api: MemoryApi) -> None:
    controller = Scripted(errors.TooManyRequests("slow down", retry_after=7))
    api.add(config("c"))
    async with running(api, controller):
        await asyncio.sleep(100)
    (_, first), (_, second) = controller.calls
    assert round(second - first, 3) == 7


class ReplicaSets:
    """Makes pods for replica sets the naive way: it counts what the cache shows and creates the rest."""

    declaration = Declaration(name="replicas", reads=(Whole(apps.ReplicaSet), Whole(core.Pod), Whole(core.ConfigMap)))

    def setup(self, ctx: ControllerContext) -> None:
        self.client = ctx.client
        self.sets: Informer[apps.ReplicaSet] = ctx.read(apps.ReplicaSet)
        self.pods: Informer[core.Pod] = index_owners(ctx.read(core.Pod))
        ctx.watch(self.sets)
        ctx.watch(self.pods, to_owner("ReplicaSet", "apps"))
        ctx.watch(ctx.read(core.ConfigMap), lambda obj: [Key(obj.metadata.namespace, "r")])

    async def reconcile(self, key: Key) -> Result:
        owner = self.sets.get(key)
        if owner is None:
            return DONE
        have = self.pods.by_index(OWNER, owner.metadata.uid)
        for number in range(len(have), owner.spec.replicas or 0):
            new = pod("")
            new.metadata.generateName = f"r-{number}-"
            new.metadata.ownerReferences = [
                OwnerReference(apiVersion="apps/v1", kind="ReplicaSet", name="r", uid=owner.metadata.uid, controller=True)
            ]
            await self.client.create(new)
        return DONE


async def test_a_reconcile_waits_for_the_cache_to_show_its_own_writes(api: MemoryApi) -> None:
    wanted = apps.ReplicaSet(metadata=ObjectMeta(name="r", namespace="default"))
    wanted.spec.replicas = 3
    async with running(api, ReplicaSets()) as manager:
        await eventually(lambda: len(api.faults.watches) == 3)
        lag = api.faults.hold_events("watch pods")
        api.add(wanted)
        await eventually(lambda: len(api.list(core.Pod)) == 3)
        for number in range(5):
            # Each of these asks for a reconcile while the cache shows no pods at all.
            api.add(config(f"c{number}"))
            await asyncio.sleep(5)
        assert len(manager.informers.of(core.Pod)) == 0
        assert len(api.list(core.Pod)) == 3
        lag.stop()
        await eventually(lambda: len(manager.informers.of(core.Pod)) == 3)
        api.remove(core.Pod, api.list(core.Pod)[0].metadata.name, "default")
        await eventually(lambda: len(api.list(core.Pod)) == 3)
    created = [call for call in api.writes() if call.resource == "pods"]
    assert len(created) == 4


class Curious(Scripted):
    """Takes a cache that it does not declare."""

    declaration = Declaration(name="curious", reads=(Whole(core.Pod),))


class Elsewhere(Scripted):
    """Keeps what another loop keeps, in a different form."""

    declaration = Declaration(name="elsewhere", reads=(Slim(PartialObject, core.ConfigMap),))


class Follower(Scripted):
    """Follows a kind that it is told of."""

    declaration = Declaration(name="follower", follows_any=True)

    def setup(self, ctx: ControllerContext) -> None:
        self.followed = ctx.follow(ctx.client.kind_of(core.ConfigMap))


async def test_undeclared_reads_are_refused_at_start(api: MemoryApi) -> None:
    manager = Manager(api.client(), clock=api.clock)
    with pytest.raises(UndeclaredRead, match="curious does not declare that it reads ConfigMap"):
        manager.add(Curious())
    with pytest.raises(UndeclaredRead, match="scripted does not declare that it follows kinds such as configmaps"):
        manager.add(Scripted()).ctx.follow(api.client().kind_of(core.ConfigMap))
    with pytest.raises(ValueError, match="reads a type twice"):
        Declaration(name="double", reads=(Whole(core.Pod), Whole(core.Pod, namespace="default")))
    with pytest.raises(ValueError, match="elsewhere keeps configmaps in a different form"):
        manager.add(Elsewhere())


async def test_a_follower_uses_the_cache_of_another_loop(api: MemoryApi) -> None:
    alone, together = Follower(), Follower()
    Manager(api.client(), clock=api.clock).add_all([alone])
    manager = Manager(api.client(), clock=api.clock)
    manager.add_all([together, Scripted()])
    assert alone.followed.kind.type is PartialObject
    assert together.followed is manager.informers.of(core.ConfigMap)


async def test_only_caches_the_controller_took_hold_it_up(api: MemoryApi) -> None:
    api.faults.fail("* nodes", errors.Forbidden("no"), times=None)
    controller = Scripted()
    api.add(config("c"))
    async with running(api, controller) as manager:
        nodes = manager.informers.of(core.Node)
        await eventually(lambda: controller.calls)
        assert not nodes.synced


async def test_nothing_is_left_running_after_a_manager(api: MemoryApi) -> None:
    await api.start()
    before = asyncio.all_tasks()
    async with running(api, Scripted(Result(after=1000)), ReplicaSets()):
        assert len(asyncio.all_tasks()) > len(before)
    assert asyncio.all_tasks() == before
    assert not api.faults.watches


async def test_a_service_is_started_again_after_a_failure(api: MemoryApi) -> None:
    starts = 0

    async def sweep() -> None:
        nonlocal starts
        starts += 1
        if starts < 3:
            raise RuntimeError("bug")
        await asyncio.sleep(10**6)

    manager = Manager(api.client(), clock=api.clock)
    manager.add_service("sweep", sweep)
    task = asyncio.create_task(manager.run())
    await eventually(lambda: starts == 3)
    await cancel_and_wait(task)


async def test_a_manager_works_only_while_it_leads(api: MemoryApi) -> None:
    controllers = {name: Scripted() for name in ("one", "two")}
    tasks: dict[str, asyncio.Task[None]] = {}
    for name, controller in controllers.items():
        client = api.client()
        elector = LeaderElector(client, "test", name, clock=api.clock, rng=random.Random(1))
        manager = Manager(client, clock=api.clock, elector=elector)
        manager.add(controller)
        tasks[name] = asyncio.create_task(manager.run())
        await asyncio.sleep(5)
    api.add(config("c"))
    await eventually(lambda: controllers["one"].calls)
    assert not controllers["two"].calls
    await cancel_and_wait(tasks["one"])
    await eventually(lambda: controllers["two"].calls)
    api.faults.down = True
    with pytest.raises(LeadershipLost):
        await tasks["two"]
    assert api.find(core.ConfigMap, "c", "default") is not None
