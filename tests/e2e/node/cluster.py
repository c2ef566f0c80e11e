"""A kubelet, an API server in memory and a real containerd, put together for a test."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from tests.e2e.runtime.machine import Machine
from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.core import v1 as core
from tiphys.api.machinery.conditions import is_true
from tiphys.api.meta import v1 as meta
from tiphys.node.cri.client import CriClient
from tiphys.node.kubelet import Kubelet
from tiphys.node.resources.assigner import Assigner
from tiphys.node.settings import NodeSettings
from tiphys.node.volumes import mounts
from tiphys.testing.eventually import eventually
from tiphys.testing.memory_api import MemoryApi
from tiphys.testing.mounts import unmount_below

BUSYBOX = "tiphys.local/busybox:1"


class Node:
    """One node. `kill` ends the kubelet as kill -9 would: nothing is said, nothing cleaned up."""

    def __init__(self, machine: Machine, directory: Path, api: MemoryApi) -> None:
        self.machine = machine
        self.directory = directory
        self.name = f"node-{secrets.token_hex(3)}"
        self.api = api
        self.client = self.api.client()
        self.cri = CriClient(machine.supervisor.socket_path)
        self.kubelet: Kubelet | None = None
        self._task: asyncio.Task[None] | None = None
        self.options: dict[str, Any] = {}
        self.assigners: Sequence[Assigner] = ()

    @classmethod
    @asynccontextmanager
    async def running(cls, machine: Machine, directory: Path, **options: Any) -> AsyncIterator[Node]:
        """A started node; `options` are settings of the agent. Nothing is left behind on the machine when it ends."""
        async with MemoryApi.running() as api:
            made = cls(machine, directory, api)
            made.options = options
            await made.start()
            try:
                yield made
            finally:
                await made.clean()

    @property
    def settings(self) -> NodeSettings:
        socket = str(self.machine.supervisor.socket_path)
        return NodeSettings(
            name=self.name,
            root=self.directory / "node",
            ips=("127.0.0.1",),
            cgroup_parent=self.machine.cgroup_parent,
            containerd_state=self.machine.supervisor.state,
            # A machine whose disk is nearly full is no reason for pods of tests to be refused.
            **{"containerd_socket": socket, "eviction_hard": {}, **self.options},
        )

    async def start(self) -> None:
        cri = CriClient(self.machine.supervisor.socket_path)
        self.kubelet = Kubelet(self.settings, self.api.client(), cri, assigners=self.assigners)
        self._task = asyncio.create_task(self.kubelet.run(), name="kubelet")
        await asyncio.wait_for(self.kubelet.ready.wait(), 20)

    async def kill(self) -> None:
        assert self._task is not None
        await cancel_and_wait(self._task)
        assert self.kubelet is not None
        await self.kubelet.services.cri.close()
        self.kubelet = None

    async def clean(self) -> None:
        """Delete every pod and wait until nothing is left; a failure to clean up is a failure of the test."""
        if self.kubelet is None:
            await self.start()
        for pod in self.api.list(core.Pod):
            self.api.remove(core.Pod, pod.metadata.name, pod.metadata.namespace)
        try:
            await eventually(self._nothing_left, timeout=40)
        finally:
            await self.kill()
            await self.cri.close()
            unmount_below(self.directory)

    async def _nothing_left(self) -> bool:
        assert await self.cri.list_pod_sandboxes() == []
        assert await self.cri.list_containers() == []
        assert self.mounts() == []
        pods = self.directory / "node" / "pods"
        assert not pods.exists() or os.listdir(pods) == []
        return True

    def mounts(self) -> list[str]:
        """Mounts below the node's directory, but for the one that makes it shared."""
        return [point for point in mounts.mounts_below(self.directory) if point != str(self.settings.root)]

    # -- pods

    async def run(self, name: str = "web", *containers: dict[str, Any], metadata: dict[str, Any] | None = None, **spec: Any) -> core.Pod:
        """Create a pod on this node; containers are busybox unless they say otherwise."""
        listed = [{"image": BUSYBOX, "name": "main", **one} for one in (containers or ({"command": ["sleep", "1000"]},))]
        inits = [{"image": BUSYBOX, **one} for one in spec.pop("initContainers", [])]
        body = {
            "metadata": {"name": name, "namespace": "default", **(metadata or {})},
            "spec": {
                "nodeName": self.name,
                "restartPolicy": "Always",
                # Nobody publishes the authority's certificate here, for which the volume of the account's token would wait.
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 1,
                **spec,
                "containers": listed,
                "initContainers": inits,
            },
        }
        return await self.client.create(msgspec.convert(body, core.Pod))

    def pod(self, name: str = "web") -> core.Pod:
        return self.api.get(core.Pod, name, "default")

    def status(self, container: str = "main", pod: str = "web") -> core.ContainerStatus:
        """The API's status of a container; AssertionError while there is none."""
        found = self.pod(pod).status
        for one in (*found.containerStatuses, *found.initContainerStatuses):
            if one.name == container:
                return one
        raise AssertionError(f"no status of {container}")

    async def ready(self, name: str = "web") -> core.Pod:
        """The pod once it is ready."""

        def check() -> core.Pod:
            pod = self.pod(name)
            assert is_true(pod.status.conditions, "Ready"), pod.status
            return pod

        return await eventually(check)

    async def phase(self, phase: str, name: str = "web") -> core.Pod:
        """The pod once it is in a phase."""

        def check() -> core.Pod:
            pod = self.pod(name)
            assert pod.status.phase == phase, pod.status
            return pod

        return await eventually(check)

    def log(self, container: str = "main", attempt: int = 0, pod: str = "web") -> str:
        """Return the log of a container, without the times."""
        found = self.pod(pod).metadata
        path = self.settings.logs / f"default_{pod}_{found.uid}" / container / f"{attempt}.log"
        try:
            return "".join(line.split(" ", 3)[3] for line in path.read_text().splitlines(keepends=True))
        except FileNotFoundError:
            return ""

    async def exec(self, *command: str, container: str = "main", pod: str = "web") -> str:
        """Run a command in a running container and return its output."""
        ident = self.status(container, pod).containerID.rpartition("/")[2]
        answer = await self.cri.exec_sync(ident, command, timeout=20)
        assert answer.exit_code == 0, (answer.stdout, answer.stderr)
        return answer.stdout.decode()

    async def pid(self, container: str = "main", pod: str = "web") -> int:
        """The process id of a container's main process."""
        ident = self.status(container, pod).containerID.rpartition("/")[2]
        info = (await self.cri.container_status(ident, verbose=True)).info["info"]
        return int(msgspec.json.decode(info)["pid"])

    async def kill_process(self, container: str = "main", pod: str = "web") -> None:
        os.kill(await self.pid(container, pod), signal.SIGKILL)

    def events(self, reason: str) -> list[str]:
        return [event.message for event in self.api.list(core.Event) if event.reason == reason]

    def config_map(self, name: str, **data: str) -> None:
        self.api.add(core.ConfigMap(metadata=meta.ObjectMeta(name=name, namespace="default"), data=data))

    def secret(self, name: str, **data: bytes) -> None:
        self.api.add(core.Secret(metadata=meta.ObjectMeta(name=name, namespace="default"), data=data))


def output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
