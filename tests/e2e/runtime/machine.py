"""One containerd of our own per test run, and pods on it. Everything has names of this run, so runs do not meet each other."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tiphys.images.build import ensure_images
from tiphys.node.cri.client import CriClient
from tiphys.node.cri.pb import api_pb2 as pb
from tiphys.node.runtime import procs
from tiphys.node.runtime.cni import write_cni_config
from tiphys.node.runtime.containerd import SEARCH_PATH, ContainerdSupervisor

TOP = Path("/tmp")
PREFIX = "tph-rt-"
CACHE = Path(__file__).resolve().parents[3] / "build" / "images"
# The CRI's zero value means one PID namespace for the whole pod, which is not what pods have by default.
NAMESPACES = pb.NamespaceOption(network=pb.POD, pid=pb.CONTAINER, ipc=pb.POD)


class Machine:
    """Directories, a bridge, a subnet and a cgroup parent named after a run, and the supervisor for them."""

    def __init__(self, directory: Path, search_path: str = SEARCH_PATH) -> None:
        self._search_path = search_path
        run = directory.name.rpartition("-")[2]
        self.directory = directory
        self.bridge = f"tphrt{run}"
        self.pod_cidr = f"10.{200 + int(run[:2], 16) % 50}.{int(run[2:4], 16)}.0/24"
        self.cgroup_parent = f"/tphrt{run}"
        self.supervisor = self.new_supervisor()

    @classmethod
    def new(cls, search_path: str = SEARCH_PATH) -> Machine:
        """Return a machine in a new directory, with the containerd of a search path."""
        directory = TOP / f"{PREFIX}{os.getpid()}-{secrets.token_hex(3)}"
        directory.mkdir()
        return cls(directory, search_path)

    def new_supervisor(self) -> ContainerdSupervisor:
        """Another supervisor of the same containerd, as a restarted node process would make it."""
        return ContainerdSupervisor(self.directory / "state", self.directory / "run", search_path=self._search_path)

    async def start(self) -> None:
        write_cni_config(self.supervisor.cni_conf_dir, bridge=self.bridge, pod_cidr=self.pod_cidr)
        await self.supervisor.start()

    async def purge(self) -> list[str]:
        return await self.supervisor.purge(cgroup_parents=(self.cgroup_parent,))

    def remove(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)


def remove_leftovers() -> None:
    """Purge what runs left behind whose process was killed."""
    for directory in TOP.glob(f"{PREFIX}*"):
        owner = int(directory.name.removeprefix(PREFIX).partition("-")[0])
        if not procs.is_alive(owner):
            machine = Machine(directory)
            assert asyncio.run(machine.purge()) == []
            machine.remove()


@contextlib.contextmanager
def running_machine(machine: Machine | None = None) -> Iterator[Machine]:
    """A running containerd with the pause and busybox images, purged at the end; by default in a new directory."""
    remove_leftovers()
    machine = machine or Machine.new()

    async def start() -> None:
        await machine.start()
        await ensure_images(["pause", "busybox"], cache_dir=CACHE, containerd_socket=machine.supervisor.socket_path)

    try:
        asyncio.run(start())
        yield machine
    finally:
        left = asyncio.run(machine.purge())
        machine.remove()
        assert left == []


class Pod:
    """A sandbox with its configuration, and containers in it."""

    def __init__(self, cri: CriClient, machine: Machine, name: str) -> None:
        self.cri = cri
        uid = secrets.token_hex(6)
        self.logs = machine.directory / "logs" / f"{name}-{uid}"
        self.cgroup = f"{machine.cgroup_parent}/pod{uid}"
        self.config = pb.PodSandboxConfig(
            metadata=pb.PodSandboxMetadata(name=name, namespace="default", uid=uid),
            hostname=name,
            log_directory=str(self.logs),
            labels={"pod": name},
            linux=pb.LinuxPodSandboxConfig(
                cgroup_parent=self.cgroup, security_context=pb.LinuxSandboxSecurityContext(namespace_options=NAMESPACES)
            ),
        )
        self.id = ""
        self.ip = ""

    async def run(self, *, host_port: int = 0, port: int = 0) -> Pod:
        """Start the sandbox; with `host_port`, `port` of the pod answers on the machine too."""
        if host_port:
            self.config.port_mappings.add(protocol=pb.TCP, container_port=port, host_port=host_port)
        self.logs.mkdir(parents=True, exist_ok=True)
        self.id = await self.cri.run_pod_sandbox(self.config)
        self.ip = (await self.cri.pod_sandbox_status(self.id)).status.network.ip
        return self

    async def create(
        self,
        name: str,
        *,
        image: str = "tiphys.local/busybox:1",
        command: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        mounts: Mapping[str, Path] | None = None,
        more_mounts: Sequence[pb.Mount] = (),
        resources: pb.LinuxContainerResources | None = None,
        attempt: int = 0,
    ) -> str:
        """Create a container; `mounts` maps paths in it to directories of the machine."""
        config = pb.ContainerConfig(
            metadata=pb.ContainerMetadata(name=name, attempt=attempt),
            image=pb.ImageSpec(image=image),
            command=command,
            envs=[pb.KeyValue(key=key, value=value.encode()) for key, value in (env or {}).items()],
            mounts=[*(pb.Mount(container_path=path, host_path=str(source)) for path, source in (mounts or {}).items()), *more_mounts],
            labels={"container": name},
            log_path=f"{name}_{attempt}.log",
            linux=pb.LinuxContainerConfig(
                resources=resources, security_context=pb.LinuxContainerSecurityContext(namespace_options=NAMESPACES)
            ),
        )
        return await self.cri.create_container(self.id, config, self.config)

    async def start(self, name: str, **options: object) -> str:
        """Create and start a container; the options are those of `create`."""
        container = await self.create(name, **options)  # type: ignore[arg-type]
        await self.cri.start_container(container)
        return container

    async def exited(self, container: str, *, timeout: float = 30) -> pb.ContainerStatus:
        """The container's status once it has ended."""
        async with asyncio.timeout(timeout):
            while True:
                status = (await self.cri.container_status(container)).status
                if status.state == pb.CONTAINER_EXITED:
                    return status
                await asyncio.sleep(0.02)

    async def output(self, container: str, command: Sequence[str], *, timeout: int = 20) -> str:
        """Return the output of a command in a running container; an AssertionError with its stderr when it fails."""
        answer = await self.cri.exec_sync(container, command, timeout=timeout)
        assert answer.exit_code == 0, (answer.exit_code, answer.stdout, answer.stderr)
        return answer.stdout.decode()

    def log(self, name: str, attempt: int = 0) -> str:
        with contextlib.suppress(FileNotFoundError):
            return (self.logs / f"{name}_{attempt}.log").read_text(encoding="utf-8")
        return ""

    async def remove(self) -> None:
        await self.cri.stop_pod_sandbox(self.id)
        await self.cri.remove_pod_sandbox(self.id)
