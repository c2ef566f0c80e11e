"""Storage for the tests of persistent volumes: a plugin whose mounts are entries of sets, which outlive the kubelet as real mounts do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from tests.unit.node.make import pod
from tiphys.aio.clock import LoopClock
from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.node.volumes.paths import PodPaths
from tiphys.node.volumes.payload import VolumeError
from tiphys.node.volumes.persistent import PersistentVolumes
from tiphys.node.volumes.plugin import DeviceRecord, MountRecord, UnattachedPlugin, VolumeSpec, VolumeStats
from tiphys.runtime.informer import InformerFactory
from tiphys.testing.memory_api import MemoryApi

NODE = "n1"


class Disks(UnattachedPlugin):
    """Volumes of the CSI driver `disks`. `staged` and `published` are what the machine has mounted; `calls` are the verbs so far.

    `on_call` is awaited before and after each change, with the verb, so that tests can fail or stop it there.
    """

    name = "kubernetes.io/csi"

    def __init__(self, root: Path) -> None:
        self.root = root
        self.staged: set[str] = set()
        self.published: set[tuple[str, str]] = set()
        self.calls: list[str] = []
        self.attaches = False
        self.keeps_attached = True
        self.full = False
        self.sizes: dict[str, int] = {}
        self.on_call: Callable[[str], Awaitable[None]] = _go_on

    def takes(self, spec: VolumeSpec) -> bool:
        return spec.pv is not None and spec.pv.spec.csi is not None

    def unique_name(self, spec: VolumeSpec) -> str:
        assert spec.pv is not None
        assert spec.pv.spec.csi is not None
        return f"{self.name}/disks^{spec.pv.spec.csi.volumeHandle}"

    def supports_mount_options(self, spec: VolumeSpec) -> bool:
        return True

    def needs_attachment(self, record: DeviceRecord) -> bool:
        return self.keeps_attached

    async def needs_attach(self, spec: VolumeSpec) -> bool:
        return self.attaches

    async def lacks_room(self, spec: VolumeSpec) -> bool:
        return self.full

    async def applies_fs_group(self, spec: VolumeSpec) -> bool:
        return True

    async def device_record(self, spec: VolumeSpec, device_path: str) -> DeviceRecord | None:
        return DeviceRecord(plugin=self.name, unique_name=self.unique_name(spec), name=spec.name, device_path=device_path)

    async def mount_device(self, spec: VolumeSpec, record: DeviceRecord) -> None:
        async with self._change("stage"):
            self.staged.add(record.unique_name)

    async def unmount_device(self, record: DeviceRecord) -> None:
        async with self._change("unstage"):
            assert not [one for one in self.published if one[0] == record.unique_name], "the volume is in use"
            self.staged.discard(record.unique_name)

    async def mount_record(self, spec: VolumeSpec, device: DeviceRecord | None) -> MountRecord:
        uid = spec.pod.metadata.uid
        path = str(PodPaths(self.root, uid).persistent(self.name, spec.name) / "mount")
        return MountRecord(
            plugin=self.name, unique_name=self.unique_name(spec), name=spec.name, uid=uid, volume=spec.volume.name, path=path
        )

    async def mount(self, spec: VolumeSpec, record: MountRecord, device: DeviceRecord | None) -> str:
        assert record.unique_name in self.staged
        async with self._change("publish"):
            await asyncio.to_thread(Path(record.path).mkdir, parents=True, exist_ok=True)
            self.published.add((record.unique_name, record.uid))
        return record.path

    async def unmount(self, record: MountRecord) -> None:
        async with self._change("unpublish"):
            self.published.discard((record.unique_name, record.uid))

    async def stats(self, record: MountRecord) -> VolumeStats | None:
        await self.on_call("stats")
        return VolumeStats(capacity=100, used=1, available=99)

    async def needs_expansion_on_node(self, spec: VolumeSpec) -> bool:
        return True

    async def expand(self, spec: VolumeSpec, record: MountRecord, device: DeviceRecord | None, size: int) -> int:
        async with self._change("expand"):
            self.sizes[record.unique_name] = size
        return size

    @asynccontextmanager
    async def _change(self, verb: str) -> AsyncIterator[None]:
        self.calls.append(verb)
        await self.on_call(f"before {verb}")
        yield
        await self.on_call(f"after {verb}")


async def _go_on(verb: str) -> None:
    """Let everything succeed."""


def failing(error: VolumeError, at: str, *, times: int = 1) -> Callable[[str], Awaitable[None]]:
    """Fail at a verb, the first `times` times."""
    left = [times]

    async def fail(verb: str) -> None:
        if verb == at and left[0] > 0:
            left[0] -= 1
            raise error

    return fail


class Hold:
    """Stop at a step: `reached` is set there, and the step goes on with `release`."""

    def __init__(self, step: str) -> None:
        self.step = step
        self.reached, self.release = asyncio.Event(), asyncio.Event()

    async def __call__(self, step: str) -> None:
        if step == self.step:
            self.reached.set()
            await self.release.wait()


class Kubelet:
    """The volumes of one kubelet process, and the events that it recorded."""

    def __init__(self, volumes: PersistentVolumes) -> None:
        self.volumes = volumes
        self.events: list[tuple[str, str]] = []


@asynccontextmanager
async def kubelet(api: MemoryApi, root: Path, disks: Disks) -> AsyncIterator[Kubelet]:
    """Start a kubelet; its end is that of a killed process: what it was doing stops where it is."""
    client, clock = api.client(), LoopClock()
    informers = InformerFactory(client, clock=clock)
    nodes = informers.of(core.Node, fields=f"metadata.name={NODE}")
    made: list[Kubelet] = []

    def tell(obj: Any, type_: str, reason: str, message: str) -> None:
        made[0].events.append((reason, message))

    volumes = PersistentVolumes(root, NODE, client, clock, nodes, tell)
    volumes.plugins.append(disks)
    volumes.first_pause = 0.01
    made.append(Kubelet(volumes))
    informers.start()
    try:
        await informers.wait_synced()
        yield made[0]
    finally:
        await volumes.close()
        await informers.stop()


def add_node(api: MemoryApi, **status: Any) -> None:
    api.add(core.Node(metadata=ObjectMeta(name=NODE), status=msgspec.convert(status, core.NodeStatus)))


def add_claim(api: MemoryApi, name: str = "c", *, modes: tuple[str, ...] = ("ReadWriteOnce",), claim: Any = None, **pv: Any) -> None:
    """Put the claim `name` and the disk `pv-<name>` in place, bound to each other."""
    body: dict[str, dict[str, Any]] = {
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}", "finalizers": ["kubernetes.io/pvc-protection"]},
        "spec": {"volumeName": f"pv-{name}", "accessModes": list(modes), "resources": {"requests": {"storage": "1Gi"}}},
        "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}},
    }
    for part, fields in (claim or {}).items():
        body[part] = {**body[part], **fields}
    api.add(msgspec.convert(body, core.PersistentVolumeClaim))
    spec = {
        "capacity": {"storage": "1Gi"},
        "accessModes": list(modes),
        "claimRef": {"namespace": "default", "name": name, "uid": f"uid-{name}"},
        "csi": {"driver": "disks", "volumeHandle": name},
        **pv,
    }
    api.add(msgspec.convert({"metadata": {"name": f"pv-{name}"}, "spec": spec}, core.PersistentVolume))


def claiming(name: str = "c", uid: str = "u1", **spec: Any) -> core.Pod:
    """A pod that mounts the claim `name`."""
    container = {"name": "main", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": name}}]
    return pod(container, volumes=volumes, metadata={"uid": uid, "name": f"pod-{uid}"}, **spec)
