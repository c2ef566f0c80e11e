"""Serving a gRPC interface of the kubelet on a socket of its own directory."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

Method = tuple[Callable[[Any, Any], Awaitable[Message]], type[Message]]
"""A method of a service, which gets the request and gRPC's context, with the type of the request."""


async def serve(path: Path, service: str, methods: Mapping[str, Method], *, begun: Callable[[], None] = lambda: None) -> None:
    """Serve until cancelled; only root may connect. Raises OSError when no socket can be made at the path."""
    import grpc

    server = grpc.aio.server()
    handlers = {
        verb: grpc.unary_unary_rpc_method_handler(
            method, request_deserializer=request.FromString, response_serializer=lambda message: message.SerializeToString()
        )
        for verb, (method, request) in methods.items()
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    await asyncio.to_thread(path.unlink, missing_ok=True)
    # The name of a socket has 107 bytes at most: the directory goes by its descriptor, so it may be anywhere.
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            server.add_insecure_port(f"unix:///proc/self/fd/{directory}/{path.name}")
        except RuntimeError as error:
            # gRPC logs the cause and raises without it.
            raise OSError(f"no socket can be made at {path}") from error
        await server.start()
        os.chmod(path, 0o600)
        begun()
        try:
            await server.wait_for_termination()
        finally:
            await server.stop(grace=None)
    finally:
        os.close(directory)
