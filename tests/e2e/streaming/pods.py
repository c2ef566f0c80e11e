"""The pod that kubectl believes in, as a real one: one container, which the tests choose."""

from __future__ import annotations

from collections.abc import Sequence

from tests.e2e.runtime.machine import Pod
from tests.integration.node.serve.streaming.neighbors import Query
from tiphys.node.cri.client import CriClient
from tiphys.node.cri.pb import api_pb2 as pb


def _flag(query: Query, name: str) -> bool:
    return query.get(name) in (["true"], ["1"])


class Containers:
    """Starts the container and asks CRI for the URLs of its streams, as the kubelet does."""

    def __init__(self, cri: CriClient, pod: Pod) -> None:
        self.cri = cri
        self.pod = pod
        self.id = ""

    async def start(self, *command: str, stdin: bool = False, tty: bool = False) -> str:
        config = pb.ContainerConfig(
            metadata=pb.ContainerMetadata(name="main"),
            image=pb.ImageSpec(image="tiphys.local/busybox:1"),
            command=command,
            stdin=stdin,
            stdin_once=stdin,
            tty=tty,
            log_path="main_0.log",
            linux=pb.LinuxContainerConfig(),
        )
        self.id = await self.cri.create_container(self.pod.id, config, self.pod.config)
        await self.cri.start_container(self.id)
        return self.id

    async def streaming_url(self, path: str, query: Query) -> str:
        if path.endswith("/portforward"):
            return await self.cri.port_forward(self.pod.id, [int(port) for port in query.get("ports", [])])
        flags = {name: _flag(query, name) for name in ("stdin", "stdout", "stderr", "tty")}
        if path.endswith("/attach"):
            return await self.cri.attach(self.id, **flags)
        command: Sequence[str] = query["command"]
        return await self.cri.exec(self.id, command, **flags)
