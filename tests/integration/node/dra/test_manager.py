"""Claims on the node with a driver behind a socket: preparation, devices of containers, the end, and what goes wrong."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from tiphys.aio.clock import LoopClock
from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.resource.v1 import (
    AllocationResult,
    DeviceAllocationResult,
    DeviceRequestAllocationResult,
    ResourceClaim,
    ResourceClaimConsumerReference,
    ResourcePool,
    ResourceSlice,
    ResourceSliceSpec,
)
from tiphys.node.dra import drivers
from tiphys.node.dra.driver import VERSIONS
from tiphys.node.dra.manager import DraManager
from tiphys.node.dra.pb import dra_pb2 as pb
from tiphys.node.plugins.registration import PluginError
from tiphys.node.plugins.watcher import Plugin
from tiphys.node.resources.assigner import Grant, Refused
from tiphys.testing import eventually
from tiphys.testing.memory_api import MemoryApi

DRIVER = "gpu.example.com"
SPEC = {
    "cdiVersion": "0.6.0",
    "kind": "example.com/gpu",
    "containerEdits": {"env": ["DRIVER=yes"]},
    "devices": [
        {"name": "a", "containerEdits": {"env": ["GPU=a"], "deviceNodes": [{"path": "/dev/gpu", "hostPath": "/dev/null"}]}},
        {
            "name": "b",
            "containerEdits": {"env": ["SECOND=b"], "mounts": [{"hostPath": "/lib/b", "containerPath": "/b", "options": ["ro"]}]},
        },
        {"name": "hooked", "containerEdits": {"hooks": [{"hookName": "createContainer", "path": "/bin/true"}]}},
    ],
}


class ScriptedDriver:
    """Serves the interface; `calls` has what it was asked."""

    def __init__(self) -> None:
        self.devices = [pb.Device(request_names=["one"], pool_name="p", device_name="a", cdi_device_ids=["example.com/gpu=a"])]
        self.error = ""
        self.calls: list[tuple[str, str]] = []

    async def prepare(self, request: pb.NodePrepareResourcesRequest, context: Any) -> pb.NodePrepareResourcesResponse:
        self.calls += [("prepare", claim.name) for claim in request.claims]
        result = pb.NodePrepareResourceResponse(devices=[] if self.error else self.devices, error=self.error)
        return pb.NodePrepareResourcesResponse(claims={claim.uid: result for claim in request.claims})

    async def unprepare(self, request: pb.NodeUnprepareResourcesRequest, context: Any) -> pb.NodeUnprepareResourcesResponse:
        self.calls += [("unprepare", claim.name) for claim in request.claims]
        result = pb.NodeUnprepareResourceResponse(error=self.error)
        return pb.NodeUnprepareResourcesResponse(claims={claim.uid: result for claim in request.claims})

    @asynccontextmanager
    async def served(self, path: Path, package: str = VERSIONS["v1.DRAPlugin"]) -> AsyncIterator[Plugin]:
        """Listen at the path; yields the driver as it registers."""
        server = grpc.aio.server()
        methods: dict[str, tuple[Any, Any]] = {
            "NodePrepareResources": (self.prepare, pb.NodePrepareResourcesRequest),
            "NodeUnprepareResources": (self.unprepare, pb.NodeUnprepareResourcesRequest),
        }
        handlers = {
            verb: grpc.unary_unary_rpc_method_handler(
                method, request_deserializer=request.FromString, response_serializer=lambda message: message.SerializeToString()
            )
            for verb, (method, request) in methods.items()
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(f"{package}.DRAPlugin", handlers),))
        assert server.add_insecure_port(f"unix://{path}")
        await server.start()
        versions = tuple(version for version, name in VERSIONS.items() if name == package)
        try:
            yield Plugin(DRIVER, str(path), versions)
        finally:
            await server.stop(grace=None)
            await asyncio.to_thread(path.unlink, missing_ok=True)


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory with a short name: that of a socket has 107 characters at most."""
    with tempfile.TemporaryDirectory(prefix="dra-") as name:
        path = Path(name)
        (path / "cdi").mkdir()
        (path / "cdi" / "example.json").write_text(json.dumps(SPEC))
        yield path


