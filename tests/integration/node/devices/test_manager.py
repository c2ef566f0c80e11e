"""Device plugins behind sockets: registration, numbers of the node, devices of containers, and what plugins do wrong."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import msgspec
import pytest

from tests.integration.node.devices.scripted import NAME, ScriptedPlugin, device, register
from tests.integration.node.plugins.registrar import Registrar
from tiphys.aio.backoff import BackoffPolicy
from tiphys.aio.clock import LoopClock
from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.core import v1 as core
from tiphys.node.devices import endpoint, manager
from tiphys.node.devices.device import Device
from tiphys.node.devices.manager import PLUGIN_TYPE, DeviceManager
from tiphys.node.devices.pb import deviceplugin_pb2 as pb
from tiphys.node.devices.registry import DeviceRegistry
from tiphys.node.devices.resource import GRACE
from tiphys.node.plugins.watcher import PluginWatcher
from tiphys.node.resources.assigner import Grant, Hint, Refused
from tiphys.testing.eventually import eventually

INVALID = pb.AllocateResponse(
    container_responses=[pb.ContainerAllocateResponse(devices=[pb.DeviceSpec(host_path="/dev/null", container_path="null")])]
)


class HandClock(LoopClock):
    """A clock whose monotonic time a test puts forward."""

    ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


@asynccontextmanager
async def running(directory: Path, *, live: tuple[str, ...] = (), nodes: int = 1) -> AsyncIterator[DeviceManager]:
    """The devices' part of a kubelet; its end is that of the process."""
    clock = HandClock()
    devices = DeviceManager(directory / "device-plugins", clock, machine=frozenset(range(nodes)), rng=random.Random(1))
    registry = DeviceRegistry(devices, clock)
    watcher = PluginWatcher(directory / "plugins_registry", {PLUGIN_TYPE: devices}, clock=clock, rng=random.Random(1))
    await devices.start(live)
    tasks = [asyncio.create_task(registry.run()), asyncio.create_task(watcher.run())]
    await eventually((devices.directory / "kubelet.sock").exists)
    try:
        yield devices
    finally:
        await cancel_and_wait(*tasks)
        await devices.close()


@asynccontextmanager
async def registered(devices: DeviceManager, plugin: ScriptedPlugin, name: str = "dev.sock") -> AsyncIterator[None]:
    """A plugin that has registered and listed its devices."""
    async with plugin.served(devices.directory / name):
        await register(devices.directory, name)
        expected = sum(1 for one in plugin.devices if one.health == "Healthy")
        await eventually(lambda: devices.capacity() == ({NAME: str(len(plugin.devices))}, {NAME: str(expected)}))
        yield


def pod_of(uid: str = "u1", count: int = 1, inits: list[dict[str, Any]] | None = None) -> core.Pod:
    resources = {"limits": {NAME: str(count)}}
    body = {
        "metadata": {"name": "web", "namespace": "default", "uid": uid},
        "spec": {"containers": [{"name": "main", "resources": resources}], "initContainers": inits or []},
    }
    return msgspec.convert(body, core.Pod)


async def assign(devices: DeviceManager, pod: core.Pod, nodes: frozenset[int] | None = None) -> Grant:
    for container in (*pod.spec.initContainers, *pod.spec.containers):
        grant = await devices.assign(pod, container, nodes)
    return grant


async def test_the_node_shows_what_plugins_list(directory: Path) -> None:
    plugin = ScriptedPlugin(device("a"), device("b", health="Unhealthy"))
    changes = []
    async with running(directory) as devices:
        devices.on_change = lambda: changes.append(devices.capacity())
        async with registered(devices, plugin):
            plugin.change(device("a"), device("b"), device("c"))
            await eventually(lambda: devices.capacity() == ({NAME: "3"}, {NAME: "3"}))
            assert changes[-1] == ({NAME: "3"}, {NAME: "3"})
        await eventually(lambda: devices.capacity() == ({NAME: "3"}, {NAME: "0"}))
        assert changes[-1] == ({NAME: "3"}, {NAME: "0"})


async def test_a_plugin_that_is_gone_is_forgotten_after_its_grace(directory: Path) -> None:
    async with running(directory) as devices:
        async with registered(devices, ScriptedPlugin(device("a"))):
            pass
        await eventually(lambda: devices.capacity() == ({NAME: "1"}, {NAME: "0"}))
        clock: Any = devices._clock
        clock.ahead = GRACE - 10
        assert devices.capacity() == ({NAME: "1"}, {NAME: "0"})
        clock.ahead = GRACE + 10
        assert devices.capacity() == ({NAME: "0"}, {NAME: "0"})
        async with registered(devices, ScriptedPlugin(device("a"), device("b"))):
            assert devices.capacity() == ({NAME: "2"}, {NAME: "2"})


