"""A device plugin whose answers a test decides, served on a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from tiphys.node.devices.pb import deviceplugin_pb2 as pb

NAME = "example.com/dev"


def device(ident: str, *nodes: int, health: str = "Healthy") -> pb.Device:
    topology = pb.TopologyInfo(nodes=[pb.NUMANode(ID=node) for node in nodes]) if nodes else None
    return pb.Device(ID=ident, health=health, topology=topology)


class ScriptedPlugin:
    """Serves devices; `calls` has what it was asked."""

    def __init__(self, *devices: pb.Device) -> None:
        self.devices = devices
        self.options = pb.DevicePluginOptions()
        self.preferred: list[str] = []
        self.error = ""
        """Error of Allocate and PreStartContainer."""
        self.answer: pb.AllocateResponse | None = None
        self.is_hanging = False
        """Nothing but the list is answered."""
        self.calls: list[tuple[str, ...]] = []
        self._changed = asyncio.Event()
        self._ended = False

    def change(self, *devices: pb.Device) -> None:
        """List other devices."""
        self.devices = devices
        self._wake()

    def end_stream(self) -> None:
        """End the stream of devices, as a plugin that stops does."""
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _heard(self, context: Any, verb: str, *ids: str) -> None:
        self.calls.append((verb, *ids))
        if self.is_hanging:
            await asyncio.Event().wait()
        if self.error and verb in ("Allocate", "PreStartContainer"):
            await context.abort(grpc.StatusCode.UNKNOWN, self.error)

    async def get_options(self, request: pb.Empty, context: Any) -> pb.DevicePluginOptions:
        await self._heard(context, "GetDevicePluginOptions")
        return self.options

    async def list_and_watch(self, request: pb.Empty, context: Any) -> AsyncIterator[pb.ListAndWatchResponse]:
        while not self._ended:
            changed = self._changed
            yield pb.ListAndWatchResponse(devices=self.devices)
            await changed.wait()

    async def prefer(self, request: pb.PreferredAllocationRequest, context: Any) -> pb.PreferredAllocationResponse:
        one = request.container_requests[0]
        available, required = ",".join(one.available_deviceIDs), ",".join(one.must_include_deviceIDs)
        await self._heard(context, "GetPreferredAllocation", available, required, str(one.allocation_size))
        answer = pb.ContainerPreferredAllocationResponse(deviceIDs=self.preferred)
        return pb.PreferredAllocationResponse(container_responses=[answer])

    async def allocate(self, request: pb.AllocateRequest, context: Any) -> pb.AllocateResponse:
        ids = request.container_requests[0].devices_ids
        await self._heard(context, "Allocate", *ids)
        if self.answer is not None:
            return self.answer
        return pb.AllocateResponse(container_responses=[pb.ContainerAllocateResponse(envs={"IDS": ",".join(ids)})])

    async def pre_start(self, request: pb.PreStartContainerRequest, context: Any) -> pb.PreStartContainerResponse:
        await self._heard(context, "PreStartContainer", *request.devices_ids)
        return pb.PreStartContainerResponse()

    def asked(self, verb: str) -> list[tuple[str, ...]]:
        """Return the arguments of all calls of a verb."""
        return [call[1:] for call in self.calls if call[0] == verb]

    @asynccontextmanager
    async def served(self, path: Path) -> AsyncIterator[None]:
        """Listen at the path, which goes at the end of the block."""
        server = grpc.aio.server()
        unary: dict[str, tuple[Any, Any]] = {
            "GetDevicePluginOptions": (self.get_options, pb.Empty),
            "GetPreferredAllocation": (self.prefer, pb.PreferredAllocationRequest),
            "Allocate": (self.allocate, pb.AllocateRequest),
            "PreStartContainer": (self.pre_start, pb.PreStartContainerRequest),
        }
        handlers = {
            verb: grpc.unary_unary_rpc_method_handler(
                method, request_deserializer=request.FromString, response_serializer=lambda message: message.SerializeToString()
            )
            for verb, (method, request) in unary.items()
        }
        handlers["ListAndWatch"] = grpc.unary_stream_rpc_method_handler(
            self.list_and_watch,
            request_deserializer=pb.Empty.FromString,
            response_serializer=pb.ListAndWatchResponse.SerializeToString,
        )
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("v1beta1.DevicePlugin", handlers),))
        assert server.add_insecure_port(f"unix://{path}")
        await server.start()
        try:
            yield
        finally:
            await server.stop(grace=None)
            await asyncio.to_thread(path.unlink, missing_ok=True)


async def register(directory: Path, endpoint: str, resource: str = NAME, version: str = "v1beta1") -> None:
    """Register as plugins do. Raises grpc.aio.AioRpcError."""
    async with grpc.aio.insecure_channel(f"unix://{directory}/kubelet.sock") as channel:
        method = channel.unary_unary(
            "/v1beta1.Registration/Register",
            request_serializer=pb.RegisterRequest.SerializeToString,
            response_deserializer=pb.Empty.FromString,
        )
        request = pb.RegisterRequest(version=version, endpoint=endpoint, resource_name=resource)
        await method(request, timeout=10, wait_for_ready=True)
