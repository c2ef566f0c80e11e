"""The socket at which device plugins register themselves ("Device plugin registration").

A new kubelet removes all sockets of the directory before it makes its own: that is what plugins watch for, and they register again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from pathlib import Path
from typing import Any

from tiphys.aio.clock import Clock
from tiphys.api.core.pods.resources import is_extended
from tiphys.node.devices import metrics
from tiphys.node.devices.endpoint import PluginCallError
from tiphys.node.devices.manager import VERSION, DeviceManager
from tiphys.node.devices.pb import deviceplugin_pb2 as pb
from tiphys.node.plugins.server import serve

log = logging.getLogger(__name__)

SOCKET = "kubelet.sock"
RETRY = 5.0
"""Seconds until the next attempt to open the socket."""


class DeviceRegistry:
    """Server of the registration of device plugins."""

    def __init__(self, manager: DeviceManager, clock: Clock) -> None:
        self.manager = manager
        self._clock = clock
        self.directory = manager.directory
        self.error = ""
        """Reason for which nobody can register, or ""."""

    def health(self) -> str:
        """Return why no plugin can register, or ""."""
        return f"device registration error: {self.error}" if self.error else ""

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            try:
                await asyncio.to_thread(_clear, self.directory)
                methods = {"Register": (self.register, pb.RegisterRequest)}
                await serve(self.directory / SOCKET, "v1beta1.Registration", methods, begun=self._begun)
            except OSError as error:
                self.error = str(error)
                log.error("device plugins cannot register", extra={"directory": str(self.directory), "error": str(error)})
                await self._clock.sleep(RETRY)

    def _begun(self) -> None:
        self.error = ""

    async def register(self, request: pb.RegisterRequest, context: Any) -> pb.Empty:
        """Take the plugin into use that introduces itself; it listens already."""
        import grpc

        name = request.resource_name
        log.info("device plugin registers", extra={"resource": name, "endpoint": request.endpoint})
        try:
            if request.version != VERSION:
                raise PluginCallError(
                    "UNKNOWN",
                    f'requested API version "{request.version}" is not supported by kubelet. Supported version is ["{VERSION}"]',
                )
            if not is_extended(name):
                raise PluginCallError("UNKNOWN", f'the ResourceName "{name}" is invalid')
            metrics.REGISTRATIONS.labels(name).inc()
            await self.manager.connect(name, self._socket(request.endpoint))
        except PluginCallError as error:
            log.warning("device plugin not registered", extra={"resource": name, "error": str(error)})
            await context.abort(grpc.StatusCode[error.code], error.message)
        return pb.Empty()

    def _socket(self, endpoint: str) -> Path:
        path = Path(os.path.normpath(f"{self.directory}/{endpoint}"))
        if path == self.directory or not path.is_relative_to(self.directory):
            raise PluginCallError("INVALID_ARGUMENT", f'the endpoint "{endpoint}" is not the name of a socket in {self.directory}')
        return path


def _clear(directory: Path) -> None:
    """Make the directory, and remove the sockets in it. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o750)
    for entry in list(os.scandir(directory)):
        if stat.S_ISSOCK(entry.stat(follow_symlinks=False).st_mode):
            os.unlink(entry.path)
