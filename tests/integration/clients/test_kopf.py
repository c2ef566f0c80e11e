"""An operator written with kopf does its work: handlers, finalizers, retries, timers, events and owner references."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.integration.apiserver.api import Api
from tests.integration.clients.conftest import running_cluster
from tests.integration.clients.crd import WIDGETS, widget
from tests.integration.controllers.conftest import Cluster
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import NotFound
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.testing import eventually


@asynccontextmanager
async def running_operator(home: Path, module: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`kopf run`, whose output is shown when the test fails."""
    env = {**os.environ, "KUBECONFIG": str(home / "admin.kubeconfig"), "HOME": str(home)}
    source = Path(__file__).parent / f"{module}.py"
    with (home / "operator.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "ignore", "-m", "kopf", "run", str(source), "--namespace", "default", "--standalone"),
            env=env, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            yield process
            assert process.returncode is None, "the operator has ended"
        finally:
            print((home / "operator.log").read_text())
            if process.returncode is None:
                process.terminate()
            await asyncio.wait_for(process.wait(), 20)


async def test_an_operator_of_config_maps(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as (_, cluster), running_operator(tmp_path, "operator_of_settings"):
        client = cluster.client
        meta = ObjectMeta(name="shop", namespace="default", labels={"managed": "yes"})
        made = await client.create(core.ConfigMap(metadata=meta, data={"color": "blue"}))
        other = ObjectMeta(name="other", namespace="default")
        await client.create(core.ConfigMap(metadata=other, data={"color": "red"}))

        await eventually(lambda: state(cluster, "created"), timeout=20)
        secret = await client.get(core.Secret, "shop", "default")
        assert secret.data == {"color": b"blue"}
        assert [owner.uid for owner in secret.metadata.ownerReferences] == [made.metadata.uid]
        assert (await client.get(core.ConfigMap, "shop", "default")).metadata.finalizers == ["example.com/settings"]

        await client.patch(core.ConfigMap, "shop", "default", body={"data": {"color": "green"}})
        await eventually(lambda: state(cluster, "updated"), timeout=20)
        assert (await client.get(core.Secret, "shop", "default")).data == {"color": b"green"}

        await eventually(lambda: ticked(cluster, 3), timeout=20)
        await eventually(lambda: told(cluster, "Copied"), timeout=20)

        await client.delete(core.ConfigMap, "shop", "default")
        await eventually(lambda: gone(cluster, core.ConfigMap, "shop"), timeout=20)
        await client.get(core.ConfigMap, "shop-grave", "default")
        await eventually(lambda: gone(cluster, core.Secret, "shop"), timeout=20)
        untouched = await client.get(core.ConfigMap, "other", "default")
        assert (untouched.metadata.finalizers, untouched.metadata.annotations) == ([], {})


async def test_an_operator_of_custom_resources(tmp_path: Path) -> None:
    widgets = "/apis/example.com/v1/namespaces/default/widgets"
    async with running_cluster(tmp_path) as (server, cluster):
        api = Api(server)
        assert (await api.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", WIDGETS)).status == 201

        async def served() -> bool:
            return (await api.get(widgets)).status == 200

        await eventually(served, timeout=10)
        async with running_operator(tmp_path, "operator_of_widgets"):
            assert (await api.post(widgets, widget("a"))).status == 201

            async def status(wanted: str) -> bool:
                found = (await api.get(f"{widgets}/a")).doc
                return bool(found.get("status", {}).get("state") == wanted)

            await eventually(lambda: status("made"), timeout=20)
            made = await cluster.client.get(core.ConfigMap, "widget-a", "default")
            assert made.data == {"color": "red", "size": "2"}
            found = (await api.get(f"{widgets}/a")).doc
            assert found["metadata"]["finalizers"] == ["example.com/widgets"]
            assert found["status"]["create"] == {"map": "widget-a"}
            assert found["metadata"]["generation"] == 1, "what the operator wrote was the status and metadata"

            assert (await api.patch(f"{widgets}/a", {"spec": {"color": "blue"}})).status == 200
            await eventually(lambda: status("red to blue"), timeout=20)

            async def counted() -> bool:
                return int((await api.get(f"{widgets}/a")).doc["status"].get("ticks", 0)) >= 3

            await eventually(counted, timeout=20)
            await api.delete(f"{widgets}/a")
            await eventually(lambda: gone(cluster, core.ConfigMap, "widget-a"), timeout=20)
            assert (await api.get(f"{widgets}/a")).status == 404
            await cluster.client.get(core.ConfigMap, "a-grave", "default")


async def state(cluster: Cluster, wanted: str) -> bool:
    found = await cluster.client.get(core.ConfigMap, "shop", "default")
    return found.metadata.annotations.get("example.com/state") == wanted


async def ticked(cluster: Cluster, times: int) -> bool:
    found = await cluster.client.get(core.ConfigMap, "shop", "default")
    return int(found.metadata.annotations.get("example.com/ticks", "0")) >= times


async def told(cluster: Cluster, reason: str) -> bool:
    return any(event.reason == reason for event in (await cluster.client.list(core.Event, "default")).items)


async def gone(cluster: Cluster, type_: type[core.ConfigMap] | type[core.Secret], name: str) -> bool:
    try:
        await cluster.client.get(type_, name, "default")
    except NotFound:
        return True
    return False
