"""A plugin's side of registration, served on a socket as drivers' sidecars do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from tiphys.csi.pb import registration_pb2 as pb
from tiphys.testing.eventually import eventually


class Registrar:
    """Introduces a plugin and keeps what it hears; `heard` has "" for each registration, else the error."""

    def __init__(self, name: str, endpoint: str = "", *versions: str, kind: str = "CSIPlugin") -> None:
        self.info = pb.PluginInfo(type=kind, name=name, endpoint=endpoint, supported_versions=versions or ("1.0.0",))
        self.heard: list[str] = []
        self.deaf = 0
        """Number of notifications that are refused."""

    async def get_info(self, request: pb.InfoRequest, context: Any) -> pb.PluginInfo:
        return self.info

    async def notify(self, request: pb.RegistrationStatus, context: Any) -> pb.RegistrationStatusResponse:
        if self.deaf:
            self.deaf -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "deaf")
        assert request.plugin_registered == (not request.error)
        self.heard.append(request.error)
        return pb.RegistrationStatusResponse()

    async def wait(self) -> None:
        """Wait until it has heard something."""
        await eventually(lambda: self.heard)

    @asynccontextmanager
    async def served(self, path: Path) -> AsyncIterator[None]:
        """Listen at the path, which goes at the end of the block."""
        server = grpc.aio.server()
        handlers = {
            "GetInfo": _unary(self.get_info, pb.InfoRequest),
            "NotifyRegistrationStatus": _unary(self.notify, pb.RegistrationStatus),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("pluginregistration.Registration", handlers),))
        await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
        assert server.add_insecure_port(f"unix://{path}")
        await server.start()
        try:
            yield
        finally:
            await server.stop(grace=None)
            await asyncio.to_thread(path.unlink, missing_ok=True)


def _unary(method: Any, request: Any) -> Any:
    return grpc.unary_unary_rpc_method_handler(
        method, request_deserializer=request.FromString, response_serializer=lambda message: message.SerializeToString()
    )
