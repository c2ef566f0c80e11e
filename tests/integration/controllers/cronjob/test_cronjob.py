"""CronJobs against the real API server, in virtual time; the tests play the Job loop. More is in `tests/scenarios/cronjob_*.txt`."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.integration.controllers.conftest import Cluster
from tests.unit.controllers.cronjob.make import cron_job as tick
from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.batch import v1 as batch
from tiphys.api.core import v1 as core
from tiphys.api.machinery import base
from tiphys.api.machinery.base import Quantity
from tiphys.api.meta.v1 import ObjectMeta, OwnerReference
from tiphys.controllers.cronjob import controller
from tiphys.controllers.cronjob.controller import CronJobController, default_zone
from tiphys.controllers.cronjob.settings import CronJobSettings
from tiphys.controllers.garbage.controller import GarbageCollector
from tiphys.runtime import Manager
from tiphys.wire.http import Request, Response, Transport

pytestmark = pytest.mark.looptime(noop_cycles=0)
MINUTE = 60.0


@pytest.fixture
async def cluster(virtual_cluster: Cluster) -> AsyncIterator[Cluster]:
    """A cluster with the loop of CronJobs."""
    async with virtual_cluster.controllers(CronJobController(CronJobSettings(time_zone="UTC"))):
        yield virtual_cluster


async def create(cluster: Cluster, schedule: str = "* * * * *", **spec: Any) -> batch.CronJob:
    return await cluster.client.create(
        batch.CronJob(metadata=ObjectMeta(name="tick", namespace="default"), spec=tick(schedule, **spec).spec)
    )


async def jobs(cluster: Cluster) -> list[batch.Job]:
    return (await cluster.client.list(batch.Job, "default")).items


async def current(cluster: Cluster) -> batch.CronJob:
    return await cluster.client.get(batch.CronJob, "tick", "default")


async def finish(cluster: Cluster, job: batch.Job, kind: str = "Complete") -> None:
    now = base.time(cluster.client.clock.now())
    job = await cluster.client.get(batch.Job, job.metadata.name, "default")
    job.status.startTime = now
    job.status.completionTime = now if kind == "Complete" else None
    before = "SuccessCriteriaMet" if kind == "Complete" else "FailureTarget"
    job.status.conditions = [batch.JobCondition(type=type_, status="True", lastTransitionTime=now) for type_ in (before, kind)]
    await cluster.client.update_status(job)


async def events(cluster: Cluster) -> Counter[str]:
    """Count the events of each reason."""
    found: Counter[str] = Counter()
    for event in (await cluster.client.list(core.Event, "default")).items:
        found[event.reason] += event.count
    return found


async def pause(cluster: Cluster, seconds: float = MINUTE) -> None:
    await cluster.client.clock.sleep(seconds)


async def test_jobs_run_at_their_times_and_belong_to_the_cron_job(cluster: Cluster) -> None:
    owner = await create(cluster, timeZone="Europe/Berlin")
    await pause(cluster, 2.5 * MINUTE)
    found = await jobs(cluster)
    assert [job.metadata.annotations["batch.kubernetes.io/cronjob-scheduled-timestamp"] for job in found] == [
        "2026-01-01T01:01:00+01:00",
        "2026-01-01T01:02:00+01:00",
    ]
    assert {job.metadata.ownerReferences[0].uid for job in found} == {owner.metadata.uid}
    assert [job.metadata.labels["app"] for job in found] == ["tick", "tick"]
    status = (await current(cluster)).status
    assert [(ref.kind, ref.apiVersion, ref.name, ref.uid) for ref in status.active] == [
        ("Job", "batch/v1", job.metadata.name, job.metadata.uid) for job in found
    ]
    assert await events(cluster) == {"SuccessfulCreate": 2}


async def test_operations_of_the_api(virtual_cluster: Cluster) -> None:
    client, kind = virtual_cluster.client, batch.CronJob
    version = (await client.list(kind, "default")).resourceVersion
    made = await create(virtual_cluster, "0 0 1 1 *")
    assert (await client.get(kind, "tick", "default")).metadata.uid == made.metadata.uid
    await client.patch(kind, "tick", "default", body={"metadata": {"annotations": {"patched": "true"}, "labels": {"special": "yes"}}})
    updated = await current(virtual_cluster)
    updated.metadata.annotations["updated"] = "true"
    await client.update(updated)
    for namespace in ("default", ""):
        assert [found.metadata.annotations for found in (await client.list(kind, namespace, labels="special=yes")).items] == [
            {"patched": "true", "updated": "true"}
        ]
    now = base.time(client.clock.now())
    await client.patch(kind, "tick", "default", body={"status": {"lastScheduleTime": now}}, subresource="status")
    stated = await client.get_subresource(kind, "tick", "default", "status", kind)
    assert (stated.metadata.uid, stated.status.lastScheduleTime) == (made.metadata.uid, now)
    stated.status.lastSuccessfulTime = now
    assert (await client.update_status(stated)).status.lastSuccessfulTime == now
    await client.delete(kind, "tick", "default")
    await create(virtual_cluster)
    await client.delete_collection(kind, "default")
    assert (await client.list(kind, "default")).items == []
    seen = []
    async with aclosing(client.watch(kind, "default", resource_version=version, bookmarks=False)) as watched:
        async for event in watched:
            seen.append(event.type)
            if seen.count("DELETED") == 2:
                break
    assert seen == ["ADDED", "MODIFIED", "MODIFIED", "MODIFIED", "MODIFIED", "DELETED", "ADDED", "DELETED"]


async def test_a_deleted_job_leaves_the_status(cluster: Cluster) -> None:
    await create(cluster, concurrencyPolicy="Forbid")
    await pause(cluster, 1.5 * MINUTE)
    (job,) = await jobs(cluster)
    await cluster.client.delete(batch.Job, job.metadata.name, "default", propagation="Background")
    await pause(cluster, 1.0)
    assert (await current(cluster)).status.active == []
    assert await events(cluster) == {"SuccessfulCreate": 1, "MissingJob": 1}
    assert await jobs(cluster) == [], "what was deleted had its run"


async def test_a_suspended_cron_job_starts_nothing(cluster: Cluster) -> None:
    await create(cluster, suspend=True)
    await pause(cluster, 5 * MINUTE)
    assert (await jobs(cluster), (await current(cluster)).status.active) == ([], [])


@pytest.mark.parametrize(("policy", "active"), [("Allow", [1, 2, 3]), ("Forbid", [1]), ("Replace", [3])])
async def test_jobs_run_side_by_side_or_alone(cluster: Cluster, policy: str, active: list[int]) -> None:
    await create(cluster, concurrencyPolicy=policy)
    first = int(cluster.client.clock.now().timestamp()) // 60
    await pause(cluster, 3.5 * MINUTE)
    names = [f"tick-{first + number}" for number in active]
    assert [job.metadata.name for job in await jobs(cluster)] == names
    assert [ref.name for ref in (await current(cluster)).status.active] == names


@pytest.mark.parametrize(("kind", "limits"), [("Complete", (1, 0)), ("Failed", (0, 1))])
async def test_finished_jobs_are_kept_up_to_the_limit(cluster: Cluster, kind: str, limits: tuple[int, int]) -> None:
    await create(cluster, successfulJobsHistoryLimit=limits[0], failedJobsHistoryLimit=limits[1])
    names = []
    for _ in range(3):
        await pause(cluster)
        newest = (await jobs(cluster))[-1]
        names.append(newest.metadata.name)
        await finish(cluster, newest, kind)
        await pause(cluster, 1.0)
        assert [job.metadata.name for job in await jobs(cluster)] == names[-1:]
    other = "Failed" if kind == "Complete" else "Complete"
    await pause(cluster)
    newest = (await jobs(cluster))[-1]
    await finish(cluster, newest, other)
    await pause(cluster, 1.0)
    assert [job.metadata.name for job in await jobs(cluster)] == names[-1:]


async def test_pods_of_a_job_go_with_it(virtual_cluster: Cluster) -> None:
    async with virtual_cluster.controllers(CronJobController(CronJobSettings()), GarbageCollector()):
        await create(virtual_cluster, concurrencyPolicy="Replace", suspend=False)
        await pause(virtual_cluster, 1.5 * MINUTE)
        (job,) = await jobs(virtual_cluster)
        owner = OwnerReference(apiVersion="batch/v1", kind="Job", name=job.metadata.name, uid=job.metadata.uid, controller=True)
        pod = core.Pod(metadata=ObjectMeta(name="p", namespace="default", ownerReferences=[owner]), spec=job.spec.template.spec)
        await virtual_cluster.client.create(core.ServiceAccount(metadata=ObjectMeta(name="default", namespace="default")))
        await virtual_cluster.client.create(pod)
        await pause(virtual_cluster)
        assert [found.metadata.uid == job.metadata.uid for found in await jobs(virtual_cluster)] == [False]
        assert await virtual_cluster.pods() == []


async def test_jobs_made_by_hand_count_in_the_history_only(cluster: Cluster) -> None:
    """`kubectl create job --from=cronjob/tick`: the Job is controlled by the CronJob and says that it was made by hand."""
    owner = await create(cluster, "0 0 1 1 *", concurrencyPolicy="Forbid", successfulJobsHistoryLimit=0)
    by_hand = batch.Job(
        metadata=ObjectMeta(
            name="by-hand",
            namespace="default",
            annotations={"cronjob.kubernetes.io/instantiate": "manual"},
            ownerReferences=[OwnerReference(apiVersion="batch/v1", kind="CronJob", name="tick", uid=owner.metadata.uid, controller=True)],
        ),
        spec=owner.spec.jobTemplate.spec,
    )
    made = await cluster.client.create(by_hand)
    await pause(cluster)
    status = (await current(cluster)).status
    assert (status.active, status.lastScheduleTime) == ([], None)
    assert await events(cluster) == {"UnexpectedJob": 1}
    await finish(cluster, made)
    await pause(cluster, 1.0)
    assert (await current(cluster)).status.lastSuccessfulTime is not None
    assert await jobs(cluster) == []


async def test_a_job_that_the_server_refuses_is_tried_ever_more_rarely(cluster: Cluster) -> None:
    quota = core.ResourceQuota(
        metadata=ObjectMeta(name="none", namespace="default"), spec=core.ResourceQuotaSpec(hard={"count/jobs.batch": Quantity("0")})
    )
    quota = await cluster.client.create(quota)
    quota.status.hard, quota.status.used = quota.spec.hard, {"count/jobs.batch": Quantity("0")}
    await cluster.client.update_status(quota)
    await create(cluster, "*/30 * * * *")
    await pause(cluster, 59 * MINUTE)
    assert await jobs(cluster) == []
    (event,) = [event for event in (await cluster.client.list(core.Event, "default")).items if event.reason == "FailedCreate"]
    assert "exceeded quota" in event.message
    assert event.count <= 20
    await cluster.client.delete(core.ResourceQuota, "none", "default")
    await pause(cluster, 31 * MINUTE)
    assert len(await jobs(cluster)) >= 1


class Counting:
    """A transport that notes the requests which are not watches."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.requests: list[tuple[str, str]] = []

    async def request(self, request: Request) -> Response:
        if ("watch", "true") not in request.query:
            self.requests.append((request.method, request.path))
        return await self._transport.request(request)

    async def close(self) -> None:
        await self._transport.close()