async def test_plugins_also_come_through_the_registry_of_all_plugins(directory: Path) -> None:
    async with running(directory) as devices, ScriptedPlugin(device("a")).served(directory / "dev.sock"):
        registrar = Registrar(NAME, str(directory / "dev.sock"), "v1beta1", kind=PLUGIN_TYPE)
        async with registrar.served(directory / "plugins_registry" / "reg.sock"):
            await registrar.wait()
            assert registrar.heard == [""]
            await eventually(lambda: devices.capacity() == ({NAME: "1"}, {NAME: "1"}))
        await eventually(lambda: devices.capacity() == ({NAME: "1"}, {NAME: "0"}))
        wrong = Registrar("cpu", str(directory / "dev.sock"), "v1beta1", kind=PLUGIN_TYPE)
        async with wrong.served(directory / "plugins_registry" / "wrong.sock"):
            await wrong.wait()
            assert 'the ResourceName "cpu" is invalid' in wrong.heard[0]


@pytest.mark.parametrize(
    ("socket", "resource", "version", "message"),
    [
        ("dev.sock", NAME, "v2", 'requested API version "v2" is not supported by kubelet. Supported version is ["v1beta1"]'),
        ("dev.sock", "cpu", "v1beta1", 'the ResourceName "cpu" is invalid'),
        ("../dev.sock", NAME, "v1beta1", 'the endpoint "../dev.sock" is not the name of a socket in'),
        ("", NAME, "v1beta1", 'the endpoint "" is not the name of a socket in'),
    ],
)
async def test_refuses_registrations(directory: Path, socket: str, resource: str, version: str, message: str) -> None:
    async with running(directory) as devices:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await register(devices.directory, socket, resource, version)
        assert message in (error.value.details() or "")
        assert devices.capacity() == ({}, {})


async def test_a_plugin_that_nobody_can_reach_is_not_registered(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "CONNECT_TIMEOUT", 0.2)
    async with running(directory) as devices:
        with pytest.raises(grpc.aio.AioRpcError, match="failed to dial device plugin: nobody answers at"):
            await register(devices.directory, "missing.sock")
        assert devices.capacity() == ({}, {})


async def test_containers_get_devices_and_give_them_back(directory: Path) -> None:
    plugin = ScriptedPlugin(*(device(one) for one in "abc"))
    async with running(directory) as devices, registered(devices, plugin):
        assert await assign(devices, pod_of("u1", 2)) == Grant(env={"IDS": "a,b"})
        with pytest.raises(Refused) as refused:
            await assign(devices, pod_of("u2", 2))
        assert refused.value.reason == "UnexpectedAdmissionError"
        cause = f"requested number of devices unavailable for {NAME}. Requested: 2, Available: 1"
        assert str(refused.value) == f"Allocate failed due to {cause}, which is unexpected"
        assert await assign(devices, pod_of("u2", 1)) == Grant(env={"IDS": "c"})
        # Whoever has devices keeps them.
        assert await assign(devices, pod_of("u1", 2)) == Grant(env={"IDS": "a,b"})
        await devices.release("u1")
        assert await assign(devices, pod_of("u3", 2)) == Grant(env={"IDS": "a,b"})
        assert plugin.asked("Allocate") == [("a", "b"), ("c",), ("a", "b")]


async def test_init_containers_hand_their_devices_on(directory: Path) -> None:
    def init(name: str, **more: Any) -> dict[str, Any]:
        return {"name": name, "resources": {"limits": {NAME: "2"}}, **more}

    plugin = ScriptedPlugin(*(device(one) for one in "abcdef"))
    async with running(directory) as devices, registered(devices, plugin):
        pod = pod_of("u1", 2, [init("first"), init("sidecar", restartPolicy="Always"), init("second")])
        await assign(devices, pod)
        owned = {entry.container: "".join(sorted(entry.assignment.ids)) for entry in devices.assignments}
        # What the sidecar took over stays with it.
        assert owned == {"first": "ab", "sidecar": "ab", "second": "cd", "main": "cd"}
        assert devices.assignments.used(NAME) == set("abcd")


async def test_the_plugin_may_prefer_devices(directory: Path) -> None:
    plugin = ScriptedPlugin(*(device(one) for one in "abc"))
    plugin.options.get_preferred_allocation_available = True
    plugin.preferred = ["c", "x"]
    async with running(directory) as devices, registered(devices, plugin):
        assert await assign(devices, pod_of("u1", 2)) == Grant(env={"IDS": "a,c"})
        assert plugin.asked("GetPreferredAllocation") == [("a,b,c", "", "2")]


