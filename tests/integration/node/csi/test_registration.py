"""Plugins introduce themselves over sockets, and drivers among them appear in the API."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.integration.node.csi.plugged import plugged
from tests.integration.node.plugins.registrar import Registrar
from tests.unit.node.csi.scripted import NAME, STAGE, ScriptedDriver, hang, refuse
from tiphys.aio.clock import LoopClock
from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.storage import v1 as storage
from tiphys.csi.errors import Failed
from tiphys.csi.server import served
from tiphys.node.csi.node import CsiNode
from tiphys.node.csi.node_info import NODE_ID
from tiphys.node.plugins.registration import PluginError
from tiphys.node.plugins.watcher import Plugin, PluginHandler, PluginWatcher
from tiphys.node.volumes.payload import VolumeError
from tiphys.runtime.informer import InformerFactory
from tiphys.testing.eventually import eventually
from tiphys.testing.memory_api import MemoryApi


@pytest.fixture
async def api() -> AsyncIterator[MemoryApi]:
    async with MemoryApi.running(clock=LoopClock()) as running:
        running.add(core.Node(metadata=ObjectMeta(name="n1")))
        yield running


@asynccontextmanager
async def running_node(api: MemoryApi, root: Path, **handlers: PluginHandler) -> AsyncIterator[tuple[CsiNode, PluginWatcher]]:
    """The drivers' part of a kubelet, with a kubelet's rights."""
    client = api.client("system:node:n1", "system:nodes")
    informers = InformerFactory(client)
    informers.start()
    node = CsiNode(root, "n1", client, informers, LoopClock(), rng=random.Random(1))
    try:
        async with plugged(node, root, **handlers) as watcher:
            yield node, watcher
    finally:
        await informers.stop()


def entries(api: MemoryApi) -> list[storage.CSINodeDriver]:
    return [driver for node in api.list(storage.CSINode) for driver in node.spec.drivers or []]


async def test_drivers_come_and_go(api: MemoryApi, tmp_path: Path) -> None:
    driver = ScriptedDriver(topology={"scripted.example/zone": "a"}, most=5)
    endpoint = tmp_path / "plugins" / NAME / "csi.sock"
    async with running_node(api, tmp_path) as (node, _), served(driver, endpoint):
        registrar = Registrar(NAME, str(endpoint))
        async with registrar.served(tmp_path / "plugins_registry" / f"{NAME}-reg.sock"):
            await eventually(lambda: registrar.heard == [""])
            # Whoever was told that it is registered finds it in the API and in use.
            assert entries(api) == [storage.CSINodeDriver(NAME, "node-1", ["scripted.example/zone"], storage.VolumeNodeResources(count=5))]
            assert api.get(core.Node, "n1").metadata.labels["scripted.example/zone"] == "a"
            assert await node.drivers.get(NAME).capabilities() == {STAGE}
        await eventually(lambda: entries(api) == [])
        assert NODE_ID not in api.get(core.Node, "n1").metadata.annotations
        with pytest.raises(VolumeError, match=f"driver name {NAME} not found in the list of registered CSI drivers"):
            node.drivers.get(NAME)


async def test_a_new_kubelet_finds_the_sockets_that_are_there(api: MemoryApi, tmp_path: Path) -> None:
    endpoint = tmp_path / "csi.sock"
    registrar = Registrar(NAME, str(endpoint))
    # Plugins may have folders of their own; files, and names that begin with a dot, are none.
    async with served(ScriptedDriver(), endpoint), registrar.served(tmp_path / "plugins_registry" / NAME / "reg.sock"):
        (tmp_path / "plugins_registry" / "readme").write_text("hello")
        hidden = Registrar("hidden.example", str(endpoint))
        async with hidden.served(tmp_path / "plugins_registry" / ".hidden.sock"):
            for _ in range(2):
                registrar.heard.clear()
                async with running_node(api, tmp_path):
                    await eventually(lambda: registrar.heard == [""])
                # The end of a kubelet takes nothing back.
                assert [driver.name for driver in entries(api)] == [NAME]
            assert hidden.heard == []


async def test_a_socket_that_is_made_anew_is_another_plugin(api: MemoryApi, tmp_path: Path) -> None:
    path = tmp_path / "plugins_registry" / "reg.sock"
    async with AsyncExitStack() as stack, running_node(api, tmp_path) as (_, watcher):
        for number in (1, 2):
            endpoint = tmp_path / f"{number}.sock"
            await stack.enter_async_context(served(ScriptedDriver(node_id=f"id-{number}"), endpoint))
            registrar = Registrar(NAME, str(endpoint))
            async with registrar.served(path):
                await registrar.wait()
                assert registrar.heard == [""]
                assert [driver.nodeID for driver in entries(api)] == [f"id-{number}"]
                assert list(watcher.registered.values()) == [Plugin(NAME, str(endpoint), ("1.0.0",))]


@pytest.mark.parametrize(
    ("registrar", "message"),
    [
        (Registrar(NAME, "", "2.0.0"), 'ValidatePlugin for CSI driver "scripted.example" failed. None of the versions specified ["2.0.0"]'),
        (Registrar(NAME, "", "0.3.0"), "highest supported version reported is 0.3.0, must be v1.x"),
        (Registrar(NAME, kind="Other"), "RegisterPlugin error -- no handler registered for plugin type: Other at socket"),
    ],
)
async def test_tells_plugins_why_they_are_not_registered(api: MemoryApi, tmp_path: Path, registrar: Registrar, message: str) -> None:
    registrar.heard.clear()
    async with running_node(api, tmp_path), registrar.served(tmp_path / "plugins_registry" / "reg.sock"):
        await eventually(lambda: registrar.heard)
        assert message in registrar.heard[0]
    assert entries(api) == []


async def test_a_failed_registration_leaves_nothing_and_is_repeated(api: MemoryApi, tmp_path: Path) -> None:
    endpoint = tmp_path / "csi.sock"
    driver, registrar = ScriptedDriver(), Registrar(NAME, str(endpoint))
    driver.next("NodeGetInfo", refuse(Failed("not yet")))
    registrar.deaf = 1
    async with running_node(api, tmp_path), served(driver, endpoint), registrar.served(tmp_path / "plugins_registry" / "reg.sock"):
        await eventually(lambda: len(registrar.heard) == 1)
        # The first answer was not heard, the second attempt was.
        assert registrar.heard == [""]
        assert len(driver.asked("NodeGetInfo")) == 2


async def test_a_second_driver_of_the_name(api: MemoryApi, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack, running_node(api, tmp_path):
        registrars = []
        for number, version in ((1, "1.2.0"), (2, "1.2.0"), (3, "1.3.0")):
            endpoint = tmp_path / f"{number}.sock"
            await stack.enter_async_context(served(ScriptedDriver(), endpoint))
            registrar = Registrar(NAME, str(endpoint), version)
            await stack.enter_async_context(registrar.served(tmp_path / "plugins_registry" / f"{number}.sock"))
            await registrar.wait()
            registrars.append(registrar)
        assert 'Another driver with the same name is already registered with a higher supported version: "1.2.0"' in registrars[1].heard[0]
        assert registrars[2].heard == [""]


async def test_junk_at_a_socket_hurts_nobody(api: MemoryApi, tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x00\xffHTTP/1.1 200 OK\r\n\r\njunk")
        writer.close()

    registry = tmp_path / "plugins_registry"
    registry.mkdir()
    (registry / "loop.sock").symlink_to("loop.sock")
    (registry / "nothing.sock").symlink_to("missing")
    os.mkfifo(registry / "fifo.sock")
    (registry / "out").symlink_to("/")
    endpoint = tmp_path / "csi.sock"
    registrar = Registrar(NAME, str(endpoint))
    server = await asyncio.start_unix_server(answer, registry / "junk.sock")
    async with server, running_node(api, tmp_path), served(ScriptedDriver(), endpoint), registrar.served(registry / "reg.sock"):
        await eventually(lambda: registrar.heard == [""])


class Devices:
    """A handler of another type of plugin."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def validate(self, plugin: Plugin) -> None:
        if plugin.versions != ("v1beta1",):
            raise PluginError("unsupported")

    async def register(self, plugin: Plugin) -> None:
        self.events.append(f"register {plugin.name}")

    async def deregister(self, plugin: Plugin) -> None:
        self.events.append(f"deregister {plugin.name}")


