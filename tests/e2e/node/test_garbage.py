"""Garbage on a node: unused images, dead containers, logs of deleted pods ("Garbage Collection")."""

from __future__ import annotations

import asyncio
import io
import secrets
import tarfile
from pathlib import Path
from typing import Any

from tests.e2e.node.cluster import BUSYBOX, Node
from tests.e2e.node.registry import Registry
from tests.e2e.runtime.machine import Machine
from tiphys.api.core import v1 as core
from tiphys.images.archives import load_archive
from tiphys.images.oci import layer, write_archive
from tiphys.node.container.logs import LogOptions
from tiphys.node.garbage import kept_logs
from tiphys.node.runtime.config import PAUSE_IMAGE
from tiphys.testing.eventually import eventually

EVERYTHING = 1 << 60


async def image(node: Node, directory: Path, *, size: int = 100_000) -> str:
    """Give the node an image of one file of so many bytes that no registry has; returns its name."""
    name = f"example.test/{secrets.token_hex(4)}:1"
    data = secrets.token_bytes(size)
    with tarfile.open(directory / "layer.tar", "w") as tar:
        info = tarfile.TarInfo("file")
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    write_archive(directory / "image.tar", name=name, layers=[layer(directory / "layer.tar")], config={}, labels={})
    await load_archive(directory / "image.tar", containerd_socket=node.machine.supervisor.socket_path)
    await eventually(lambda: holds(node, name), timeout=10)
    return name


async def holds(node: Node, name: str) -> bool:
    return await node.cri.image_status(name) is not None


def state(node: Node, name: str) -> str:
    worker = node.kubelet.loop.find("default", name) if node.kubelet is not None else None
    return worker.life.state if worker is not None else ""


def showing(name: str) -> dict[str, Any]:
    return {"name": "i", "image": {"reference": name, "pullPolicy": "Never"}}


async def test_images_that_nobody_uses_go_under_pressure(node: Node, tmp_path: Path) -> None:
    assert node.kubelet is not None
    garbage = node.kubelet.garbage
    unused, used = await image(node, tmp_path), await image(node, tmp_path)
    await node.run("web", {"command": ["sleep", "1000"], "volumeMounts": [{"name": "i", "mountPath": "/i"}]}, volumes=[showing(used)])
    await node.ready()
    reclaimed = await garbage.reclaim("imagefs", EVERYTHING)
    assert "1 image" in reclaimed.summary
    assert reclaimed.bytes >= 100_000
    assert not await holds(node, unused)
    for name in (used, BUSYBOX, PAUSE_IMAGE):
        assert await holds(node, name)
    node.api.remove(core.Pod, "web", "default")
    await eventually(lambda: node.kubelet is not None and node.kubelet.loop.workers() == [], timeout=20)
    assert (await garbage.reclaim("nodefs", EVERYTHING)).summary == "1 image"
    assert not await holds(node, used)
    assert (await garbage.reclaim("nodefs", EVERYTHING)).summary == ""


async def test_images_stay_while_the_disk_has_room(node: Node, tmp_path: Path) -> None:
    assert node.kubelet is not None
    garbage = node.kubelet.garbage
    name = await image(node, tmp_path)
    assert (await garbage.reclaim("imagefs", 0)).summary == ""
    # Thresholds that every disk keeps, and with them the images.
    garbage.images.policy = garbage.images.policy.__class__(high=100, low=99)
    await garbage.collect_images()
    assert await holds(node, name)


async def test_an_image_that_nobody_used_for_long_goes(node: Node, tmp_path: Path) -> None:
    assert node.kubelet is not None
    garbage = node.kubelet.garbage
    name = await image(node, tmp_path)
    # The first look of a node takes images for old, and nothing has used this one.
    garbage.images.policy = garbage.images.policy.__class__(high=100, low=99, max_age=3600)
    await garbage.collect_images()
    assert not await holds(node, name)
    fresh = await image(node, tmp_path)
    await garbage.collect_images()
    assert await holds(node, fresh), "an image that came after the first look is as young as it is"
    await garbage.reclaim("imagefs", EVERYTHING)


