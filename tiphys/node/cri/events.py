"""Hints that a container has started, ended or run out of memory, from containerd's own event service.

The CRI has such a stream only since containerd 1.7, so nodes list their containers at intervals. With these hints the interval can be
long, and still a dead container is noticed at once. They are hints: events from before the subscription are not told, nor those lost
while containerd restarts, so a listener lists once whenever it has (re)subscribed, and at its interval besides.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal, NamedTuple

from tiphys.node.cri.errors import Unavailable, from_code
from tiphys.node.cri.pb import events_pb2 as pb

Kind = Literal["start", "exit", "oom", "delete"]

_CONNECT_SECONDS = 10.0
_SUBSCRIBE = "/containerd.services.events.v1.Events/Subscribe"
_TOPICS: dict[str, Kind] = {"/tasks/start": "start", "/tasks/exit": "exit", "/tasks/oom": "oom", "/tasks/delete": "delete"}


class ContainerHint(NamedTuple):
    """Something happened to a container; for the pause container `container_id` is the sandbox's id."""

    container_id: str
    kind: Kind


async def container_hints(socket_path: str | Path, *, namespace: str = "k8s.io") -> AsyncIterator[ContainerHint | None]:
    """The hints as they come; the first item is None and says that the subscription is made, so list now.

    The CRI learns of an exit at the same time as we do, and its answers need some 20 ms to say so: list once more a moment later.

    Ends with RuntimeError_ (Unavailable when containerd is gone, Unimplemented when the runtime is another one); subscribe again then.
    """
    from grpc import RpcError, aio

    async with aio.insecure_channel(f"unix:{str(socket_path).removeprefix('unix://')}", options=[("grpc.enable_http_proxy", 0)]) as channel:
        subscribe = channel.unary_stream(
            _SUBSCRIBE, request_serializer=pb.SubscribeRequest.SerializeToString, response_deserializer=pb.Envelope.FromString
        )
        filters = [f'namespace=={namespace},topic=="{topic}"' for topic in _TOPICS]
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await channel.channel_ready()
        except TimeoutError as error:
            raise Unavailable("Subscribe", "UNAVAILABLE", f"nobody answers on {socket_path}") from error
        call = subscribe(pb.SubscribeRequest(filters=filters))
        try:
            # containerd sends nothing, not even headers, before the first event, so there is no better moment than this.
            yield None
            async for envelope in call:
                hint = _read(envelope)
                if hint is not None:
                    yield hint
        except RpcError as error:
            raise from_code("Subscribe", error.code().name, error.details() or "") from error
        finally:
            call.cancel()


def _read(envelope: pb.Envelope) -> ContainerHint | None:
    kind = _TOPICS.get(envelope.topic)
    if kind is None:
        return None
    if kind == "exit":
        ended = pb.TaskExit.FromString(envelope.event.value)
        return ContainerHint(ended.container_id, kind) if ended.id == ended.container_id else None
    return ContainerHint(pb.TaskEvent.FromString(envelope.event.value).container_id, kind)