async def test_other_types_of_plugins_have_handlers_of_their_own(api: MemoryApi, tmp_path: Path) -> None:
    devices = Devices()
    registrar = Registrar("example.com/gpu", "", "v1beta1", kind="DevicePlugin")
    async with running_node(api, tmp_path, DevicePlugin=devices):
        async with registrar.served(tmp_path / "plugins_registry" / "gpu.sock"):
            await eventually(lambda: registrar.heard == [""])
        await eventually(lambda: devices.events == ["register example.com/gpu", "deregister example.com/gpu"])


async def test_the_number_of_volumes_is_asked_again(api: MemoryApi, tmp_path: Path) -> None:
    api.add(storage.CSIDriver(metadata=ObjectMeta(name=NAME), spec=storage.CSIDriverSpec(nodeAllocatableUpdatePeriodSeconds=1)))
    driver = ScriptedDriver(most=5)
    async with running_node(api, tmp_path) as (node, _):
        await node.drivers.add(NAME, driver)
        assert [entry.allocatable for entry in entries(api)] == [storage.VolumeNodeResources(count=5)]
        driver.most = 4
        await eventually(lambda: [entry.allocatable for entry in entries(api)] == [storage.VolumeNodeResources(count=4)])


async def test_a_driver_of_this_process_keeps_its_name(api: MemoryApi, tmp_path: Path) -> None:
    """Also against a plugin that was earlier: when that goes, the driver stays."""
    endpoint = tmp_path / "csi.sock"
    registrar = Registrar(NAME, str(endpoint))
    async with running_node(api, tmp_path) as (node, watcher), served(ScriptedDriver(), endpoint):
        async with registrar.served(tmp_path / "plugins_registry" / "reg.sock"):
            await registrar.wait()
            await node.drivers.add(NAME, own := ScriptedDriver())
        await eventually(lambda: not watcher.registered)
        assert node.drivers.get(NAME).driver is own


