"""Volumes of a driver behind a socket, with a kubelet's rights: what the network between them can do, and what the API server allows."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.integration.node.csi.mounting import MountingDriver, mountable
from tests.integration.node.csi.plugged import plugged
from tests.integration.node.plugins.registrar import Registrar
from tests.unit.node.csi.scripted import ALL, NAME, ScriptedDriver, answer, hang
from tests.unit.node.csi.world import attachment_of, mount, spec_of, volume_of
from tiphys.aio.clock import LoopClock
from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.storage import v1 as storage
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.csi.server import served
from tiphys.node.csi.node import CsiNode
from tiphys.node.volumes import mounts
from tiphys.node.volumes.payload import VolumeError
from tiphys.node.volumes.plugin import DeviceRecord, MountRecord, UncertainError, VolumeSpec
from tiphys.runtime.informer import InformerFactory
from tiphys.testing.eventually import eventually
from tiphys.testing.memory_api import MemoryApi


@pytest.fixture
async def api() -> AsyncIterator[MemoryApi]:
    async with MemoryApi.running(clock=LoopClock()) as running:
        running.add(core.Node(metadata=ObjectMeta(name="n1")))
        running.add(storage.CSIDriver(metadata=ObjectMeta(name=NAME), spec=storage.CSIDriverSpec(attachRequired=False)))
        yield running


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A kubelet's directory, below which nothing stays mounted."""
    with mountable(tmp_path):
        yield tmp_path


@asynccontextmanager
async def registered(api: MemoryApi, root: Path) -> AsyncIterator[CsiNode]:
    """A kubelet that has registered the driver at `csi.sock`."""
    client = api.client("system:node:n1", "system:nodes")
    informers = InformerFactory(client)
    informers.start()
    node = CsiNode(root, "n1", client, informers, LoopClock(), rng=random.Random(1))
    registrar = Registrar(NAME, str(root / "csi.sock"))
    try:
        async with plugged(node, root), registrar.served(root / "plugins_registry" / "reg.sock"):
            await registrar.wait()
            assert registrar.heard == [""]
            yield node
    finally:
        await informers.stop()


async def unmount(node: CsiNode, device: DeviceRecord, record: MountRecord) -> None:
    await node.plugin.unmount(record)
    await node.plugin.unmount_device(device)


async def test_a_hanging_driver_holds_up_nobody_else(api: MemoryApi, tmp_path: Path) -> None:
    driver = ScriptedDriver()
    async with served(driver, tmp_path / "csi.sock"), registered(api, tmp_path) as node:
        client: Any = node.drivers.get(NAME).driver
        client.timeout = 0.3
        driver.next("NodeStageVolume", hang)
        stuck = asyncio.create_task(mount(node, spec_of(volume_of("stuck"))))
        await eventually(lambda: driver.asked("NodeStageVolume"))
        device, record = await mount(node, spec_of(volume_of("fine"), "u2"))
        with pytest.raises(UncertainError, match="code = DeadlineExceeded"):
            await stuck
        await unmount(node, device, record)
        again = await mount(node, spec_of(volume_of("stuck")))
        await unmount(node, *again)
        assert (driver.staged, driver.published) == ({}, {})


async def test_a_driver_that_dies_during_a_call(api: MemoryApi, tmp_path: Path) -> None:
    driver, path = ScriptedDriver(), tmp_path / "csi.sock"
    async with AsyncExitStack() as first:
        await first.enter_async_context(served(driver, path))
        async with registered(api, tmp_path) as node:
            device, record = await mount(node, spec_of(volume_of()))
            driver.next("NodeUnpublishVolume", hang)
            going = asyncio.create_task(node.plugin.unmount(record))
            await eventually(lambda: driver.asked("NodeUnpublishVolume"))
            await first.aclose()
            with pytest.raises(UncertainError, match=r"code = (Unavailable|Canceled)"):
                await going
            with pytest.raises(VolumeError, match="code = Unavailable"):
                await node.plugin.unmount(record)

            async def unmounted() -> bool:
                try:
                    await unmount(node, device, record)
                except VolumeError:
                    return False
                return True

            async with served(driver, path):
                await eventually(unmounted)
    assert (driver.staged, driver.published) == ({}, {})


@asynccontextmanager
async def raw_driver(path: Path, answers: dict[str, bytes]) -> AsyncIterator[None]:
    """Serve a driver that answers with these bytes, whatever it is asked."""

    def handler(name: str) -> Any:
        async def respond(request: bytes, context: Any) -> bytes:
            return answers[name]

        return grpc.unary_unary_rpc_method_handler(respond)

    server = grpc.aio.server()
    handlers = {name: handler(name) for name in answers}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("csi.v1.Node", handlers),))
    assert server.add_insecure_port(f"unix://{path}")
    await server.start()
    try:
        yield
    finally:
        await server.stop(grace=None)


