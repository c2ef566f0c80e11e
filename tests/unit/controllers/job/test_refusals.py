"""Jobs whose writes are refused: what they are told, and that they try again ever more rarely."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.controllers.job.test_world import job
from tiphys.api.batch import v1 as batch
from tiphys.api.core import v1 as core
from tiphys.api.machinery import errors
from tiphys.api.meta.v1 import StatusCause, StatusDetails
from tiphys.controllers.job.controller import JobController
from tiphys.testing import eventually
from tiphys.testing.loops import running_loops
from tiphys.testing.memory_api import MemoryApi

pytestmark = pytest.mark.looptime


def tried(api: MemoryApi, verb: str, resource: str) -> int:
    return sum((call.verb, call.resource) == (verb, resource) for call in api.calls)


async def test_refused_pods_are_tried_again_ever_more_rarely(api: MemoryApi) -> None:
    api.faults.fail("create pods", errors.Forbidden("exceeded quota"), times=None)
    async with running_loops(api.client(), JobController):
        await api.client().create(job(completions=100, parallelism=100))
        await asyncio.sleep(3600.0)
    assert 10 < tried(api, "create", "pods") < 60, "one at a time, and with growing delays"
    assert tried(api, "update", "jobs") < 5
    assert api.get(batch.Job, "sum", "default").status.active == 0
    events = [change.object for change in api.changes(core.Event)]
    assert any(event.reason == "FailedCreate" and "exceeded quota" in event.message for event in events)


async def test_a_namespace_that_ends_is_not_told_again_and_again(api: MemoryApi) -> None:
    details = StatusDetails(causes=[StatusCause(reason="NamespaceTerminating", message="it ends")])
    api.faults.fail("create pods", errors.Forbidden("it ends", details=details), times=None)
    async with running_loops(api.client(), JobController):
        await api.client().create(job(completions=100, parallelism=100))
        await asyncio.sleep(3600.0)
    assert tried(api, "create", "pods") < 5
    assert not api.changes(core.Event)


async def test_a_refused_status_is_tried_again_ever_more_rarely(api: MemoryApi) -> None:
    """Pods are created once all the same: the loop sees what it did."""
    api.faults.fail("update jobs/status", errors.Forbidden("not today"), times=None)
    async with running_loops(api.client(), JobController):
        await api.client().create(job(completions=3, parallelism=3))
        await asyncio.sleep(3600.0)
    assert 5 < tried(api, "update", "jobs") < 60
    assert len(api.list(core.Pod)) == 3


async def test_one_look_at_the_server_is_enough(api: MemoryApi) -> None:
    """A Job that was there before is listed once; one that comes into being is not listed at all."""
    await api.client().create(job(completions=3, parallelism=3))
    async with running_loops(api.client(), JobController):
        await eventually(lambda: len(api.list(core.Pod)) == 3)
        second = job(completions=2, parallelism=2)
        second.metadata.name = "second"
        await api.client().create(second)
        await asyncio.sleep(60.0)
        # The informers list as well.
        assert tried(api, "list", "pods") == 2
        assert tried(api, "list", "jobs") == 2
        assert len(api.list(core.Pod)) == 5


async def test_a_pod_whose_finalizer_cannot_be_removed_is_not_counted(api: MemoryApi) -> None:
    """A refusal is no proof that it is gone: the pod is named, and counted when the finalizer goes."""
    api.faults.fail("patch pods", errors.Invalid.object("Pod", "sum", []), times=5)
    async with running_loops(api.client(), JobController):
        await api.client().create(job(completions=2, parallelism=1))
        await eventually(lambda: len(api.list(core.Pod)) == 1)
        (pod,) = api.list(core.Pod)
        pod.status.phase = "Succeeded"
        api.add(pod)
        await eventually(lambda: tried(api, "patch", "pods") == 3)
        status = api.get(batch.Job, "sum", "default").status
        assert status.succeeded == 0
        assert status.uncountedTerminatedPods == batch.UncountedTerminatedPods(succeeded=[pod.metadata.uid])
        await eventually(lambda: api.get(batch.Job, "sum", "default").status.succeeded == 1)
        assert tried(api, "patch", "pods") == 6