@pytest.mark.parametrize("trouble", ["suspended", "forbidden", "never", "foreign"])
async def test_a_cron_job_that_can_do_nothing_asks_nothing(virtual_cluster: Cluster, trouble: str) -> None:
    client = virtual_cluster.client_for("system:kube-controller-manager")
    counting = Counting(client.transport)
    client.transport = counting
    manager = Manager(client, clock=client.clock, rng=client.rng)
    manager.add_all([CronJobController(CronJobSettings(time_zone="UTC"))])
    settings: dict[str, dict[str, Any]] = {
        "suspended": {"suspend": True},
        "forbidden": {"concurrencyPolicy": "Forbid", "schedule": "0 * * * *"},
        "never": {"schedule": "0 0 31 4 *"},
        "foreign": {"schedule": "0 1 * * *"},
    }
    minute = int(virtual_cluster.client.clock.now().timestamp()) // 60 + 60
    if trouble == "foreign":
        await virtual_cluster.client.create(
            batch.Job(metadata=ObjectMeta(name=f"tick-{minute}", namespace="default"), spec=tick().spec.jobTemplate.spec)
        )
    task = asyncio.create_task(manager.run())
    await create(virtual_cluster, **settings[trouble])
    await pause(virtual_cluster, 61 * MINUTE)
    counting.requests.clear()
    await pause(virtual_cluster, 50 * MINUTE)
    assert counting.requests == []
    await cancel_and_wait(task)


def test_the_zone_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", ":America/New_York")
    assert str(default_zone("")) == "America/New_York"
    assert str(default_zone("Asia/Tokyo")) == "Asia/Tokyo"
    monkeypatch.setenv("TZ", "Nowhere/Land")
    assert str(default_zone("")) == "UTC"
    monkeypatch.delenv("TZ")
    monkeypatch.setattr(controller, "LOCAL_TIME", Path("/usr/share/zoneinfo/Asia/Kolkata"))
    assert default_zone("").utcoffset(datetime(2026, 1, 1)) == timedelta(hours=5, minutes=30)
    monkeypatch.setattr(controller, "LOCAL_TIME", Path("/nothing/here"))
    assert default_zone("") is UTC
