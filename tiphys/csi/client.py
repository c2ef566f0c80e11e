"""A driver behind a unix socket.

grpc is imported when the first call is made, because the import costs 10 MB that a process without drivers never needs.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tiphys.csi.driver import Driver
from tiphys.csi.errors import CsiError, Unfinished, from_code
from tiphys.csi.pb import csi_pb2 as pb

if TYPE_CHECKING:
    from google.protobuf.message import Message

R = TypeVar("R", bound="Message")

DEFAULT_TIMEOUT = 120.0
"""Seconds an answer may take: what upstream's kubelet grants a driver."""

_OPTIONS = [
    ("grpc.max_receive_message_length", 4 << 20),
    ("grpc.enable_http_proxy", 0),
    # A restarted driver should be noticed at once, not after gRPC's default backoff of up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.use_local_subchannel_pool", 1),
]
_UNREADABLE = ("Exception deserializing response!", "CLIENT: Received message larger than max")
"""Messages of gRPC about answers that it cannot hand on: the driver has done its work, but what came of it is unknown."""
_PATHS = {
    method.name: f"/{service.full_name}/{method.name}" for service in pb.DESCRIPTOR.services_by_name.values() for method in service.methods
}


class CsiClient(Driver):
    """A connection to one driver; made lazily, shared by all tasks of one event loop.

    `socket_path` may be a path or a `unix://` URL; `timeout` is the number of seconds that each answer may take.
    """

    def __init__(self, socket_path: str | Path, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        self.socket_path = str(socket_path).removeprefix("unix://")
        self.timeout = timeout
        self._channel: Any = None

    async def close(self) -> None:
        """Drop the connection; calls under way end with Unavailable. The next call connects again."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    async def call(self, verb: str, request: Message, answer: type[R]) -> R:
        import grpc

        if self._channel is None:
            self._channel = grpc.aio.insecure_channel(f"unix://{self.socket_path}", options=_OPTIONS)
        method = self._channel.unary_unary(
            _PATHS[verb], request_serializer=type(request).SerializeToString, response_deserializer=answer.FromString
        )
        try:
            result: R = await method(request, timeout=self.timeout)
        except grpc.RpcError as error:
            raise _translated(verb, error) from error
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            # The channel was closed under the call.
            raise from_code(verb, "UNAVAILABLE", "the connection was closed") from None
        return result


def _translated(verb: str, error: Any) -> CsiError:
    message = error.details() or ""
    if any(text in message for text in _UNREADABLE):
        return Unfinished(message, verb=verb, code="INTERNAL")
    return from_code(verb, error.code().name, message)
