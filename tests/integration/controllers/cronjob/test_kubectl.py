"""`kubectl create cronjob` and `kubectl create job --from`, with a real kubectl."""

from __future__ import annotations

from pathlib import Path

from tests.integration.controllers.conftest import Cluster
from tiphys.api.batch import v1 as batch
from tiphys.controllers.cronjob.controller import CronJobController
from tiphys.controllers.cronjob.settings import CronJobSettings
from tiphys.testing import eventually
from tiphys.testing.api_server import running_api_server
from tiphys.testing.kubectl import Kubectl


async def test_jobs_by_hand(tmp_path: Path) -> None:
    async with running_api_server(tmp_path, listen=True) as (_, client_for):
        cluster, kubectl = Cluster(client_for, tmp_path), Kubectl.of(tmp_path)
        async with cluster.controllers(CronJobController(CronJobSettings())):
            assert "created" in await kubectl("create", "cronjob", "yearly", "--image=busybox:1", "--schedule=0 0 1 1 *", "--", "date")
            assert "created" in await kubectl("create", "job", "now", "--from=cronjob/yearly")
            job = await cluster.client.get(batch.Job, "now", "default")
            assert job.spec.template.spec.containers[0].command == ["date"]
            owner = await cluster.client.get(batch.CronJob, "yearly", "default")
            assert [ref.uid for ref in job.metadata.ownerReferences] == [owner.metadata.uid]

            async def described(word: str) -> bool:
                return word in await kubectl("describe", "cronjob", "yearly")

            await eventually(lambda: described("UnexpectedJob"))
            assert "created" in await kubectl("create", "cronjob", "never", "--image=busybox:1", "--schedule=0 0 30 2 *")
            await eventually(lambda: told(kubectl))
            lines = (await kubectl("get", "cronjobs")).splitlines()
            assert lines[0].split() == ["NAME", "SCHEDULE", "TIMEZONE", "SUSPEND", "ACTIVE", "LAST", "SCHEDULE", "AGE"]
            assert lines[2].split()[:9] == ["yearly", "0", "0", "1", "1", "*", "<none>", "False", "0"]


async def told(kubectl: Kubectl) -> bool:
    return "InvalidSchedule" in await kubectl("describe", "cronjob", "never")