async def test_dead_containers_go_with_their_logs_and_pods_keep_their_status(node: Node) -> None:
    assert node.kubelet is not None
    garbage = node.kubelet.garbage
    await node.run("job", {"command": ["sh", "-c", "echo done"]}, restartPolicy="Never")
    once = "[ -e /keep/once ] || { touch /keep/once; exit 3; }; sleep 1000"
    container = {"command": ["sh", "-c", once], "volumeMounts": [{"name": "keep", "mountPath": "/keep"}]}
    await node.run("web", container, volumes=[{"name": "keep", "emptyDir": {}}])
    await eventually(lambda: node.status(pod="web").restartCount == 1 and node.status(pod="web").state.running is not None, timeout=30)
    await eventually(lambda: state(node, "job") == "terminated", timeout=20)
    before = node.status(pod="web")
    logs = sorted(node.settings.logs.glob("default_web_*/main/*.log"))
    assert [path.name for path in logs] == ["0.log", "1.log"]
    await garbage.collect_containers()
    assert logs[0].exists(), "the last dead container stays for kubectl logs --previous"
    assert (await garbage.reclaim("imagefs", EVERYTHING)).summary == "2 dead containers"
    assert not logs[0].exists()
    assert [one.id for one in await node.cri.list_containers()] == [before.containerID.removeprefix("containerd://")]
    assert node.status(pod="web") == before
    job = node.pod("job").status
    assert job.phase == "Succeeded"
    assert job.containerStatuses[0].state.terminated is not None
    assert job.containerStatuses[0].state.terminated.exitCode == 0


async def test_the_log_of_a_deleted_pod_stays_readable(node: Node) -> None:
    await node.run("web", {"command": ["sh", "-c", "echo last words; sleep 1000"]})
    await node.ready()
    uid = node.pod("web").metadata.uid
    await node.client.delete(core.Pod, "web", "default")
    logs = node.settings.logs
    await eventually(lambda: [one.uid for one in kept_logs.kept_logs(logs)] == [uid], timeout=30)
    (log,) = kept_logs.kept_logs(logs)
    assert (log.namespace, log.pod, log.container, log.restart) == ("default", "web", "main", 0)
    assert b"".join(kept_logs.read(log, LogOptions())) == b"last words\n"
    assert [path.name for path in logs.iterdir()] == [kept_logs.FOLDER]
    assert node.kubelet is not None
    assert (await node.kubelet.garbage.reclaim("nodefs", EVERYTHING)).summary.startswith("1 log of deleted pods")
    assert kept_logs.kept_logs(logs) == []


async def test_an_image_that_is_being_removed_is_pulled_again_for_a_pod(node: Node, node_machine: Machine, tmp_path: Path) -> None:
    assert node.kubelet is not None
    images = node.kubelet.services.images
    async with Registry.running(node_machine, tmp_path) as registry:
        name = registry.image()
        pod = await node.run("web", {"image": name, "imagePullPolicy": "IfNotPresent", "command": ["sleep", "1000"]})
        await node.ready()
        node.api.remove(core.Pod, "web", "default")
        await eventually(lambda: node.kubelet is not None and node.kubelet.loop.workers() == [], timeout=20)
        present = await node.cri.image_status(name)
        assert present is not None
        told: list[str] = []
        fetching = images.fetch(pod, name, "IfNotPresent", tell=lambda type_, reason, message: told.append(message))
        await asyncio.gather(images.remove(present.id), fetching)
        assert any(message.startswith("Successfully pulled") for message in told)
        assert await holds(node, name)


async def test_pods_start_while_images_go(node: Node, node_machine: Machine, tmp_path: Path) -> None:
    assert node.kubelet is not None
    garbage = node.kubelet.garbage
    async with Registry.running(node_machine, tmp_path) as registry:
        for number in range(4):
            name = f"web-{number}"
            await node.run(name, {"image": registry.image(), "imagePullPolicy": "IfNotPresent", "command": ["sleep", "1000"]})
            for _ in range(3):
                await garbage.reclaim("imagefs", EVERYTHING)
            await node.ready(name)
            assert await holds(node, registry.image())
            node.api.remove(core.Pod, name, "default")
            await eventually(lambda: node.kubelet is not None and node.kubelet.loop.workers() == [], timeout=20)
    assert node.events("Failed") == []