@pytest.fixture
async def api() -> AsyncIterator[MemoryApi]:
    async with MemoryApi.running(clock=LoopClock()) as running:
        yield running


def pod(name: str, *claims: str, requests: tuple[str, ...] = ("",)) -> core.Pod:
    wishes = [core.ResourceClaim(name=claim, request=request) for claim in claims for request in requests]
    container = core.Container(name="main", image="busybox", resources=core.ResourceRequirements(claims=wishes))
    spec = core.PodSpec(containers=[container], resourceClaims=[core.PodResourceClaim(name=one, resourceClaimName=one) for one in claims])
    return core.Pod(metadata=ObjectMeta(name=name, namespace="default", uid=f"uid-{name}"), spec=spec)


def allocated(api: MemoryApi, name: str, *pods: str) -> ResourceClaim:
    """Add a claim with an allocation, reserved for pods."""
    results = [DeviceRequestAllocationResult(request="one", driver=DRIVER, pool="p", device="a")]
    claim = ResourceClaim(metadata=ObjectMeta(name=name, namespace="default"))
    claim.status.allocation = AllocationResult(devices=DeviceAllocationResult(results=results))
    claim.status.reservedFor = [ResourceClaimConsumerReference(resource="pods", name=one, uid=f"uid-{one}") for one in pods]
    api.add(claim)
    return api.get(ResourceClaim, name, "default")


@asynccontextmanager
async def managing(api: MemoryApi, directory: Path, *plugins: Plugin, live: tuple[str, ...] = ()) -> AsyncIterator[DraManager]:
    manager = DraManager(directory, "n1", api.client(), LoopClock(), directories=(directory / "cdi",))
    for plugin in plugins:
        await manager.drivers.register(plugin)
    await manager.start(live)
    try:
        yield manager
    finally:
        await manager.close()


async def grant(manager: DraManager, one: core.Pod) -> Grant:
    return await manager.prepare(one, one.spec.containers[0])


@pytest.mark.parametrize("package", VERSIONS.values())
async def test_prepares_once_and_gives_the_devices(api: MemoryApi, directory: Path, package: str) -> None:
    allocated(api, "x", "p")
    driver = ScriptedDriver()
    async with driver.served(directory / "d.sock", package) as plugin, managing(api, directory, plugin) as manager:
        one = pod("p", "x")
        expected = Grant(env={"DRIVER": "yes", "GPU": "a"}, devices=(("/dev/null", "/dev/gpu", "rwm"),))
        assert await grant(manager, one) == expected
        assert await grant(manager, one) == expected
        assert driver.calls == [("prepare", "x")]
        await manager.release("uid-p")
        await manager.release("uid-p")
        assert driver.calls == [("prepare", "x"), ("unprepare", "x")]


async def test_a_container_gets_the_devices_of_the_requests_that_it_names(api: MemoryApi, directory: Path) -> None:
    allocated(api, "x", "p", "q")
    driver = ScriptedDriver()
    driver.devices.append(pb.Device(request_names=["two/large"], pool_name="p", device_name="b", cdi_device_ids=["example.com/gpu=b"]))
    async with driver.served(directory / "d.sock") as plugin, managing(api, directory, plugin) as manager:
        only = await grant(manager, pod("p", "x", requests=("two",)))
        assert dict(only.env) == {"DRIVER": "yes", "SECOND": "b"}
        assert [(mount.host_path, mount.container_path, mount.read_only) for mount in only.mounts] == [("/lib/b", "/b", True)]
        assert set((await grant(manager, pod("q", "x"))).env) == {"DRIVER", "GPU", "SECOND"}


async def test_the_last_pod_undoes(api: MemoryApi, directory: Path) -> None:
    allocated(api, "x", "p", "q")
    driver = ScriptedDriver()
    async with driver.served(directory / "d.sock") as plugin, managing(api, directory, plugin) as manager:
        await grant(manager, pod("p", "x"))
        await grant(manager, pod("q", "x"))
        await manager.release("uid-p")
        assert driver.calls == [("prepare", "x")]
        await manager.release("uid-q")
        assert driver.calls[-1] == ("unprepare", "x")