async def test_aligned_devices(directory: Path) -> None:
    plugin = ScriptedPlugin(device("a", 0), device("b", 0), device("c", 1))
    async with running(directory, nodes=2) as devices, registered(devices, plugin):
        pod = pod_of("u1", 1)
        ends = [Hint(frozenset((0,)), preferred=True), Hint(frozenset((1,)), preferred=True), Hint(frozenset((0, 1)), preferred=False)]
        assert devices.hints(pod, pod.spec.containers[0]) == {NAME: ends}
        assert devices.pod_hints(pod) == {NAME: ends}
        assert await assign(devices, pod, frozenset((1,))) == Grant(env={"IDS": "c"})
        # Again, as after a restart: where they are.
        assert devices.hints(pod, pod.spec.containers[0]) == {NAME: [ends[1], ends[2]]}
        assert devices.hints(pod_of("u2", 3), pod_of("u2", 3).spec.containers[0]) == {NAME: []}


async def test_assignments_outlive_plugin_and_kubelet(directory: Path) -> None:
    plugin, pod = ScriptedPlugin(*(device(one) for one in "ab")), pod_of("u1")
    async with running(directory) as devices, registered(devices, plugin):
        grant = await assign(devices, pod)
        await assign(devices, pod_of("gone"))
    content = json.loads((directory / "device-plugins" / "kubelet_internal_checkpoint").read_text())
    assert [entry["PodUID"] for entry in content["Data"]["PodDeviceEntries"]] == ["gone", "u1"]
    (directory / "device-plugins" / "stale.sock").touch()
    async with running(directory, live=("u1",)) as devices:
        # Of the resource nothing is known but its name.
        assert devices.capacity() == ({NAME: "0"}, {NAME: "0"})
        assert await devices.prepare(pod, pod.spec.containers[0]) == grant
        with pytest.raises(Refused, match=r"no healthy devices present; cannot allocate unhealthy devices example.com/dev"):
            await assign(devices, pod_of("u2"))
        async with registered(devices, plugin):
            assert await assign(devices, pod_of("u2")) == Grant(env={"IDS": "b"})
            assert await devices.prepare(pod, pod.spec.containers[0]) == grant


async def test_a_plugin_that_comes_first_does_not_empty_the_checkpoint(directory: Path) -> None:
    pod = pod_of("u1")
    async with running(directory) as devices, registered(devices, ScriptedPlugin(device("a"))):
        grant = await assign(devices, pod)
    devices = DeviceManager(directory / "device-plugins", LoopClock())
    plugin = ScriptedPlugin(device("a"))
    async with plugin.served(devices.directory / "dev.sock"):
        await devices.connect(NAME, devices.directory / "dev.sock")
        await eventually(lambda: devices.capacity() == ({NAME: "1"}, {NAME: "1"}))
        await devices.start(["u1"])
        assert await devices.prepare(pod, pod.spec.containers[0]) == grant
        await devices.close()


async def test_a_corrupt_checkpoint_is_not_believed(directory: Path) -> None:
    (directory / "device-plugins").mkdir()
    (directory / "device-plugins" / "kubelet_internal_checkpoint").write_text("{")
    pod = pod_of("u1")
    async with running(directory, live=("u1",)) as devices, registered(devices, ScriptedPlugin(device("a"))):
        # A container that should have a device gets one before it starts.
        assert await devices.prepare(pod, pod.spec.containers[0]) == Grant(env={"IDS": "a"})


async def test_the_health_of_devices_reaches_their_pods(directory: Path) -> None:
    plugin = ScriptedPlugin(device("a"), device("b"))
    told: list[set[str]] = []
    async with running(directory) as devices:
        devices.on_health = lambda uids: told.append(set(uids))

        def health() -> list[tuple[str, str, str]]:
            return [(one.resourceID, one.health, one.message or "") for status in devices.health("u1", "main") for one in status.resources]

        async with registered(devices, plugin):
            await assign(devices, pod_of("u1"))
            assert health() == [("a", "Healthy", "")]
            plugin.change(device("a"), device("b", health="Unhealthy"))
            await eventually(lambda: devices.resources[NAME].listed["b"] == Device("Unhealthy"))
            assert told == []
            plugin.change(device("a", health="Unhealthy"), device("b"))
            await eventually(lambda: told == [{"u1"}])
            assert health() == [("a", "Unhealthy", "")]
            plugin.change(device("b"))
            await eventually(lambda: health() == [("a", "Unknown", "the device plugin does not list the device")])
        await eventually(lambda: health() == [("a", "Unknown", "the device plugin is not registered")])


