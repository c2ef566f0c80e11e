"""Lives of Jobs against the real API server in virtual time: suspended, resized, delegated, orphaned, restarted, deleted, outlived."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from tests.integration.controllers.conftest import Cluster
from tests.integration.controllers.job.jobs import (
    active,
    bind,
    counted,
    create,
    end,
    ends,
    finish_deletion,
    get,
    index_of,
    indexed,
    is_tracked,
    job,
    soon,
    status_is,
    tells,
)
from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.batch import v1 as batch
from tiphys.api.core import v1 as core
from tiphys.api.helpers.jobs import CONTROLLER_LABELS, TRACKING
from tiphys.api.helpers.pods import is_active
from tiphys.api.machinery.errors import NotFound
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.controllers.job.indexes import Indexes
from tiphys.runtime import controller_of

pytestmark = pytest.mark.looptime


async def patch(cluster: Cluster, **spec: object) -> None:
    await cluster.client.patch(batch.Job, "sum", "default", body={"spec": spec})


async def suspension(cluster: Cluster, status: str) -> batch.Job:
    """Wait until the condition Suspended has a status."""

    async def check() -> batch.Job:
        found = await get(cluster)
        assert [(one.type, one.status) for one in found.status.conditions] == [("Suspended", status)]
        return found

    return await soon(check)


async def test_suspended_and_resumed(cluster: Cluster) -> None:
    async with cluster.controllers():
        await create(cluster, job(completions=2, parallelism=2, suspend=True))
        created = await suspension(cluster, "True")
        assert created.status.startTime is None
        assert await cluster.pods() == []
        await patch(cluster, suspend=False)
        resumed = await suspension(cluster, "False")
        first = await active(cluster, 2)
        assert resumed.status.startTime is not None
        await cluster.client.clock.sleep(100.0)
        await patch(cluster, suspend=True)
        stopped = await suspension(cluster, "True")
        assert (stopped.status.startTime, stopped.status.active) == (None, 0)
        await patch(cluster, suspend=False)
        again = await suspension(cluster, "False")
        assert again.status.startTime is not None
        assert (again.status.startTime - resumed.status.startTime).total_seconds() >= 100
        for pod in await active(cluster, 2):
            assert pod.metadata.name not in {old.metadata.name for old in first}
            await end(cluster, pod)
        await soon(lambda: _ended(cluster, "Complete"))
        done = await get(cluster)
        assert (done.status.succeeded, done.status.failed) == (2, 0)
        assert [one.type for one in done.status.conditions] == ["Suspended", "SuccessCriteriaMet", "Complete"]
        deleted, made = ["SuccessfulDelete"] * 2, ["SuccessfulCreate"] * 4
        await tells(cluster, *made, *deleted, "Suspended", "Suspended", "Resumed", "Resumed", "Completed")


async def _ended(cluster: Cluster, type_: str) -> bool:
    return any(one.type == type_ for one in (await get(cluster)).status.conditions)


async def test_a_deadline_ends_it(cluster: Cluster) -> None:
    async with cluster.controllers():
        made = await create(cluster, job(activeDeadlineSeconds=30))
        await active(cluster, 1)
        failed = await ends(cluster, "FailureTarget", "Failed", reason="DeadlineExceeded")
        assert failed.status.conditions[0].message == "Job was active longer than specified deadline"
        assert made.metadata.creationTimestamp is not None
        moment = failed.status.conditions[0].lastTransitionTime
        assert moment is not None
        assert 30 <= (moment - made.metadata.creationTimestamp).total_seconds() <= 32
        await tells(cluster, "SuccessfulCreate", "SuccessfulDelete", "DeadlineExceeded")


@pytest.mark.parametrize("seconds", [300_000_000_000, 2**63 - 1])
async def test_a_deadline_beyond_the_calendar_never_comes(cluster: Cluster, seconds: int) -> None:
    async with cluster.controllers():
        await create(cluster, job(activeDeadlineSeconds=seconds))
        (pod,) = await active(cluster, 1)
        await end(cluster, pod)
        await ends(cluster, "SuccessCriteriaMet", "Complete")


async def test_parallelism_and_completions_change(cluster: Cluster) -> None:
    """An indexed Job whose two numbers are the same grows and shrinks."""
    async with cluster.controllers():
        await create(cluster, indexed(3))
        pods = await active(cluster, 3)
        await end(cluster, pods[2])
        await status_is(cluster, completedIndexes="2", succeeded=1)
        await patch(cluster, parallelism=4, completions=4)
        assert [index_of(pod) for pod in await active(cluster, 3)] == [0, 1, 3]
        await patch(cluster, parallelism=2, completions=2)
        assert [index_of(pod) for pod in await active(cluster, 2)] == [0, 1]
        await status_is(cluster, completedIndexes="", succeeded=0, failed=0)
        for pod in await active(cluster, 2):
            await end(cluster, pod)
        done = await ends(cluster, "SuccessCriteriaMet", "Complete")
        assert (done.status.completedIndexes, done.status.failed) == ("0,1", 0)


async def test_jobs_that_another_controller_manages_are_left_alone(cluster: Cluster) -> None:
    async with cluster.controllers() as manager:
        await create(cluster, job(managedBy="example.com/queue"))
        await create(cluster, job("mine", managedBy="kubernetes.io/job-controller"))
        await active(cluster, 1)
        await soon(lambda: _idle(manager.idle))
        found = await get(cluster)
        assert found.status == batch.JobStatus()
        assert not [pod for pod in await cluster.pods() if pod.metadata.labels["job-name"] == "sum"]


async def _idle(idle: bool) -> bool:
    return idle


async def test_orphans_are_adopted_and_strays_released(cluster: Cluster) -> None:
    async with cluster.controllers():
        made = await create(cluster, job(completions=2, parallelism=2))
        orphan, stray = await active(cluster, 2)
        await cluster.client.patch(core.Pod, orphan.metadata.name, "default", body={"metadata": {"ownerReferences": None}})

        async def adopted() -> bool:
            found = await cluster.client.get(core.Pod, orphan.metadata.name, "default")
            owner = controller_of(found)
            return owner is not None and owner.uid == made.metadata.uid and is_tracked(found)

        await soon(adopted)
        body = {"metadata": {"labels": dict.fromkeys((*CONTROLLER_LABELS, "app"))}}
        await cluster.client.patch(core.Pod, stray.metadata.name, "default", body=body)

        async def released() -> bool:
            found = await cluster.client.get(core.Pod, stray.metadata.name, "default")
            return controller_of(found) is None and not is_tracked(found)

        await soon(released)
        await active(cluster, 3)
        await status_is(cluster, active=2)


@pytest.mark.parametrize("propagation", ["Background", "Foreground"])
async def test_its_pods_go_with_it(cluster: Cluster, propagation: str) -> None:
    async with cluster.controllers():
        await create(cluster, job(completions=3, parallelism=2))
        pods = await active(cluster, 2)
        await bind(cluster, pods[1])
        await cluster.client.delete(batch.Job, "sum", "default", propagation=propagation)
        await soon(lambda: _terminating(cluster, pods[1]))
        await finish_deletion(cluster, pods[1])
        await soon(lambda: _nothing_left(cluster))


async def _terminating(cluster: Cluster, pod: core.Pod) -> bool:
    found = await cluster.client.get(core.Pod, pod.metadata.name, "default")
    return found.metadata.deletionTimestamp is not None


async def _nothing_left(cluster: Cluster) -> bool:
    return not await cluster.pods() and not (await cluster.client.list(batch.Job, "default")).items


async def test_pods_that_are_left_behind_are_held_by_nothing(cluster: Cluster) -> None:
    async with cluster.controllers():
        await create(cluster, job(completions=2, parallelism=2))
        pods = await active(cluster, 2)
        await cluster.client.delete(batch.Job, "sum", "default", propagation="Orphan")
        for pod in pods:
            await counted(cluster, pod)
        assert len(await active(cluster, 2)) == 2, "they go on"
        with pytest.raises(NotFound):
            await get(cluster)


async def test_pods_of_jobs_that_went_while_nobody_looked(cluster: Cluster) -> None:
    """The finalizer goes from pods whose Job is gone or finished, not from those of a Job that another controller manages."""
    async with cluster.controllers():
        made = await create(cluster, job())
        (pod,) = await active(cluster, 1)
        other = await cluster.client.create(job("other", managedBy="example.com/queue"))
    await cluster.client.delete(batch.Job, "sum", "default", propagation="Background")
    theirs = core.Pod(
        metadata=ObjectMeta(name="theirs", namespace="default", finalizers=[TRACKING], ownerReferences=pod.metadata.ownerReferences),
        spec=core.PodSpec(containers=[core.Container(name="main", image="busybox:1")]),
    )
    theirs.metadata.ownerReferences[0].uid, theirs.metadata.ownerReferences[0].name = other.metadata.uid, "other"
    await cluster.client.create(theirs)
    assert made.metadata.uid != other.metadata.uid
    async with cluster.controllers():
        await counted(cluster, pod)
        await cluster.client.clock.sleep(60.0)
        assert is_tracked(await cluster.client.get(core.Pod, "theirs", "default"))


async def test_restarts_in_the_middle_create_and_count_nothing_twice(cluster: Cluster) -> None:
    async with cluster.controllers():
        await create(cluster, job("other"))
    await cluster.client.delete(batch.Job, "other", "default", propagation="Background")
    await cluster.client.create(job(completions=30, parallelism=20))
    for _ in range(8):
        async with cluster.controllers():
            await asyncio.sleep(0)
        running = [pod for pod in await cluster.pods() if pod.metadata.labels["job-name"] == "sum"]
        assert len([pod for pod in running if pod.status.phase not in ("Succeeded", "Failed")]) <= 20
        for pod in running[:3]:
            if pod.status.phase != "Succeeded":
                await end(cluster, pod)
    async with cluster.controllers():
        while not await _ended(cluster, "Complete"):
            for pod in await cluster.pods():
                if pod.status.phase != "Succeeded" and pod.metadata.labels["job-name"] == "sum":
                    await end(cluster, pod)
            await cluster.client.clock.sleep(0.2)
    done = await get(cluster)
    assert (done.status.succeeded, done.status.failed) == (30, 0)
    assert len([pod for pod in await cluster.pods() if pod.metadata.labels["job-name"] == "sum"]) == 30


async def test_refused_pods_are_told_and_tried_again(cluster: Cluster) -> None:
    wanted = job(completions=5, parallelism=5)
    wanted.spec.template.spec.serviceAccountName = "nobody"
    async with cluster.controllers():
        await create(cluster, wanted)

        async def told() -> bool:
            events = (await cluster.client.list(core.Event, "default")).items
            return any(event.reason == "FailedCreate" and "nobody" in event.message for event in events)

        await soon(told)
        await status_is(cluster, active=0)
        await cluster.client.create(core.ServiceAccount(metadata=ObjectMeta(name="nobody", namespace="default")))
        await active(cluster, 5)
        await status_is(cluster, active=5)


async def test_nothing_is_written_while_nothing_happens(cluster: Cluster) -> None:
    async with cluster.controllers():
        await create(cluster, job(completions=3, parallelism=2))
        await active(cluster, 2)
        before = (await status_is(cluster, active=2)).metadata.resourceVersion
        await cluster.client.clock.sleep(3600.0)
        assert (await get(cluster)).metadata.resourceVersion == before
        (pod, *_) = await active(cluster, 2)
        await end(cluster, pod)
        settled = (await status_is(cluster, active=2, succeeded=1)).metadata.resourceVersion
        await cluster.client.clock.sleep(3600.0)
        assert (await get(cluster)).metadata.resourceVersion == settled


async def test_it_is_deleted_some_time_after_its_end(cluster: Cluster) -> None:
    clock = cluster.client.clock
    async with cluster.controllers():
        await create(cluster, job(ttlSecondsAfterFinished=60))
        await create(cluster, job("kept"))
        for pod in await active(cluster, 2):
            await end(cluster, pod)
        await ends(cluster, "SuccessCriteriaMet", "Complete")
        await clock.sleep(30.0)
        # The time to live is that of the end, also when it is changed meanwhile.
        await patch(cluster, ttlSecondsAfterFinished=90)
        await clock.sleep(50.0)
        await get(cluster)
        await clock.sleep(20.0)
        await soon(lambda: _names_are(cluster, "kept"))
        assert {pod.metadata.labels["job-name"] for pod in await cluster.pods()} == {"kept"}


async def _names_are(cluster: Cluster, *names: str) -> bool:
    return [found.metadata.name for found in (await cluster.client.list(batch.Job, "default")).items] == [*names]


async def test_changes_to_the_status(cluster: Cluster) -> None:
    """Users patch, replace and read the status; the counts of the controller hold all the same."""
    async with cluster.controllers():
        await create(cluster, job(completions=4, parallelism=2))
        await active(cluster, 2)
        running = await status_is(cluster, active=2)
        started = running.status.startTime
        assert started is not None
        condition = {"type": "CustomConditionType", "status": "True", "reason": "Tried", "message": "by a test"}
        body = {"metadata": {"annotations": {"patchedstatus": "true"}}, "status": {"conditions": [condition]}}
        patched = await cluster.client.patch(batch.Job, "sum", "default", body=body, subresource="status")
        assert patched.metadata.annotations["patchedstatus"] == "true"
        fresh = await get(cluster)
        fresh.status.conditions.append(batch.JobCondition(type="Another", status="False"))
        await cluster.client.update_status(fresh)
        read = await cluster.client.get_subresource(batch.Job, "sum", "default", "status", batch.Job)
        assert read.metadata.uid == running.metadata.uid
        for _ in range(2):
            for pod in await active(cluster, 2):
                await end(cluster, pod)
                await counted(cluster, pod)
        await soon(lambda: _ended(cluster, "Complete"))
        done = await get(cluster)
        assert (done.status.succeeded, done.status.startTime) == (4, started)
        types = [one.type for one in done.status.conditions]
        assert types == ["CustomConditionType", "Another", "SuccessCriteriaMet", "Complete"]


async def test_the_life_of_a_job(cluster: Cluster) -> None:
    """It is created suspended, patched, replaced, listed everywhere by label, completed, and deleted with its collection."""
    async with cluster.controllers():
        await create(cluster, job(completions=2, parallelism=2, suspend=True))
        await suspension(cluster, "True")
        body = {"metadata": {"labels": {"e2e": "patched"}}, "spec": {"suspend": False}}
        patched = await cluster.client.patch(batch.Job, "sum", "default", body=body)
        assert patched.metadata.labels["e2e"] == "patched"
        await active(cluster, 2)
        fresh = await get(cluster)
        fresh.metadata.annotations["updated"] = "true"
        assert (await cluster.client.update(fresh)).metadata.annotations["updated"] == "true"
        assert [found.metadata.name for found in (await cluster.client.list(batch.Job, labels="e2e=patched")).items] == ["sum"]
        for pod in await active(cluster, 2):
            await end(cluster, pod)
        await soon(lambda: _ended(cluster, "Complete"))
        await cluster.client.delete_collection(batch.Job, "default", labels="e2e=patched", propagation="Background")
        await soon(lambda: _nothing_left(cluster))


async def test_a_thousand_indexes_of_which_some_fail(cluster: Cluster) -> None:
    """Every tenth index fails once, every hundredth for good."""
    attempts: Counter[int] = Counter()

    async def run_pods() -> None:
        async for event in cluster.client.watch(core.Pod):
            pod = event.object
            if event.type == "ADDED" and is_active(pod):
                index = index_of(pod)
                attempts[index] += 1
                fails = index % 100 == 0 or (index % 10 == 0 and attempts[index] == 1)
                await end(cluster, pod, int(fails))

    async with cluster.controllers():
        await create(cluster, indexed(1000, parallelism=100, backoffLimitPerIndex=1))
        kubelet = asyncio.create_task(run_pods())
        try:
            failed = await ends(cluster, "FailureTarget", "Failed", reason="FailedIndexes")
        finally:
            await cancel_and_wait(kubelet)
    assert failed.status.failedIndexes == ",".join(str(index) for index in range(0, 1000, 100))
    assert (failed.status.succeeded, failed.status.failed) == (990, 110)
    assert Indexes.parse(failed.status.completedIndexes, 1000).total == 990
    assert attempts == {index: 2 if index % 10 == 0 else 1 for index in range(1000)}
    assert len(await cluster.pods()) == 1100
