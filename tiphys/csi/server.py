"""Serving on unix sockets: a driver of this process, or any other gRPC service."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from google.protobuf.message_factory import GetMessageClass

from tiphys.csi.driver import Driver
from tiphys.csi.errors import CsiError
from tiphys.csi.pb import csi_pb2 as pb

log = logging.getLogger(__name__)


@asynccontextmanager
async def served(driver: Driver, socket_path: Path) -> AsyncIterator[None]:
    """Serve a driver at a path, which is made anew; only root may connect. Raises OSError when the path cannot be used."""
    import grpc

    server = grpc.aio.server()
    for service in pb.DESCRIPTOR.services_by_name.values():
        handlers = {method.name: _handler(driver, method) for method in service.methods}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, handlers),))
    make_room(socket_path)
    bind(server, socket_path)
    await server.start()
    os.chmod(socket_path, 0o600)
    try:
        yield
    finally:
        await server.stop(grace=1)
        make_room(socket_path)


def make_room(socket_path: Path) -> None:
    """Create the directory of a socket and remove the socket of an earlier process. Raises OSError."""
    socket_path.parent.mkdir(parents=True, exist_ok=True)
    socket_path.unlink(missing_ok=True)


def bind(server: Any, socket_path: Path) -> None:
    """Bind a gRPC server to a socket. Raises OSError when that is impossible."""
    try:
        server.add_insecure_port(f"unix://{socket_path}")
    except RuntimeError as error:
        # gRPC logs the cause and raises without it.
        raise OSError(errno.EINVAL, "no socket can be created here", str(socket_path)) from error


def _handler(driver: Driver, method: Any) -> Any:
    import grpc

    async def answer(request: Any, context: Any) -> Any:
        try:
            return await getattr(driver, method.name)(request)
        except CsiError as error:
            await context.abort(grpc.StatusCode[error.code], error.message)
        except Exception as error:
            log.exception("a verb of the driver failed", extra={"verb": method.name})
            await context.abort(grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}")

    return grpc.unary_unary_rpc_method_handler(
        answer,
        request_deserializer=GetMessageClass(method.input_type).FromString,
        response_serializer=GetMessageClass(method.output_type).SerializeToString,
    )
