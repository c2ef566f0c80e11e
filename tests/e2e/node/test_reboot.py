"""A machine that is switched off and on: every process has gone, and what was in memory with it; disks are as they were."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.node.cluster import BUSYBOX, Node
from tests.e2e.runtime.machine import Machine, running_machine
from tiphys.api.core import v1 as core
from tiphys.node.runtime import procs
from tiphys.testing.eventually import eventually
from tiphys.testing.mounts import unmount_below


@pytest.fixture
def machine() -> Iterator[Machine]:
    """A machine of its own, since it is switched off."""
    with running_machine() as running:
        yield running


@pytest.fixture
async def node(machine: Machine, tmp_path: Path) -> AsyncIterator[Node]:
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    async with Node.running(machine, tmp_path, static_pod_path=manifests) as made:
        yield made
        (manifests / "static.yaml").unlink(missing_ok=True)


def _processes(machine: Machine) -> list[int]:
    """The machine's containerd, its shims, and everything in its control groups."""
    result = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                command, groups = (entry / "cmdline").read_bytes(), (entry / "cgroup").read_text()
                if f"{machine.directory}/".encode() in command or f"{machine.cgroup_parent}/" in groups:
                    result.append(int(entry.name))
    return result


def _power_off(machine: Machine, directory: Path) -> None:
    """End all processes at once, and empty what is in memory."""
    pids = _processes(machine)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    unmount_below(directory)
    unmount_below(machine.directory)


async def reboot(node: Node) -> None:
    machine = node.machine
    await node.kill()
    await node.cri.close()
    pids = _processes(machine)
    await asyncio.to_thread(_power_off, machine, node.directory)
    await eventually(lambda: not any(procs.is_alive(pid) for pid in pids))
    await asyncio.to_thread(shutil.rmtree, machine.directory / "run")
    machine.supervisor = machine.new_supervisor()
    await machine.start()
    node.cri = type(node.cri)(machine.supervisor.socket_path)
    await node.start()


async def test_pods_return_with_their_volumes_and_histories(node: Node, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    volumes = [
        {"name": "disk", "emptyDir": {}},
        {"name": "memory", "emptyDir": {"medium": "Memory"}},
        {"name": "host", "hostPath": {"path": str(tmp_path / "shared")}},
    ]
    script = "for d in disk memory host; do echo start >> /$d/starts; done; exec sleep 1000"
    mounts = [{"name": one["name"], "mountPath": f"/{one['name']}"} for one in volumes]
    await node.run("web", {"command": ["sh", "-c", script], "volumeMounts": mounts}, volumes=volumes)
    await node.run("once", {"command": ["sleep", "1000"]}, restartPolicy="Never")
    static = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "static"}}
    container = {"name": "main", "image": BUSYBOX, "command": ["sleep", "1000"]}
    text = yaml.safe_dump({**static, "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]}})
    (tmp_path / "manifests" / "static.yaml").write_text(text)
    mirror = f"static-{node.name}"
    await eventually(lambda: node.api.find(core.Pod, mirror, "default") is not None)
    for name in ("web", "once", mirror):
        await node.ready(name)
    before = node.pod("web")

    await reboot(node)

    await eventually(lambda: node.status(pod="web").restartCount == 1 and node.status(pod="web").ready)
    await eventually(lambda: node.status(pod=mirror).restartCount == 1 and node.status(pod=mirror).ready)
    assert node.status(pod="web").lastState.terminated is not None
    assert node.pod("web").metadata.uid == before.metadata.uid
    assert node.pod("web").status.startTime == before.status.startTime
    # What was in memory is empty again, and mounted again.
    assert await node.exec("sh", "-c", "cat /disk/starts | wc -l; cat /memory/starts | wc -l; cat /host/starts | wc -l") == "2\n1\n2\n"
    assert "tmpfs /memory tmpfs" in await node.exec("cat", "/proc/mounts")
    # A pod that is not started again has failed, with the end that the machine gave it.
    once = await node.phase("Failed", "once")
    (status,) = once.status.containerStatuses
    assert status.state.terminated is not None
    assert (status.restartCount, status.state.terminated.exitCode != 0) == (0, True)
