"""containerd's own event stream: which process of which container has ended, at the moment it does.

CRI has such a stream too (`GetContainerEvents`), but containerd offers it only from 1.7 on. This one belongs to containerd's public gRPC
API, on the same socket, since 1.0; only two strings are read from it. Whoever listens looks at the runtime through CRI all the same.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

from tiphys.node.cri.errors import Unavailable

_SUBSCRIBE = "/containerd.services.events.v1.Events/Subscribe"
_FILTERS = ('topic=="/tasks/exit"', 'topic=="/tasks/oom"')


class End(NamedTuple):
    """A process that has ended. Without a container it says that anything may have happened."""

    container: str = ""
    process: str = ""
    """Of an exec; "" for the container's main process."""


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a protobuf message: number and value (a varint, or bytes). Raises ValueError for anything malformed."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        kind = tag & 7
        if kind == 0:
            value, position = _varint(message, position)
            yield tag >> 3, value
        elif kind == 2:
            size, position = _varint(message, position)
            if position + size > len(message):
                raise ValueError("message ends inside a field")
            yield tag >> 3, message[position : position + size]
            position += size
        elif kind in (1, 5):
            position += 8 if kind == 1 else 4
        else:
            raise ValueError(f"unknown wire type {kind}")


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(data) or shift > 63:
            raise ValueError("message ends inside a number")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def ended(envelope: bytes) -> End | None:
    """Return the process that ended, from an event; None for any other event."""
    body = dict(fields(envelope))
    event = body.get(4)
    if not isinstance(event, bytes):
        return None
    value = dict(fields(event)).get(2)
    if not isinstance(value, bytes):
        return None
    exit_ = dict(fields(value))
    container, process = exit_.get(1), exit_.get(2)
    if not isinstance(container, bytes):
        return None
    if not isinstance(process, bytes) or process == container:
        process = b""
    return End(container.decode("utf-8", "replace"), process.decode("utf-8", "replace"))


async def ends(socket_path: str) -> AsyncIterator[End]:
    """Processes of containers and sandboxes as they end. The first item is empty, once the stream is open. Raises Unavailable when it
    breaks."""
    import grpc
    from grpc import aio

    request = b"".join(b"\x0a" + bytes([len(text)]) + text.encode() for text in _FILTERS)
    options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
    channel: Any = aio.insecure_channel(f"unix:{socket_path.removeprefix('unix://')}", options=options)
    try:
        call = channel.unary_stream(_SUBSCRIBE)(request, metadata=(("containerd-namespace", "k8s.io"),))
        # The stream has no answer of its own before the first event: it counts as open once the connection is.
        await channel.channel_ready()
        yield End()
        async for envelope in call:
            try:
                end = ended(envelope)
            except ValueError:
                end = End()  # unreadable: look at everything
            if end is not None:
                yield end
    except grpc.RpcError as error:
        raise Unavailable("Subscribe", error.code().name, error.details() or "") from error
    finally:
        await channel.close()
