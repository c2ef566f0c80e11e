"""Jobs against the real API server in virtual time: pods are created, counted once, replaced and given up; the tests play the kubelet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tiphys.aio.clock import VirtualClock
from tiphys.api.batch import v1 as batch
from tiphys.api.core import v1 as core
from tiphys.api.helpers.jobs import COMPLETION_INDEX, CONTROLLER_LABELS, NAME_LABELS
from tiphys.runtime import controller_of
from tiphys.testing import eventually
from tiphys.testing.api_server import running_api_server

from .conftest import Cluster
from .jobs import active, create, end, ends, finish_deletion, get, index_of, indexed, is_active, is_tracked, job, status_is, told

pytestmark = pytest.mark.looptime


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with running_api_server(tmp_path, clock=VirtualClock()) as (_, client_for):
        yield Cluster(client_for, tmp_path)


async def test_runs_pods_until_enough_succeeded(cluster: Cluster) -> None:
    async with cluster.controllers():
        made = await create(cluster, job(completions=3, parallelism=2))
        first = await active(cluster, 2)
        for pod in first:
            owner = controller_of(pod)
            assert owner is not None
            assert (owner.kind, owner.apiVersion, owner.name, owner.uid) == ("Job", "batch/v1", "sum", made.metadata.uid)
            assert owner.blockOwnerDeletion
            assert pod.metadata.name.startswith("sum-")
            assert {pod.metadata.labels[label] for label in NAME_LABELS} == {"sum"}
            assert {pod.metadata.labels[label] for label in CONTROLLER_LABELS} == {made.metadata.uid}
            assert pod.metadata.labels["app"] == "sum"
            assert is_tracked(pod)
        started = await status_is(cluster, active=2, ready=0, succeeded=0, terminating=0)
        assert started.status.startTime is not None
        await cluster.make_ready(first[0])
        await status_is(cluster, active=2, ready=1)
        await end(cluster, first[0])
        await status_is(cluster, active=2, ready=0, succeeded=1)
        for pod in await active(cluster, 2):
            await end(cluster, pod)
        done = await ends(cluster, "SuccessCriteriaMet", "Complete", reason="CompletionsReached")
        assert (done.status.succeeded, done.status.failed, done.status.active, done.status.completedIndexes) == (3, 0, 0, "")
        assert done.status.completionTime is not None
        assert done.status.uncountedTerminatedPods == batch.UncountedTerminatedPods()
        assert not [pod for pod in await cluster.pods() if is_tracked(pod)]
        assert len(await cluster.pods()) == 3
        assert await eventually(lambda: _all_told(cluster, "SuccessfulCreate", "SuccessfulCreate", "SuccessfulCreate", "Completed"))


async def _all_told(cluster: Cluster, *reasons: str) -> bool:
    return sorted(await told(cluster)) == sorted(reasons)


async def test_failed_pods_are_replaced_after_a_wait_that_doubles(cluster: Cluster) -> None:
    clock = cluster.client.clock
    async with cluster.controllers():
        await create(cluster, job(backoffLimit=3))
        waits = []
        for failures in range(3):
            (pod,) = await active(cluster, 1)
            await end(cluster, pod, 1)
            failed = clock.now()
            await status_is(cluster, failed=failures + 1, active=0)
            await active(cluster, 1)
            waits.append((clock.now() - failed).total_seconds())
        for waited, expected in zip(waits, (10, 20, 40), strict=True):
            assert expected - 1 <= waited <= expected + 2
        (pod,) = await active(cluster, 1)
        await end(cluster, pod, 1)
        failed_job = await ends(cluster, "FailureTarget", "Failed", reason="BackoffLimitExceeded")
        assert failed_job.status.failed == 4
        assert failed_job.status.completionTime is None
        assert await eventually(lambda: _has_told(cluster, "BackoffLimitExceeded"))


async def _has_told(cluster: Cluster, reason: str) -> bool:
    return reason in await told(cluster)


async def test_a_job_that_fails_takes_its_other_pods_along(cluster: Cluster) -> None:
    async with cluster.controllers():
        await create(cluster, job(completions=3, parallelism=3, backoffLimit=0))
        pods = await active(cluster, 3)
        for pod in pods:
            await cluster.add_node("n1")
            await _bind(cluster, pod)
        await end(cluster, pods[0], 1)
        await status_is(cluster, active=0, terminating=2, failed=3)
        assert [one.type for one in (await get(cluster)).status.conditions] == ["FailureTarget"], "its pods still run"
        for pod in pods[1:]:
            await finish_deletion(cluster, pod)
        await ends(cluster, "FailureTarget", "Failed", reason="BackoffLimitExceeded")
        await status_is(cluster, active=0, terminating=0, failed=3)


async def _bind(cluster: Cluster, pod: core.Pod) -> None:
    """Bind a pod, so that its deletion takes the time that a kubelet takes."""
    from tiphys.api.meta.v1 import ObjectMeta, Status

    binding = core.Binding(
        metadata=ObjectMeta(name=pod.metadata.name, namespace="default"), target=core.ObjectReference(kind="Node", name="n1")
    )
    await cluster.client.post(core.Pod, pod.metadata.name, "default", "binding", binding, Status)


async def test_indexed_pods_have_an_index_a_host_name_and_a_variable(cluster: Cluster) -> None:
    async with cluster.controllers():
        await create(cluster, indexed(4, parallelism=2))
        pods = await active(cluster, 2)
        assert [index_of(pod) for pod in pods] == [0, 1]
        for index, pod in enumerate(pods):
            assert pod.metadata.name.startswith(f"sum-{index}-")
            assert pod.metadata.labels[COMPLETION_INDEX] == str(index)
            assert pod.spec.hostname == f"sum-{index}"
            (variable,) = [found for found in pod.spec.containers[0].env if found.name == "JOB_COMPLETION_INDEX"]
            assert variable.valueFrom is not None
            assert variable.valueFrom.fieldRef is not None
            assert variable.valueFrom.fieldRef.fieldPath == f"metadata.labels['{COMPLETION_INDEX}']"
        await end(cluster, pods[1])
        await status_is(cluster, completedIndexes="1", succeeded=1, active=2)
        for _ in range(3):
            pods = [pod for pod in await cluster.pods() if is_active(pod)]
            if pods:
                await end(cluster, pods[0])
                await eventually(lambda pod=pods[0]: _counted(cluster, pod))
        await ends(cluster, "SuccessCriteriaMet", "Complete", reason="CompletionsReached")
        await status_is(cluster, completedIndexes="0-3", succeeded=4, failedIndexes=None)


async def _counted(cluster: Cluster, pod: core.Pod) -> bool:
    return not is_tracked(await cluster.client.get(core.Pod, pod.metadata.name, "default"))
