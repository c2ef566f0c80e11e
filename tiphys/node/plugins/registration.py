"""Client of the kubelet's plugin registration: a plugin describes itself on a socket and receives the result there.

grpc is imported when the first plugin appears, because the import costs 10 MB that a node without plugins never needs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tiphys.csi.pb import registration_pb2 as pb

if TYPE_CHECKING:
    from google.protobuf.message import Message

R = TypeVar("R", bound="Message")

CONNECT_TIMEOUT, INFO_TIMEOUT, NOTIFY_TIMEOUT = 10.0, 1.0, 5.0
"""Seconds that upstream's kubelet waits for a connection, for GetInfo and for NotifyRegistrationStatus."""

_OPTIONS = [
    ("grpc.max_receive_message_length", 1 << 20),
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.use_local_subchannel_pool", 1),
]


class PluginError(Exception):
    """A plugin cannot be registered; the text goes to the log, and to the plugin where it can be reached."""


class PluginSocket:
    """A connection to the registration socket of one plugin."""

    def __init__(self, path: Path, channel: Any) -> None:
        self.path = path
        self._channel = channel

    @classmethod
    @asynccontextmanager
    async def connected(cls, path: Path) -> AsyncIterator[PluginSocket]:
        """Connect for the length of the block. Raises PluginError when nobody listens."""
        import grpc

        channel = grpc.aio.insecure_channel(f"unix://{path}", options=_OPTIONS)
        try:
            try:
                await asyncio.wait_for(channel.channel_ready(), CONNECT_TIMEOUT)
            except TimeoutError:
                raise PluginError(f"RegisterPlugin error -- dial failed at socket {path}, err: nobody answers") from None
            yield cls(path, channel)
        finally:
            await channel.close()

    async def info(self) -> pb.PluginInfo:
        """Return what the plugin says about itself. Raises PluginError."""
        try:
            return await self._call("GetInfo", pb.InfoRequest(), pb.PluginInfo, INFO_TIMEOUT)
        except PluginError as error:
            message = f"RegisterPlugin error -- failed to get plugin info using RPC GetInfo at socket {self.path}, err: {error}"
            raise PluginError(message) from error

    async def notify(self, error: str = "") -> None:
        """Report that the plugin was registered, or why not. Raises PluginError when it does not listen."""
        status = pb.RegistrationStatus(plugin_registered=not error, error=error)
        await self._call("NotifyRegistrationStatus", status, pb.RegistrationStatusResponse, NOTIFY_TIMEOUT)

    async def _call(self, verb: str, request: Message, answer: type[R], timeout: float) -> R:
        import grpc

        method = self._channel.unary_unary(
            f"/pluginregistration.Registration/{verb}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )
        try:
            result: R = await method(request, timeout=timeout)
        except grpc.RpcError as error:
            raise PluginError(f"rpc error: {error.code().name}: {error.details()}") from error
        return result
