"""Registration of a driver with the kubelet ("CSI node-driver-registrar"): a socket in its directory, on which it asks for the name."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from tiphys.csi.pb import registration_pb2 as pb
from tiphys.csi.server import bind, make_room
from tiphys.obs.logging import get_logger

log = get_logger(__name__)

VERSIONS = ("1.0.0",)
_SERVICE = "pluginregistration.Registration"


class RegistrationFailed(Exception):
    """The driver cannot be registered with the kubelet, or was refused by it."""


class Registration:
    """The socket of one driver. `run` serves it until cancelled."""

    def __init__(self, name: str, socket: str, directory: Path) -> None:
        """`socket` is the path of the driver's own socket on the host."""
        self._info = pb.PluginInfo(type="CSIPlugin", name=name, endpoint=socket, supported_versions=VERSIONS)
        self.path = directory / f"{name.replace('/', '-')}-reg.sock"
        self._refused: asyncio.Future[str] | None = None

    async def run(self) -> None:
        """Serve until cancelled. Raises RegistrationFailed when the kubelet refuses the driver or the socket cannot be created."""
        import grpc

        self._refused = asyncio.get_running_loop().create_future()
        server = grpc.aio.server()
        handlers = {
            "GetInfo": _handler(grpc, self._get_info, pb.InfoRequest, pb.PluginInfo),
            "NotifyRegistrationStatus": _handler(grpc, self._notify, pb.RegistrationStatus, pb.RegistrationStatusResponse),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))
        try:
            await asyncio.to_thread(make_room, self.path)
            bind(server, self.path)
        except OSError as error:
            message = f"cannot listen at {self.path}: {error.strerror}; choose another directory with --plugin-registration-path"
            raise RegistrationFailed(message) from error
        await server.start()
        await asyncio.to_thread(os.chmod, self.path, 0o600)
        try:
            raise RegistrationFailed(await self._refused)
        finally:
            await server.stop(grace=0.5)
            await asyncio.to_thread(self.path.unlink, missing_ok=True)

    async def _get_info(self, request: pb.InfoRequest, context: Any) -> pb.PluginInfo:
        return self._info

    async def _notify(self, request: pb.RegistrationStatus, context: Any) -> pb.RegistrationStatusResponse:
        log.info("the kubelet answered", extra={"registered": request.plugin_registered, "error": request.error})
        if not request.plugin_registered and self._refused is not None and not self._refused.done():
            self._refused.set_result(f"the kubelet refused the driver {self._info.name}: {request.error}")
        return pb.RegistrationStatusResponse()


def _handler(grpc: Any, answer: Any, request: Any, response: Any) -> Any:
    return grpc.unary_unary_rpc_method_handler(
        answer, request_deserializer=request.FromString, response_serializer=response.SerializeToString
    )
