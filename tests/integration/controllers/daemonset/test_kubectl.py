"""`kubectl rollout`, `describe`, `drain` and `delete` on DaemonSets, with a real kubectl."""

from __future__ import annotations

from pathlib import Path

from tests.integration.controllers.conftest import Cluster
from tests.integration.controllers.daemonset.daemons import daemon_set, running_daemons
from tiphys.testing.api_server import running_api_server
from tiphys.testing.kubectl import Kubectl


async def test_kubectl_rolls_out_and_back(tmp_path: Path) -> None:
    async with (
        running_api_server(tmp_path, listen=True) as (_, client_for),
        running_daemons(Cluster(client_for, tmp_path), "n1", "n2", "n3") as daemons,
    ):
        kubectl = Kubectl.of(tmp_path)
        await daemons.client.create(daemon_set())
        assert 'daemon set "web" successfully rolled out' in await kubectl("rollout", "status", "daemonset/web", "--timeout=30s")
        row = (await kubectl("get", "daemonset", "web", "--no-headers")).split()
        assert row[1:7] == ["3", "3", "3", "3", "3", "<none>"]
        await kubectl("set", "image", "daemonset/web", "main=busybox:2")
        await kubectl("annotate", "daemonset/web", "kubernetes.io/change-cause=second")
        assert "successfully rolled out" in await kubectl("rollout", "status", "daemonset/web", "--timeout=30s")
        history = await kubectl("rollout", "history", "daemonset/web")
        assert [line.split()[0] for line in history.splitlines()[2:] if line] == ["1", "2"]
        assert "busybox:1" in await kubectl("rollout", "history", "daemonset/web", "--revision=1")
        assert "busybox:2" in await kubectl("rollout", "history", "daemonset/web", "--revision=2")

        assert "rolled back" in await kubectl("rollout", "undo", "daemonset/web")
        assert "successfully rolled out" in await kubectl("rollout", "status", "daemonset/web", "--timeout=30s")
        assert await kubectl("get", "daemonset", "web", "-o", "jsonpath={.spec.template.spec.containers[0].image}") == "busybox:1"
        history = await kubectl("rollout", "history", "daemonset/web")
        assert [line.split()[0] for line in history.splitlines()[2:] if line] == ["2", "3"]
        assert "skipped rollback" in await kubectl("rollout", "undo", "daemonset/web", "--to-revision=3")
        await kubectl("rollout", "undo", "daemonset/web", "--to-revision=2")
        await kubectl("rollout", "status", "daemonset/web", "--timeout=30s")
        assert {pod.spec.containers[0].image for pod in await daemons.active()} == {"busybox:2"}

        before = {pod.metadata.uid for pod in await daemons.active()}
        await kubectl("rollout", "restart", "daemonset/web")
        assert "successfully rolled out" in await kubectl("rollout", "status", "daemonset/web", "--timeout=30s")
        assert not before & {pod.metadata.uid for pod in await daemons.active()}
        described = await kubectl("describe", "daemonset", "web")
        assert "Number of Nodes Scheduled with Available Pods: 3" in described
        assert "SuccessfulCreate" in described
        # A drain leaves the daemon's pods where they are.
        assert "ignoring DaemonSet-managed Pods" in (await kubectl.run("drain", "n1", "--ignore-daemonsets", "--timeout=20s")).text
        assert await daemons.places() == ["n1", "n2", "n3"]
        await kubectl("delete", "daemonset", "web", "--cascade=foreground", "--timeout=30s")
        assert "No resources found" in (await kubectl.run("get", "controllerrevisions,pods")).text
