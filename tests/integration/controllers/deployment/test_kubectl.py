"""Every `kubectl rollout` verb, with a real kubectl."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.controllers.conftest import Cluster, running_kubelet
from tiphys.testing import eventually
from tiphys.testing.api_server import running_api_server
from tiphys.testing.kubectl import Kubectl


@pytest.fixture
async def kubectl(tmp_path: Path) -> AsyncIterator[Kubectl]:
    async with running_api_server(tmp_path, listen=True) as (_, client_for):
        cluster = Cluster(client_for, tmp_path)
        async with cluster.controllers(), running_kubelet(cluster):
            yield Kubectl.of(tmp_path)


async def test_rollouts_by_hand(kubectl: Kubectl) -> None:
    await kubectl("create", "deployment", "web", "--image=nginx:1", "--replicas=3")
    assert 'deployment "web" successfully rolled out' in await kubectl("rollout", "status", "deployment/web", "--timeout=30s")

    await kubectl("set", "image", "deployment/web", "nginx=nginx:2")
    await kubectl("annotate", "deployment/web", "kubernetes.io/change-cause=second")
    assert "successfully rolled out" in await kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    history = await kubectl("rollout", "history", "deployment/web")
    assert [line.split()[0] for line in history.splitlines()[2:] if line] == ["1", "2"]

    async def cause_shows() -> bool:
        return "second" in await kubectl("rollout", "history", "deployment/web")

    await eventually(cause_shows)
    assert "nginx:1" in await kubectl("rollout", "history", "deployment/web", "--revision=1")

    await kubectl("rollout", "undo", "deployment/web")
    assert "successfully rolled out" in await kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    assert await kubectl("get", "deployment", "web", "-o", "jsonpath={.spec.template.spec.containers[0].image}") == "nginx:1"
    history = await kubectl("rollout", "history", "deployment/web")
    assert [line.split()[0] for line in history.splitlines()[2:] if line] == ["2", "3"]

    await kubectl("rollout", "undo", "deployment/web", "--to-revision=2")
    await kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    assert await kubectl("get", "deployment", "web", "-o", "jsonpath={.spec.template.spec.containers[0].image}") == "nginx:2"

    before = set((await kubectl("get", "pods", "-o", "name")).split())
    await kubectl("rollout", "restart", "deployment/web")
    assert "successfully rolled out" in await kubectl("rollout", "status", "deployment/web", "--timeout=30s")

    async def all_new() -> bool:
        after = set((await kubectl("get", "pods", "-o", "name")).split())
        return len(after) == 3 and not before & after

    await eventually(all_new)

    await kubectl("rollout", "pause", "deployment/web")
    await kubectl("set", "image", "deployment/web", "nginx=nginx:3")
    await kubectl("rollout", "resume", "deployment/web")
    assert "successfully rolled out" in await kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    await kubectl("wait", "deployment/web", "--for=condition=Available", "--timeout=10s")

    await kubectl("scale", "deployment/web", "--replicas=5")
    await kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    described = await kubectl("describe", "deployment", "web")
    assert "NewReplicaSetAvailable" in described
    assert "ScalingReplicaSet" in described
    await kubectl("delete", "deployment", "web", "--cascade=foreground", "--timeout=30s")
    assert "No resources found" in (await kubectl.run("get", "replicasets,pods")).text


async def test_the_life_of_a_namespace(kubectl: Kubectl) -> None:
    await kubectl("create", "namespace", "shop")
    await kubectl("wait", "-n", "shop", "serviceaccount/default", "--for=create", "--timeout=10s")
    await kubectl("-n", "shop", "create", "deployment", "web", "--image=nginx", "--replicas=2")
    await kubectl("-n", "shop", "rollout", "status", "deployment/web", "--timeout=30s")
    await kubectl("-n", "shop", "expose", "deployment/web", "--port=80")
    await kubectl(
        "wait", "-n", "shop", "endpointslice", "-l", "kubernetes.io/service-name=web", "--for=jsonpath={.endpoints[1]}", "--timeout=10s"
    )
    await kubectl("delete", "namespace", "shop", "--timeout=30s")


async def test_a_drain_respects_the_budget(kubectl: Kubectl) -> None:
    await kubectl("create", "deployment", "web", "--image=nginx", "--replicas=3")
    await kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    await kubectl("create", "poddisruptionbudget", "web", "--selector=app=web", "--min-available=2")
    before = set((await kubectl("get", "pods", "-o", "name")).split())
    await kubectl("drain", "n1", "--timeout=50s")
    assert "SchedulingDisabled" in await kubectl("get", "node", "n1")

    async def moved() -> bool:
        after = set((await kubectl("get", "pods", "-o", "name")).split())
        return len(after) == 3 and not before & after

    await eventually(moved)