async def test_another_kubelet_goes_on_from_the_checkpoint(api: MemoryApi, directory: Path) -> None:
    allocated(api, "x", "p")
    allocated(api, "y", "q")
    driver = ScriptedDriver()
    async with driver.served(directory / "d.sock") as plugin:
        async with managing(api, directory, plugin) as manager:
            await grant(manager, pod("p", "x"))
            await grant(manager, pod("q", "y"))
        async with managing(api, directory, plugin, live=("uid-p",)) as manager:
            await grant(manager, pod("p", "x"))
            await eventually(lambda: {one.name for one in manager.claims.values()} == {"x"})
    assert driver.calls == [("prepare", "x"), ("prepare", "y"), ("unprepare", "y")]


async def test_an_end_without_the_driver_is_made_up_for(api: MemoryApi, directory: Path) -> None:
    allocated(api, "x", "p")
    driver = ScriptedDriver()
    async with driver.served(directory / "d.sock") as plugin, managing(api, directory, plugin) as manager:
        await grant(manager, pod("p", "x"))
        driver.error = "busy"
        await manager.release("uid-p")
        assert manager.claims
        driver.error = ""
        await eventually(lambda: not manager.claims)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("driver", "ResourceClaim x: DRA driver gpu.example.com is not registered"),
        ("error", "NodePrepareResources failed for ResourceClaim x: no power"),
        ("reserved", r"pod p \(uid-p\) is not allowed to use ResourceClaim x"),
        ("missing", "fetch ResourceClaim x"),
        ("unknown", "unresolvable CDI devices example.com/gpu=z"),
        ("hooked", "CDI edits of the kind hooks are not supported by this node"),
    ],
)
async def test_says_why_a_claim_is_not_prepared(api: MemoryApi, directory: Path, change: str, message: str) -> None:
    if change != "missing":
        allocated(api, "x", "other" if change == "reserved" else "p")
    driver = ScriptedDriver()
    driver.error = "no power" if change == "error" else ""
    device = {"unknown": "z", "hooked": "hooked"}.get(change, "a")
    driver.devices = [pb.Device(pool_name="p", device_name="a", cdi_device_ids=[f"example.com/gpu={device}"])]
    async with driver.served(directory / "d.sock") as plugin:
        plugins = () if change == "driver" else (plugin,)
        async with managing(api, directory, *plugins) as manager:
            with pytest.raises(Refused, match=message) as caught:
                await grant(manager, pod("p", "x"))
            assert caught.value.reason == "FailedPrepareDynamicResources"


async def test_a_claim_of_the_same_name_waits_for_the_end_of_the_old_one(api: MemoryApi, directory: Path) -> None:
    allocated(api, "x", "p")
    driver = ScriptedDriver()
    async with driver.served(directory / "d.sock") as plugin, managing(api, directory, plugin) as manager:
        await grant(manager, pod("p", "x"))
        api.remove(ResourceClaim, "x", "default")
        allocated(api, "x", "q")
        with pytest.raises(Refused, match="old ResourceClaim with same name x"):
            await grant(manager, pod("q", "x"))
        await manager.release("uid-p")
        await grant(manager, pod("q", "x"))


async def test_slices_go_a_while_after_their_driver(api: MemoryApi, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, node, driver in (("mine", "n1", DRIVER), ("far", "n2", DRIVER), ("other", "n1", "nic.example.com")):
        spec = ResourceSliceSpec(driver=driver, pool=ResourcePool(name="p", generation=1, resourceSliceCount=1), nodeName=node)
        api.add(ResourceSlice(metadata=ObjectMeta(name=name), spec=spec))
    plugin = Plugin(DRIVER, str(directory / "d.sock"), ("v1.DRAPlugin",))
    async with managing(api, directory, plugin) as manager:
        await manager.drivers.deregister(plugin)
        await manager.drivers.register(plugin)
        monkeypatch.setattr(drivers, "GRACE", 0.0)
        assert len(api.list(ResourceSlice)) == 3
        await manager.drivers.deregister(plugin)
        await eventually(lambda: {one.metadata.name for one in api.list(ResourceSlice)} == {"far", "other"})


def test_refuses_versions_of_others() -> None:
    handler = drivers.Drivers(LoopClock(), lambda name: asyncio.sleep(0))
    with pytest.raises(PluginError, match=r"v9\.DRAPlugin"):
        handler.validate(Plugin(DRIVER, "/x.sock", ("v9.DRAPlugin",)))