async def test_a_new_plugin_takes_the_place_of_the_old_one(directory: Path) -> None:
    old, new = ScriptedPlugin(device("a")), ScriptedPlugin(device("a"), device("b"))
    async with running(directory) as devices, registered(devices, old, "old.sock"):
        async with registered(devices, new, "new.sock"):
            old.end_stream()
            assert await assign(devices, pod_of("u1", 2)) == Grant(env={"IDS": "a,b"})
            assert devices.capacity() == ({NAME: "2"}, {NAME: "2"})
        await eventually(lambda: devices.capacity() == ({NAME: "2"}, {NAME: "0"}))


async def test_a_plugin_that_came_back_has_to_list_its_devices_first(directory: Path) -> None:
    async with running(directory) as devices:
        async with registered(devices, ScriptedPlugin(device("a"), device("b"))):
            pass
        await eventually(lambda: devices.capacity() == ({NAME: "2"}, {NAME: "0"}))
        resource = devices.resources[NAME]
        assert resource.endpoint is not None
        resource.attach(resource.endpoint)
        assert devices.capacity() == ({NAME: "2"}, {NAME: "0"})


async def test_plugins_prepare_containers(directory: Path) -> None:
    plugin, pod = ScriptedPlugin(device("a")), pod_of("u1")
    plugin.options.pre_start_required = True
    async with running(directory) as devices, registered(devices, plugin):
        grant = await assign(devices, pod)
        assert plugin.asked("PreStartContainer") == []
        assert await devices.prepare(pod, pod.spec.containers[0]) == grant
        plugin.error = "not now"
        with pytest.raises(Refused) as refused:
            await devices.prepare(pod, pod.spec.containers[0])
        message = "device plugin PreStartContainer rpc failed with err: rpc error: code = Unknown desc = not now"
        assert str(refused.value) == message
        assert plugin.asked("PreStartContainer") == [("a",), ("a",)]


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (None, "no such thing", "rpc error: code = Unknown desc = no such thing"),
        (pb.AllocateResponse(), "", "no containers return in allocation response"),
        (INVALID, "", "the device plugin's allocation response is invalid: device '/dev/null' at 'null'"),
    ],
)
async def test_a_plugin_that_refuses(directory: Path, answer: Any, error: str, message: str) -> None:
    plugin = ScriptedPlugin(device("a"))
    plugin.answer, plugin.error = answer, error
    async with running(directory) as devices, registered(devices, plugin):
        with pytest.raises(Refused) as refused:
            await assign(devices, pod_of("u1"))
        assert str(refused.value) == f"Allocate failed due to {message}, which is unexpected"
        assert [*devices.assignments] == []
        # The plugin may think better of it, and nothing was lost.
        plugin.answer, plugin.error = None, ""
        assert await assign(devices, pod_of("u2")) == Grant(env={"IDS": "a"})


async def test_a_plugin_that_hangs_holds_admissions_up_once(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "ALLOCATE_TIMEOUT", 0.2)
    monkeypatch.setattr(endpoint, "OPTIONS_TIMEOUT", 0.2)
    monkeypatch.setattr(manager, "SILENCE", BackoffPolicy(first=0.05, cap=0.1))
    plugin = ScriptedPlugin(device("a"))
    async with running(directory) as devices, registered(devices, plugin):
        plugin.is_hanging = True
        with pytest.raises(Refused, match=r"Allocate failed due to rpc error: code = DeadlineExceeded desc = .*, which is unexpected"):
            await assign(devices, pod_of("u1"))
        assert devices.capacity() == ({NAME: "1"}, {NAME: "0"})
        with pytest.raises(Refused, match="no healthy devices present"):
            await assign(devices, pod_of("u2"))
        assert len(plugin.asked("Allocate")) == 1
        plugin.is_hanging = False
        await eventually(lambda: devices.capacity() == ({NAME: "1"}, {NAME: "1"}))
        assert await assign(devices, pod_of("u3")) == Grant(env={"IDS": "a"})


async def test_resources_of_claims_are_not_assigned(directory: Path) -> None:
    pod = pod_of("u1")
    mapping = core.ContainerExtendedResourceRequest(containerName="main", resourceName=NAME, requestName="r")
    pod.status.extendedResourceClaimStatus = core.PodExtendedResourceClaimStatus(requestMappings=[mapping], resourceClaimName="c")
    async with running(directory) as devices, registered(devices, ScriptedPlugin(device("a"))):
        assert await assign(devices, pod) == Grant()
