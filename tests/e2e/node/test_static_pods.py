"""Static pods in real containers: shown by mirror pods, replaced and ended with their manifests, and independent of the API server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.node.cluster import BUSYBOX, Node
from tests.e2e.runtime.machine import Machine
from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.core import v1 as core
from tiphys.client import Client
from tiphys.node.cri.client import CriClient
from tiphys.node.kubelet import Kubelet
from tiphys.testing.eventually import eventually
from tiphys.testing.faults import NoServer


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    directory = tmp_path / "manifests"
    directory.mkdir()
    return directory


@pytest.fixture
async def node(node_machine: Machine, tmp_path: Path, manifests: Path) -> AsyncIterator[Node]:
    async with Node.running(node_machine, tmp_path, static_pod_path=manifests) as made:
        yield made
        (manifests / "web.yaml").unlink(missing_ok=True)


async def shown(node: Node) -> str:
    """The name of the mirror pod, once it is there."""
    name = f"web-{node.name}"
    await eventually(lambda: node.api.find(core.Pod, name, "default") is not None)
    return name


def write(manifests: Path, *command: str, **spec: Any) -> Path:
    containers = [{"name": "main", "image": BUSYBOX, "command": list(command or ("sleep", "1000"))}]
    body = {"terminationGracePeriodSeconds": 1, **spec, "containers": containers}
    path = manifests / "web.yaml"
    path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": body}))
    return path


async def test_a_static_pod_survives_its_kubelet_and_its_mirror(node: Node, manifests: Path) -> None:
    write(manifests)
    name = await shown(node)
    mirror = await node.ready(name)
    assert node.kubelet is not None
    (work,) = node.kubelet.loop.work()
    assert (work.state, work.desired, work.static) == ("syncing", True, True), "metrics count it among the static pods"
    pid = await node.pid(pod=name)
    assert await node.exec("cat", "/etc/hostname", pod=name) == f"{name}\n"
    await node.kill()
    node.api.remove(core.Pod, name, "default")
    await node.start()
    await shown(node)
    again = await node.ready(name)
    assert again.metadata.uid != mirror.metadata.uid
    assert await node.pid(pod=name) == pid
    await node.client.delete(core.Pod, name, "default")
    await eventually(lambda: node.api.find(core.Pod, name, "default") is not None and node.pod(name).metadata.uid != again.metadata.uid)
    assert (await node.ready(name)).status.containerStatuses[0].restartCount == 0
    assert await node.pid(pod=name) == pid


async def test_a_container_that_dies_is_started_again(node: Node, manifests: Path) -> None:
    write(manifests)
    name = await shown(node)
    await node.ready(name)
    await node.kill_process(pod=name)
    await eventually(lambda: node.status(pod=name).restartCount == 1 and node.status(pod=name).ready)
    await node.kill()
    await node.start()
    status = await eventually(lambda: node.status(pod=name) if node.status(pod=name).ready else None)
    assert status.restartCount == 1
    assert status.lastState.terminated is not None


async def test_a_changed_manifest_replaces_the_pod_and_a_removed_one_ends_it_with_its_grace(
    node: Node, manifests: Path, tmp_path: Path
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    volume = {"name": "out", "hostPath": {"path": str(shared)}}

    def put(word: str) -> Path:
        script = f"trap 'echo {word} >> /out/ends; exit 0' TERM; while true; do sleep 0.1; done"
        body = yaml.safe_load(write(manifests, "sh", "-c", script, volumes=[volume], terminationGracePeriodSeconds=20).read_text())
        body["spec"]["containers"][0]["volumeMounts"] = [{"name": "out", "mountPath": "/out"}]
        path = manifests / "web.yaml"
        path.write_text(yaml.safe_dump(body))
        return path

    put("first")
    name = await shown(node)
    first = await node.ready(name)
    path = put("second")
    await eventually(lambda: "second" in str(getattr(node.api.find(core.Pod, name, "default"), "spec", "")))
    await shown(node)
    second = await node.ready(name)
    assert second.metadata.annotations["kubernetes.io/config.hash"] != first.metadata.annotations["kubernetes.io/config.hash"]
    assert (shared / "ends").read_text() == "first\n"
    path.unlink()
    await eventually(lambda: node.api.find(core.Pod, name, "default") is None)
    assert (shared / "ends").read_text() == "first\nsecond\n"


async def test_a_static_pod_that_has_ended_stays_ended(node: Node, manifests: Path) -> None:
    write(manifests, "true", restartPolicy="Never")
    name = await shown(node)
    await node.phase("Succeeded", name)
    ident, uid = (await node.cri.list_containers())[0].id, node.pod(name).metadata.uid
    await node.kill()
    await node.start()
    await node.phase("Succeeded", name)
    assert node.pod(name).metadata.uid == uid
    assert [container.id for container in await node.cri.list_containers()] == [ident]


async def test_static_pods_run_without_an_api_server(node: Node, manifests: Path) -> None:
    await node.kill()
    write(manifests)
    cri = CriClient(node.machine.supervisor.socket_path)
    alone = Kubelet(node.settings, Client(NoServer()), cri)
    task = asyncio.create_task(alone.run())
    try:

        def running() -> str:
            worker = alone.loop.find("default", f"web-{node.name}")
            return worker.status.phase if worker is not None and worker.status.phase == "Running" else ""

        await eventually(running)
        pods = alone.loop.known_pods()
        assert [pod.status.containerStatuses[0].ready for pod in pods] == [True]
    finally:
        await cancel_and_wait(task)
        await cri.close()
    ident = [container.id for container in await node.cri.list_containers()]
    await node.start()
    await node.ready(await shown(node))
    assert [container.id for container in await node.cri.list_containers()] == ident


async def test_a_mistake_is_an_event_of_the_node(node: Node, manifests: Path) -> None:
    path = write(manifests, serviceAccountName="robot")
    message = f"static pod manifest {path}: spec.serviceAccountName: static pods may not reference serviceaccounts"
    await eventually(lambda: node.events("FailedValidation") == [message])
    assert node.api.list(core.Pod) == []
