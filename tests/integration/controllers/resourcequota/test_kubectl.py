"""`kubectl create quota`, and what kubectl shows of quotas and limits, with a real kubectl."""

from __future__ import annotations

from pathlib import Path

from tests.integration.controllers.conftest import Cluster
from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.controllers.resourcequota.controller import ResourceQuotaController
from tiphys.testing import eventually
from tiphys.testing.api_server import running_api_server
from tiphys.testing.kubectl import Kubectl


async def test_quotas_and_limits(tmp_path: Path) -> None:
    async with running_api_server(tmp_path, listen=True) as (_, client_for):
        cluster, kubectl = Cluster(client_for, tmp_path), Kubectl.of(tmp_path)
        await cluster.client.create(core.ServiceAccount(metadata=ObjectMeta(name="default", namespace="default")))
        item = core.LimitRangeItem(type="Container", max={"cpu": "2"}, default={"cpu": "500m"})  # type: ignore[dict-item]
        limits = core.LimitRange(metadata=ObjectMeta(name="limits", namespace="default"), spec=core.LimitRangeSpec(limits=[item]))
        await cluster.client.create(limits)
        async with cluster.controllers(ResourceQuotaController()):
            assert "quota created" in await kubectl("create", "quota", "quota", "--hard=pods=3,cpu=1,limits.cpu=2,count/secrets=5")

            async def shown(*cells: str) -> bool:
                lines = (await kubectl("get", "quota")).splitlines()
                assert lines[0].split() == ["NAME", "REQUEST", "LIMIT", "AGE"]
                return all(cell in lines[1] for cell in cells)

            await eventually(lambda: shown("count/secrets: 0/5, cpu: 0/1, pods: 0/3", "limits.cpu: 0/2"))
            await kubectl("run", "web", "--image=nginx:1")
            assert await shown("count/secrets: 0/5, cpu: 500m/1, pods: 1/3", "limits.cpu: 500m/2")
            described = [line.split() for line in (await kubectl("describe", "quota", "quota")).splitlines()]
            assert ["cpu", "500m", "1"] in described
            described = [line.split() for line in (await kubectl("describe", "limits", "limits")).splitlines()]
            assert ["Container", "cpu", "-", "2", "500m", "500m", "-"] in described
            assert (await kubectl("get", "limits", "-o", "name")).strip() == "limitrange/limits"
