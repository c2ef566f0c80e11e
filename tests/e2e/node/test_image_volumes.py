"""Volumes whose content is an image ("Use an Image Volume With a Pod")."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.e2e.node.cluster import BUSYBOX, Node
from tests.e2e.node.test_volumes import SLEEP, mount
from tiphys.api.core import v1 as core
from tiphys.node.volumes import mounts
from tiphys.testing.eventually import eventually


def of_image(name: str = "i", reference: str = BUSYBOX, **more: Any) -> dict[str, Any]:
    return {"name": name, "image": {"reference": reference, **more}}


def waiting(node: Node, reason: str, pod: str = "web") -> core.ContainerStateWaiting:
    state = node.status(pod=pod).state.waiting
    assert state is not None
    assert state.reason == reason
    return state


async def test_the_files_of_an_image_are_a_volume(node: Node) -> None:
    volumes = [of_image("i", pullPolicy="IfNotPresent"), of_image("j", pullPolicy="Never")]
    mounts_ = [mount("i", "/i"), mount("j", "/j"), mount("i", "/sub", subPath="bin"), mount("i", "/expr", subPathExpr="$(WHICH)")]
    container = {"command": SLEEP, "volumeMounts": mounts_, "env": [{"name": "WHICH", "value": "etc"}]}
    await node.run("web", container, volumes=volumes)
    await node.ready()
    same = "for f in /i/bin/sh /j/bin/sh /sub/sh; do cmp $f /bin/sh || exit 1; done; ls /expr > /dev/null && echo same"
    assert await node.exec("sh", "-c", same) == "same\n"
    refused = await node.exec("sh", "-c", "touch /i/x 2>&1; mkdir /sub/x 2>&1; mount -o remount,rw /i 2>&1; /i/bin/busybox true 2>&1; true")
    assert refused.count("Read-only file system") == 2
    assert "Permission denied" in refused.splitlines()[-1], "nothing in the volume can be executed"
    assert f'Container image "{BUSYBOX}" already present on machine and can be accessed by the pod' in node.events("Pulled")


async def views(node: Node) -> str:
    """The snapshots of volumes that containerd keeps."""
    socket = str(node.machine.supervisor.socket_path)
    process = await asyncio.create_subprocess_exec("ctr", "-a", socket, "-n", "k8s.io", "snapshots", "list", stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    return "\n".join(line for line in output.decode().splitlines() if line.startswith("tiphys-volume-"))


async def test_an_image_volume_outlives_its_kubelet_and_ends_with_its_pod(node: Node) -> None:
    empty = mounts.mounts_below(node.directory)
    await node.run("web", {"command": SLEEP, "volumeMounts": [mount("i", "/i")]}, volumes=[of_image()])
    await node.ready()
    before = mounts.mounts_below(node.directory)
    await node.kill()
    await node.start()
    await node.ready()
    assert mounts.mounts_below(node.directory) == before
    assert await node.exec("cmp", "/i/bin/sh", "/bin/sh") == ""
    assert "View" in await views(node)
    node.api.remove(core.Pod, "web", "default")
    await eventually(lambda: mounts.mounts_below(node.directory) == empty, timeout=40)

    async def removed() -> bool:
        return not await views(node)

    await eventually(removed)


async def test_an_image_that_cannot_be_had_keeps_only_those_who_use_it(node: Node) -> None:
    none = "127.0.0.1:1/none:1"
    user = {"name": "main", "command": SLEEP, "volumeMounts": [mount("i", "/i")]}
    other = {"name": "other", "command": SLEEP}
    await node.run("web", user, other, volumes=[of_image(reference=none)])
    state = await eventually(lambda: waiting(node, "ImagePullBackOff"))
    assert state.message.startswith(f'Back-off pulling image "{none}": ErrImagePull: ')
    await eventually(lambda: node.status("other").state.running)
    assert "Error: ErrImagePull" in node.events("Failed")
    assert f'Pulling image "{none}"' in node.events("Pulling")
    await node.run("never", user, volumes=[of_image(reference=none, pullPolicy="Never")])
    await eventually(lambda: waiting(node, "ErrImageNeverPull", "never"))
    await node.run("unused", {"command": SLEEP}, volumes=[of_image(reference=none)])
    await node.ready("unused")


async def test_a_sub_path_that_an_image_lacks(node: Node) -> None:
    await node.run("web", {"command": SLEEP, "volumeMounts": [mount("i", "/i", subPath="no/such")]}, volumes=[of_image()])
    state = await eventually(lambda: waiting(node, "CreateContainerConfigError"))
    assert "no/such" in state.message
