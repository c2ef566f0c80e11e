"""Client of one device plugin behind its socket. grpc is imported when the first plugin registers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tiphys.aio.clock import monotonic
from tiphys.node.devices import metrics
from tiphys.node.devices.device import Device, checked, listed
from tiphys.node.devices.pb import deviceplugin_pb2 as pb

if TYPE_CHECKING:
    from google.protobuf.message import Message

R = TypeVar("R", bound="Message")

CONNECT_TIMEOUT, OPTIONS_TIMEOUT, PRE_START_TIMEOUT = 10.0, 10.0, 30.0
"""Seconds that upstream's kubelet waits for a connection and for PreStartContainer; it has no limit for GetDevicePluginOptions."""
ALLOCATE_TIMEOUT, PREFERENCE_TIMEOUT = 20.0, 5.0
"""Seconds for the calls of an admission, for which others wait; upstream has no limits for them."""

_SERVICE = "/v1beta1.DevicePlugin/"
_OPTIONS = [
    ("grpc.max_receive_message_length", 4 << 20),
    ("grpc.enable_http_proxy", 0),
    ("grpc.default_authority", "localhost"),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.use_local_subchannel_pool", 1),
]


class PluginCallError(Exception):
    """A plugin refused a call, or did not answer. The text is that of gRPC for Go, which messages of pods repeat."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message
        shown = {"CANCELLED": "Canceled"}.get(code, "".join(part.capitalize() for part in code.split("_")))
        super().__init__(f"rpc error: code = {shown} desc = {message}")

    @property
    def is_silence(self) -> bool:
        """True if the plugin did not answer in time."""
        return self.code == "DEADLINE_EXCEEDED"


class Endpoint:
    """One plugin for one resource, from its registration to its end."""

    def __init__(self, resource: str, socket: Path) -> None:
        self.resource = resource
        self.socket = socket
        self.pre_start_required = False
        self.has_preferences = False
        self._channel: Any = None

    async def open(self) -> None:
        """Connect and ask for the options. Raises PluginCallError."""
        import grpc

        self._channel = grpc.aio.insecure_channel(f"unix://{self.socket}", options=_OPTIONS)
        try:
            await asyncio.wait_for(self._channel.channel_ready(), CONNECT_TIMEOUT)
        except TimeoutError:
            raise PluginCallError("DEADLINE_EXCEEDED", f"failed to dial device plugin: nobody answers at {self.socket}") from None
        await self.ask_options()

    async def ask_options(self) -> None:
        """Ask which calls the plugin wants. Raises PluginCallError."""
        options = await self._call("GetDevicePluginOptions", pb.Empty(), pb.DevicePluginOptions, OPTIONS_TIMEOUT)
        self.pre_start_required = options.pre_start_required
        self.has_preferences = options.get_preferred_allocation_available

    async def close(self) -> None:
        """Drop the connection; calls under way end with an error."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    async def watch(self) -> AsyncIterator[Mapping[str, Device]]:
        """Yield the list of devices whenever the plugin sends it, until it ends the stream. Raises PluginCallError when it breaks."""
        import grpc

        if self._channel is None:
            return
        stream = self._channel.unary_stream(
            f"{_SERVICE}ListAndWatch",
            request_serializer=pb.Empty.SerializeToString,
            response_deserializer=pb.ListAndWatchResponse.FromString,
        )(pb.Empty())
        try:
            async for answer in stream:
                yield listed(answer)
        except grpc.RpcError as error:
            raise _translated(error) from error
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            # The channel was closed under the stream.
            raise PluginCallError("CANCELLED", "the connection was closed") from None
        finally:
            stream.cancel()

    async def preferred(self, available: Collection[str], required: Collection[str], count: int) -> list[str]:
        """Return the devices that the plugin would choose; the ids are as it said them. Raises PluginCallError."""
        container = pb.ContainerPreferredAllocationRequest(
            available_deviceIDs=sorted(available), must_include_deviceIDs=sorted(required), allocation_size=count
        )
        request = pb.PreferredAllocationRequest(container_requests=[container])
        answer = await self._call("GetPreferredAllocation", request, pb.PreferredAllocationResponse, PREFERENCE_TIMEOUT)
        return list(answer.container_responses[0].deviceIDs) if answer.container_responses else []

    async def allocate(self, ids: Collection[str]) -> pb.ContainerAllocateResponse:
        """Return what a container needs to use these devices. Raises PluginCallError, DeviceError."""
        request = pb.AllocateRequest(container_requests=[pb.ContainerAllocateRequest(devices_ids=sorted(ids))])
        began = monotonic()
        try:
            answer = await self._call("Allocate", request, pb.AllocateResponse, ALLOCATE_TIMEOUT)
        finally:
            metrics.ALLOCATIONS.labels(self.resource).observe(monotonic() - began)
        return checked(answer)

    async def pre_start(self, ids: Collection[str]) -> None:
        """Tell the plugin that a container with these devices is about to start. Raises PluginCallError."""
        request = pb.PreStartContainerRequest(devices_ids=sorted(ids))
        await self._call("PreStartContainer", request, pb.PreStartContainerResponse, PRE_START_TIMEOUT)

    async def _call(self, verb: str, request: Message, answer: type[R], timeout: float) -> R:
        import grpc

        if self._channel is None:
            raise PluginCallError("UNAVAILABLE", "the connection was closed")
        method = self._channel.unary_unary(
            f"{_SERVICE}{verb}", request_serializer=type(request).SerializeToString, response_deserializer=answer.FromString
        )
        try:
            result: R = await method(request, timeout=timeout)
        except grpc.RpcError as error:
            raise _translated(error) from error
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            raise PluginCallError("CANCELLED", "the connection was closed") from None
        return result


def _translated(error: Any) -> PluginCallError:
    return PluginCallError(error.code().name, error.details() or "")
