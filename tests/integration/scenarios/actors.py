"""Parts that others than control loops play in scenarios."""

from __future__ import annotations

from contextlib import suppress

from tests.integration.scenarios.volumes import attach_volumes, mount_volumes, provision
from tiphys.aio.tasks import TaskSet
from tiphys.api.batch import v1 as batch
from tiphys.api.helpers.jobs import is_finished
from tiphys.api.machinery import base
from tiphys.api.machinery.errors import Conflict, NotFound
from tiphys.client.client import Client
from tiphys.testing.scenario import Actor


async def finish_jobs(client: Client, seconds: str, kind: str = "Complete") -> None:
    """Start each Job when it is created, and end it some seconds later: Complete or Failed."""
    version = (await client.list(batch.Job)).resourceVersion
    async with TaskSet() as tasks:
        while True:  # A watch ends now and then.
            async for event in client.watch(batch.Job, resource_version=version, bookmarks=False):
                version = event.object.metadata.resourceVersion
                if event.type == "ADDED":
                    tasks.spawn(_run(client, event.object, float(seconds), kind), name=event.object.metadata.name)


async def _run(client: Client, job: batch.Job, seconds: float, kind: str) -> None:
    with suppress(NotFound, Conflict):
        job.status.startTime = base.time(client.clock.now())
        job = await client.update_status(job)
        await client.clock.sleep(seconds)
        if is_finished(job.status):
            return
        now = base.time(client.clock.now())
        status = job.status
        if kind == "Complete":
            status.completionTime, status.succeeded, reason = now, 1, "SuccessCriteriaMet"
        else:
            status.failed, reason = 1, "FailureTarget"
        status.conditions = [batch.JobCondition(type=type_, status="True", lastTransitionTime=now) for type_ in (reason, kind)]
        await client.update_status(job)


ACTORS: dict[str, Actor] = {
    "finish-jobs": finish_jobs,
    "provision": provision,
    "attach-volumes": attach_volumes,
    "mount-volumes": mount_volumes,
}