async def test_a_driver_of_this_process_waits_for_the_api_server(api: MemoryApi, tmp_path: Path) -> None:
    async with running_node(api, tmp_path) as (node, _):
        api.faults.down = True
        adding = asyncio.create_task(node.drivers.add(NAME, ScriptedDriver()))
        await eventually(lambda: node.drivers.names == [NAME])
        api.faults.down = False
        await adding
        assert [driver.name for driver in entries(api)] == [NAME]


async def test_without_an_api_server_a_driver_is_in_use_all_the_same(api: MemoryApi, tmp_path: Path) -> None:
    endpoint = tmp_path / "csi.sock"
    registrar = Registrar(NAME, str(endpoint))
    async with served(ScriptedDriver(), endpoint), running_node(api, tmp_path) as (node, _):
        api.faults.down = True
        async with registrar.served(tmp_path / "plugins_registry" / "reg.sock"):
            await eventually(lambda: node.drivers.names == [NAME])
            assert registrar.heard == []
            api.faults.down = False
            await registrar.wait()
            assert registrar.heard == [""]
        await eventually(lambda: entries(api) == [])


async def test_a_plugin_that_goes_before_it_is_registered(api: MemoryApi, tmp_path: Path) -> None:
    endpoint = tmp_path / "csi.sock"
    driver, registrar = ScriptedDriver(), Registrar(NAME, str(endpoint))
    driver.next("NodeGetInfo", hang)
    async with served(driver, endpoint), running_node(api, tmp_path) as (node, _):
        async with registrar.served(tmp_path / "plugins_registry" / "reg.sock"):
            await eventually(lambda: driver.asked("NodeGetInfo"))
        await eventually(lambda: node.drivers.names == [])
        async with registrar.served(tmp_path / "plugins_registry" / "reg.sock"):
            await registrar.wait()
            assert registrar.heard == [""]
