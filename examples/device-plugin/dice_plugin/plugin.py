"""The plugin: each verb of the device plugin API is a method that takes a request and returns an answer.

Replace `_files` and `Dice.devices` by a look at real hardware, and the rest is a plugin for that.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from tiphys.node.devices.pb import deviceplugin_pb2 as pb

log = logging.getLogger(__name__)

VERSION = "v1beta1"
RESOURCE = "example.tiphys.io/dice"
PERIOD = 1.0
"""Seconds between two looks at the devices and at the kubelet's socket."""


class Dice:
    """Announces `count` dice. A die whose name is a file in `broken` is unhealthy."""

    def __init__(self, count: int, broken: Path) -> None:
        self.count = count
        self.broken = broken

    def devices(self) -> list[pb.Device]:
        """Return all devices with their health; a device that is near a NUMA node would say so in its topology."""
        names = [f"die-{number}" for number in range(self.count)]
        return [pb.Device(ID=name, health="Unhealthy" if (self.broken / name).exists() else "Healthy") for name in names]

    async def get_options(self, request: pb.Empty, context: Any) -> pb.DevicePluginOptions:
        """Tell the kubelet which of the optional calls it should make."""
        return pb.DevicePluginOptions(get_preferred_allocation_available=True, pre_start_required=True)

    async def list_and_watch(self, request: pb.Empty, context: Any) -> AsyncIterator[pb.ListAndWatchResponse]:
        """Send the devices, and again whenever one of them changes."""
        before: list[pb.Device] | None = None
        while True:
            devices = await asyncio.to_thread(self.devices)
            if devices != before:
                log.info("devices: %s", ", ".join(f"{one.ID} {one.health}" for one in devices))
                yield pb.ListAndWatchResponse(devices=devices)
            before = devices
            await asyncio.sleep(PERIOD)

    async def prefer(self, request: pb.PreferredAllocationRequest, context: Any) -> pb.PreferredAllocationResponse:
        """Prefer the dice with the highest numbers, to show that the choice is the plugin's."""
        responses = [pb.ContainerPreferredAllocationResponse(deviceIDs=_highest(one)) for one in request.container_requests]
        return pb.PreferredAllocationResponse(container_responses=responses)

    async def allocate(self, request: pb.AllocateRequest, context: Any) -> pb.AllocateResponse:
        """Return what a container needs to use its devices: files, and also mounts, variables, annotations or CDI devices."""
        return pb.AllocateResponse(
            container_responses=[
                pb.ContainerAllocateResponse(envs={"DICE": ",".join(one.devices_ids)}, devices=list(_files(one.devices_ids)))
                for one in request.container_requests
            ]
        )

    async def pre_start(self, request: pb.PreStartContainerRequest, context: Any) -> pb.PreStartContainerResponse:
        """Make devices ready for a container that is about to start: the place to reset them."""
        log.info("ready: %s", ", ".join(request.devices_ids))
        return pb.PreStartContainerResponse()


def _highest(request: pb.ContainerPreferredAllocationRequest) -> list[str]:
    required = list(request.must_include_deviceIDs)
    others = sorted(set(request.available_deviceIDs) - set(required), key=lambda name: int(name.rpartition("-")[2]), reverse=True)
    return (required + others)[: request.allocation_size]


def _files(ids: Sequence[str]) -> Iterator[pb.DeviceSpec]:
    """Return the device files of the dice: all of them are /dev/urandom on the machine."""
    for name in ids:
        yield pb.DeviceSpec(host_path="/dev/urandom", container_path=f"/dev/{name}", permissions="r")


@asynccontextmanager
async def served(dice: Dice, path: Path) -> AsyncIterator[None]:
    """Serve the plugin at a path."""
    server = grpc.aio.server()
    unary: dict[str, tuple[Any, Any]] = {
        "GetDevicePluginOptions": (dice.get_options, pb.Empty),
        "GetPreferredAllocation": (dice.prefer, pb.PreferredAllocationRequest),
        "Allocate": (dice.allocate, pb.AllocateRequest),
        "PreStartContainer": (dice.pre_start, pb.PreStartContainerRequest),
    }
    handlers = {
        verb: grpc.unary_unary_rpc_method_handler(
            method, request_deserializer=request.FromString, response_serializer=lambda message: message.SerializeToString()
        )
        for verb, (method, request) in unary.items()
    }
    handlers["ListAndWatch"] = grpc.unary_stream_rpc_method_handler(
        dice.list_and_watch, request_deserializer=pb.Empty.FromString, response_serializer=pb.ListAndWatchResponse.SerializeToString
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(f"{VERSION}.DevicePlugin", handlers),))
    await asyncio.to_thread(path.unlink, missing_ok=True)
    server.add_insecure_port(f"unix://{path}")
    await server.start()
    try:
        yield
    finally:
        await server.stop(grace=0.5)


async def register(directory: Path, endpoint: str) -> None:
    """Introduce the plugin to the kubelet, which calls back at once. Raises grpc.RpcError."""
    async with grpc.aio.insecure_channel(f"unix://{directory}/kubelet.sock") as channel:
        method = channel.unary_unary(
            f"/{VERSION}.Registration/Register",
            request_serializer=pb.RegisterRequest.SerializeToString,
            response_deserializer=pb.Empty.FromString,
        )
        await method(pb.RegisterRequest(version=VERSION, endpoint=endpoint, resource_name=RESOURCE), timeout=30)


async def run(dice: Dice, directory: Path, name: str = "dice.sock") -> None:
    """Serve and register until cancelled. A new kubelet removes all sockets and makes its own: then both are due again."""
    while True:
        kubelet = await asyncio.to_thread(_identity, directory / "kubelet.sock")
        if kubelet is None:
            log.info("no kubelet at %s yet", directory)
        else:
            async with served(dice, directory / name):
                try:
                    await register(directory, name)
                    log.info("registered %s", RESOURCE)
                    await _gone(directory / "kubelet.sock", kubelet)
                except grpc.RpcError as error:
                    log.warning("not registered: %s", error)
        await asyncio.sleep(PERIOD)


async def _gone(path: Path, identity: tuple[int, int]) -> None:
    """Wait until the path has another socket than this one, or none."""
    while True:
        await asyncio.sleep(PERIOD)
        if await asyncio.to_thread(_identity, path) != identity:
            return


def _identity(path: Path) -> tuple[int, int] | None:
    """Return a value that is another one for another socket at the path; None if there is none."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_ctime_ns
