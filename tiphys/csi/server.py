"""Serving a driver of this process on a unix socket."""

from __future__ import annotations

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
    _make_room(socket_path)
    if not server.add_insecure_port(f"unix://{socket_path}"):
        raise OSError(98, f"cannot listen at {socket_path}")
    await server.start()
    os.chmod(socket_path, 0o600)
    try:
        yield
    finally:
        await server.stop(grace=1)
        _make_room(socket_path)


def _make_room(socket_path: Path) -> None:
    socket_path.parent.mkdir(parents=True, exist_ok=True)
    socket_path.unlink(missing_ok=True)


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