async def test_garbage_is_an_error_like_others(api: MemoryApi, tmp_path: Path) -> None:
    rng = random.Random(5)
    offers = pb.NodeGetCapabilitiesResponse(
        capabilities=[pb.NodeServiceCapability(rpc=pb.NodeServiceCapability.RPC(type=feature)) for feature in ALL]
    )
    answers = {
        "NodeGetInfo": pb.NodeGetInfoResponse(node_id="n").SerializeToString(),
        "NodeGetCapabilities": offers.SerializeToString(),
    }
    verbs = ("NodeStageVolume", "NodePublishVolume", "NodeUnpublishVolume", "NodeUnstageVolume", "NodeGetVolumeStats", "NodeExpandVolume")
    answers |= dict.fromkeys(verbs, b"")
    async with raw_driver(tmp_path / "csi.sock", answers), registered(api, tmp_path) as node:
        spec = spec_of(volume_of())
        device, record = await mount(node, spec)
        calls = (
            ("NodeStageVolume", lambda: node.plugin.mount_device(spec, device)),
            ("NodePublishVolume", lambda: node.plugin.mount(spec, record, device)),
            ("NodeExpandVolume", lambda: node.plugin.expand(spec, record, device, 7)),
            ("NodeGetVolumeStats", lambda: node.plugin.stats(record)),
            ("NodeGetCapabilities", lambda: node.plugin.device_record(spec, "")),
            ("NodeUnpublishVolume", lambda: node.plugin.unmount(record)),
            ("NodeUnstageVolume", lambda: node.plugin.unmount_device(device)),
        )
        for verb, call in calls:
            good = answers[verb]
            # Junk that happens to be a message would end a mount.
            for junk in () if verb.startswith("NodeUn") else (b"\xff", *(rng.randbytes(rng.randrange(1, 64)) for _ in range(20))):
                answers[verb] = junk
                # Some junk can be read as a message; nothing but VolumeError comes out of the rest.
                with contextlib.suppress(VolumeError):
                    await call()
            answers[verb] = b"\xff"
            with pytest.raises(VolumeError) as caught:
                await call()
            assert isinstance(caught.value, UncertainError) == (
                verb in ("NodeStageVolume", "NodePublishVolume", "NodeExpandVolume", "NodeUnpublishVolume", "NodeUnstageVolume")
            )
            answers[verb] = good
            if verb.startswith("NodeUn"):
                await call()


async def test_a_kubelet_may_do_what_volumes_need(api: MemoryApi, tmp_path: Path) -> None:
    """Everything that a volume refers to, with the rights of the node that its pod is bound to."""
    api.remove(storage.CSIDriver, NAME)
    tokens = [storage.TokenRequest(audience="vault", expirationSeconds=600)]
    api.add(storage.CSIDriver(metadata=ObjectMeta(name=NAME), spec=storage.CSIDriverSpec(attachRequired=True, tokenRequests=tokens)))
    api.add(core.Secret(metadata=ObjectMeta(name="key", namespace="drivers"), data={"password": b"hunter22"}))
    secret = {"namespace": "drivers", "name": "key"}
    pv = volume_of(nodeStageSecretRef=secret, nodePublishSecretRef=secret, nodeExpandSecretRef=secret)
    pv.spec.claimRef = core.ObjectReference(namespace="default", name="c")
    api.add(pv)
    claim = core.PersistentVolumeClaim(metadata=ObjectMeta(name="c", namespace="default"))
    claim.spec.volumeName = pv.metadata.name
    api.add(claim)
    api.add(attachment_of("vol-1", attached=True, attachmentMetadata={"lun": "3"}))
    spec = spec_of(pv)
    driver = ScriptedDriver(*ALL)
    async with served(driver, tmp_path / "csi.sock"), registered(api, tmp_path) as node:
        with pytest.raises(VolumeError, match="no relationship found between node 'n1' and this object"):
            await mount(node, spec)
        spec.pod.spec.volumes = [spec.volume]
        api.add(spec.pod)
        await node.plugin.wait_attached(spec, "")
        device, record = await mount(node, spec)
        assert await node.plugin.expand(spec, record, device, 7) == 7
        await unmount(node, device, record)
    assert {request.secrets["password"] for verb in ("Stage", "Publish", "Expand") for request in driver.asked(f"Node{verb}Volume")} == {
        "hunter22"
    }


async def test_content_outlives_pods_and_lies(api: MemoryApi, root: Path) -> None:
    driver = MountingDriver()
    async with served(driver, root / "csi.sock"), registered(api, root) as node:
        spec = spec_of(volume_of())
        device, record = await mount(node, spec)
        (Path(record.path) / "data").write_text("precious")
        _, second = await mount_for(node, spec_of(volume_of(), "u2"), device)
        assert (Path(second.path) / "data").read_text() == "precious"
        driver.next("NodeUnpublishVolume", answer(pb.NodeUnpublishVolumeResponse()))
        with pytest.raises(VolumeError):
            await node.plugin.unmount(record)
        assert (Path(second.path) / "data").read_text() == "precious"
        await node.plugin.unmount(record)
        await node.plugin.unmount(second)
        await node.plugin.unmount_device(device)
    assert mounts.mounts_below(root) == [str(root)]


async def mount_for(node: CsiNode, spec: VolumeSpec, device: DeviceRecord) -> tuple[DeviceRecord, MountRecord]:
    """Mount a volume that is staged for one more pod."""
    record = await node.plugin.mount_record(spec, device)
    await node.plugin.mount(spec, record, device)
    return device, record
