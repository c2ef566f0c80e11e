"""`kubectl rollout` on StatefulSets, with a real kubectl."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.controllers.conftest import Cluster, Kubelet, running_kubelet
from tiphys.testing.api_server import running_api_server
from tiphys.testing.kubectl import Kubectl

MANIFEST = """
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: web
spec:
  replicas: 3
  serviceName: web
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
      - name: nginx
        image: nginx:1
        command: ["sh", "-c", "sleep 1; echo done"]
"""
IMAGE = "jsonpath={.spec.template.spec.containers[0].image}"


class Scene:
    """A cluster whose nodes the test plays, and kubectl."""

    def __init__(self, kubectl: Kubectl, kubelet: Kubelet) -> None:
        self.kubectl = kubectl
        self.kubelet = kubelet


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with running_api_server(tmp_path, listen=True) as (_, client_for):
        cluster = Cluster(client_for, tmp_path)
        async with cluster.controllers(), running_kubelet(cluster) as kubelet:
            (tmp_path / "web.yaml").write_text(MANIFEST)
            kubectl = Kubectl.of(tmp_path)
            said = await kubectl("apply", "-f", str(tmp_path / "web.yaml"))
            assert said == "statefulset.apps/web created\n", "nobody is warned that nothing acts on it"
            yield Scene(kubectl, kubelet)


async def revisions(kubectl: Kubectl) -> list[str]:
    history = await kubectl("rollout", "history", "statefulset/web")
    return [line.split()[0] for line in history.splitlines()[2:] if line]


async def status(kubectl: Kubectl) -> str:
    return await kubectl("rollout", "status", "statefulset/web", "--timeout=30s")


async def test_rollouts_by_hand(scene: Scene) -> None:
    kubectl = scene.kubectl
    assert "partitioned roll out complete: 3 new pods have been updated" in await status(kubectl)
    await kubectl("set", "image", "statefulset/web", "nginx=nginx:2")
    await status(kubectl)
    assert await revisions(kubectl) == ["1", "2"]
    assert "nginx:1" in await kubectl("rollout", "history", "statefulset/web", "--revision=1")
    assert "nginx:2" in await kubectl("rollout", "history", "statefulset/web", "--revision=2")

    assert "rolled back" in await kubectl("rollout", "undo", "statefulset/web")
    await status(kubectl)
    assert await kubectl("get", "statefulset", "web", "-o", IMAGE) == "nginx:1"
    assert await revisions(kubectl) == ["2", "3"]

    assert "rolled back" in await kubectl("rollout", "undo", "statefulset/web", "--to-revision=2")
    await status(kubectl)
    assert await kubectl("get", "statefulset", "web", "-o", IMAGE) == "nginx:2"
    assert await revisions(kubectl) == ["3", "4"]

    await kubectl("rollout", "restart", "statefulset/web")
    await status(kubectl)
    assert await revisions(kubectl) == ["3", "4", "5"]
    await kubectl("scale", "statefulset/web", "--replicas=5")
    await status(kubectl)
    table = await kubectl("get", "statefulset", "web", "--no-headers")
    assert table.split()[:2] == ["web", "5/5"]
    described = await kubectl("describe", "statefulset", "web")
    assert "SuccessfulCreate" in described
    await kubectl("delete", "statefulset", "web", "--cascade=foreground", "--timeout=30s")
    assert "No resources found" in (await kubectl.run("get", "pods,controllerrevisions")).text


async def test_undo_of_what_never_works_needs_no_further_hand(scene: Scene) -> None:
    kubectl = scene.kubectl
    await status(kubectl)
    scene.kubelet.unready = lambda pod: pod.spec.containers[0].image == "nginx:broken"
    await kubectl("set", "image", "statefulset/web", "nginx=nginx:broken")
    await kubectl("wait", "pod/web-2", "--for=jsonpath={.spec.containers[0].image}=nginx:broken", "--timeout=30s")
    await kubectl("rollout", "undo", "statefulset/web")
    await status(kubectl)
    assert set((await kubectl("get", "pods", "-o", "jsonpath={.items[*].spec.containers[0].image}")).split()) == {"nginx:1"}


async def test_undo_to_the_present_template_is_skipped(scene: Scene) -> None:
    """Kubectl compares the revision's data with what it makes of the set, byte by byte."""
    await status(scene.kubectl)
    said = await scene.kubectl("rollout", "undo", "statefulset/web", "--to-revision=1")
    assert "skipped rollback (current template already matches revision 1)" in said


async def test_a_partitioned_update_is_reported(scene: Scene) -> None:
    kubectl = scene.kubectl
    await status(kubectl)
    await kubectl("patch", "statefulset", "web", "-p", '{"spec":{"updateStrategy":{"rollingUpdate":{"partition":2}}}}')
    await kubectl("set", "image", "statefulset/web", "nginx=nginx:2")
    assert "partitioned roll out complete: 1 new pods have been updated" in await status(kubectl)
