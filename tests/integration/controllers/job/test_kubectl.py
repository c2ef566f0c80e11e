"""Common kubectl commands on Jobs, with a real kubectl; pods do at once what `true` and `false` do."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.controllers.conftest import Cluster
from tests.integration.controllers.job.jobs import end
from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.core import v1 as core
from tiphys.api.helpers.pods import is_active
from tiphys.testing import eventually
from tiphys.testing.api_server import running_api_server
from tiphys.testing.kubectl import Kubectl


async def run_pods(cluster: Cluster) -> None:
    """End pods that run `true` or `false`; others go on."""
    async for event in cluster.client.watch(core.Pod):
        pod = event.object
        command = pod.spec.containers[0].command
        if event.type != "DELETED" and is_active(pod) and command in (["true"], ["false"]):
            await end(cluster, pod, int(command == ["false"]))


@pytest.fixture
async def kubectl(tmp_path: Path) -> AsyncIterator[Kubectl]:
    async with running_api_server(tmp_path, listen=True) as (_, client_for):
        cluster = Cluster(client_for, tmp_path)
        async with cluster.controllers():
            pods = asyncio.create_task(run_pods(cluster))
            try:
                yield Kubectl.of(tmp_path)
            finally:
                await cancel_and_wait(pods)


async def test_create_wait_and_describe(kubectl: Kubectl) -> None:
    made = await kubectl.run("create", "job", "sum", "--image=busybox:1", "--", "true")
    assert made.text.strip() == "job.batch/sum created", "nothing warns that Jobs do not run"
    assert "condition met" in await kubectl("wait", "--for=condition=complete", "job/sum", "--timeout=30s")
    assert re.search(r"sum\s+Complete\s+1/1\s+\d+s", await kubectl("get", "jobs"))
    described = re.sub(r"\s+", " ", await kubectl("describe", "job", "sum"))
    for part in (
        "Completion Mode: NonIndexed",
        "Pods Statuses: 0 Active (0 Ready) / 1 Succeeded / 0 Failed",
        "Parallelism: 1",
        "Completions: 1",
    ):
        assert part in described

    async def told() -> bool:
        text = await kubectl("describe", "job", "sum")
        return all(part in text for part in ("SuccessfulCreate", "Completed", "Job completed", "job-controller"))

    await eventually(told)


async def test_a_failed_job(kubectl: Kubectl, tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(
        """
        apiVersion: batch/v1
        kind: Job
        metadata: {name: fails}
        spec:
          backoffLimit: 0
          template:
            spec: {restartPolicy: Never, containers: [{name: main, image: "busybox:1", command: ["false"]}]}
        """
    )
    await kubectl("apply", "-f", str(path))
    assert "condition met" in await kubectl("wait", "--for=condition=failed", "job/fails", "--timeout=30s")
    assert re.search(r"fails\s+Failed\s+0/1", await kubectl("get", "jobs"))
    reason = "jsonpath={.status.conditions[?(@.type=='Failed')].reason}"
    assert await kubectl("get", "job", "fails", "-o", reason) == "BackoffLimitExceeded"


async def test_a_job_from_a_cron_job(kubectl: Kubectl) -> None:
    await kubectl("create", "cronjob", "tick", "--image=busybox:1", "--schedule=0 0 1 1 *", "--", "true")
    await kubectl("create", "job", "now", "--from=cronjob/tick")
    assert "condition met" in await kubectl("wait", "--for=condition=complete", "job/now", "--timeout=30s")
    assert await kubectl("get", "job", "now", "-o", "jsonpath={.metadata.annotations.cronjob\\.kubernetes\\.io/instantiate}") == "manual"
    await kubectl("delete", "cronjob", "tick")

    async def gone() -> bool:
        return "No resources found" in (await kubectl.run("get", "jobs,pods")).text

    await eventually(gone)


async def test_suspend_resume_and_delete(kubectl: Kubectl) -> None:
    await kubectl("create", "job", "long", "--image=busybox:1", "--", "sleep", "3600")

    async def pods(count: int) -> bool:
        return len((await kubectl("get", "pods", "-l", "job-name=long", "-o", "name")).split()) == count

    await eventually(lambda: pods(1))
    await kubectl("patch", "job", "long", "-p", '{"spec":{"suspend":true}}')
    assert "condition met" in await kubectl("wait", "--for=condition=suspended", "job/long", "--timeout=30s")
    await eventually(lambda: pods(0))
    assert re.search(r"long\s+Suspended\s+0/1", await kubectl("get", "jobs"))
    await kubectl("patch", "job", "long", "-p", '{"spec":{"suspend":false}}')
    await eventually(lambda: pods(1))
    await kubectl("delete", "job", "long")
    await eventually(lambda: pods(0))
