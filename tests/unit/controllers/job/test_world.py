"""Jobs in a world of faults: each pod is counted exactly once, none is created twice, and what a Job has become it stays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest

from tests.unit.controllers.job.world import World, index_of
from tiphys.api.batch import v1 as batch
from tiphys.api.core import v1 as core
from tiphys.api.helpers.jobs import TRACKING
from tiphys.api.helpers.pods import is_active
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.controllers.job.indexes import Indexes
from tiphys.testing.memory_api import MemoryApi

pytestmark = pytest.mark.looptime


def job(**spec: object) -> batch.Job:
    containers = [core.Container(name="main", image="a", terminationMessagePolicy="File", imagePullPolicy="Always")]
    template = core.PodTemplateSpec(spec=core.PodSpec(containers=containers, restartPolicy="Never"))
    wanted = batch.JobSpec(template=template, **spec)  # type: ignore[arg-type]
    return batch.Job(metadata=ObjectMeta(name="sum", namespace="default"), spec=wanted)


def check_conditions(world: World) -> None:
    """Conditions only come to be, in order; a verdict is never followed by another one, and what is final stays."""
    before: list[str] = []
    for state in world.jobs():
        types = [one.type for one in state.status.conditions if one.type != "Suspended"]
        assert types[: len(before)] == before
        assert types in ([], ["FailureTarget"], ["FailureTarget", "Failed"], ["SuccessCriteriaMet"], ["SuccessCriteriaMet", "Complete"])
        before = types
    assert len(before) == 2


def check_crowds(world: World, parallelism: int) -> None:
    for crowd in world.crowds():
        assert sum(map(is_active, crowd)) <= parallelism


def check_needed(world: World, completions: int) -> None:
    """No more pods run than successes are missing, whatever the controller knows of them."""
    succeeded: set[str] = set()
    for crowd in world.crowds():
        succeeded |= {pod.metadata.uid for pod in crowd if pod.status.phase == "Succeeded" and TRACKING in pod.metadata.finalizers}
        assert sum(map(is_active, crowd)) + len(succeeded) <= completions


def check_settled(world: World, done: batch.Job) -> None:
    assert not [pod for pod in world.api.list(core.Pod) if TRACKING in pod.metadata.finalizers]
    status = done.status
    assert (status.active, status.ready, status.terminating) == (0, 0, 0)
    assert status.uncountedTerminatedPods == batch.UncountedTerminatedPods()


@pytest.mark.parametrize("seed", range(8))
async def test_counts_every_pod_once(api: MemoryApi, seed: int) -> None:
    world = World(api, seed)
    done = await world.run(job(completions=6, parallelism=3, backoffLimit=seed % 5 * 5))
    check_conditions(world)
    check_crowds(world, 3)
    check_settled(world, done)
    succeeded, failed = world.named()
    assert not succeeded & failed
    assert (done.status.succeeded, done.status.failed) == (len(succeeded), len(failed))
    assert world.ended("Succeeded") <= succeeded | failed
    assert world.ended("Failed") <= failed
    if done.status.conditions[-1].type == "Complete":
        assert done.status.succeeded >= 6


@pytest.mark.parametrize("seed", range(8))
async def test_never_runs_an_index_twice(api: MemoryApi, seed: int) -> None:
    per_index = {"backoffLimitPerIndex": 2, "maxFailedIndexes": 3} if seed % 2 else {"backoffLimit": 20}
    world = World(api, seed)
    done = await world.run(job(completions=6, parallelism=4, completionMode="Indexed", **per_index))
    check_conditions(world)
    check_crowds(world, 4)
    check_settled(world, done)
    successes: set[int] = set()
    undisturbed: set[int] = set()
    """Indexes whose pods succeeded without being deleted, which counts as a failure at once."""
    before: Iterable[int] = ()
    for crowd in world.crowds():
        running = Counter(index_of(pod) for pod in crowd if is_active(pod))
        assert max(running.values(), default=0) <= 1
        assert not (running.keys() - before) & undisturbed, "an index that has succeeded is not begun again"
        before = running.keys()
        done_pods = [pod for pod in crowd if pod.status.phase == "Succeeded" and TRACKING in pod.metadata.finalizers]
        successes |= {index_of(pod) for pod in done_pods}
        undisturbed |= {index_of(pod) for pod in done_pods if pod.metadata.deletionTimestamp is None}
    _, failed = world.named()
    status = done.status
    completed, broken = Indexes.parse(status.completedIndexes, 6), Indexes.parse(status.failedIndexes or "", 6)
    assert not completed.overlap(broken)
    assert status.succeeded == completed.total
    assert status.failed == len(failed)
    assert world.ended("Failed") <= failed
    if status.conditions[-1].type == "Complete":
        assert completed.total == 6
    assert all(index in successes for index in range(6) if completed.has(index))


@pytest.mark.parametrize("seed", range(8))
async def test_pods_that_are_given_up_do_not_count_unless_they_ended(api: MemoryApi, seed: int) -> None:
    world = World(api, seed, deleting=0.0, failing=0.1)
    indexed = {"completionMode": "Indexed"} if seed % 2 else {}
    done = await world.run(job(completions=20, parallelism=4, backoffLimit=40, **indexed), restless=15)
    check_crowds(world, 4)
    check_settled(world, done)
    check_needed(world, 20)
    succeeded, failed = world.named()
    assert done.status.failed == len(failed)
    assert world.ended("Failed") <= failed
    types = [one.type for one in done.status.conditions if one.type != "Suspended"]
    assert types == ["SuccessCriteriaMet", "Complete"]
    if seed % 2:
        assert (done.status.succeeded, done.status.completedIndexes) == (20, "0-19")
    else:
        assert world.ended("Succeeded") <= succeeded | failed
        assert done.status.succeeded == len(succeeded)
