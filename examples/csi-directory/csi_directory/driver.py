"""The driver: calls the methods of its services, in threads, since they wait for disks and commands."""

from __future__ import annotations

import asyncio
import errno
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from google.protobuf.wrappers_pb2 import BoolValue

from csi_directory.controller import Controller
from csi_directory.node import NodeService
from csi_directory.rules import NAME
from csi_directory.store import Node, Store
from tiphys.csi.driver import Driver
from tiphys.csi.errors import Exhausted, Failed, Unimplemented
from tiphys.csi.pb import csi_pb2 as pb

if TYPE_CHECKING:
    from google.protobuf.message import Message

R = TypeVar("R", bound="Message")
VERSION = "1.0.0"


class DirectoryDriver(Driver):
    """A driver over the directory `root`: with a controller, with the services of the node `node`, or both."""

    def __init__(self, root: Path, *, zone: str = "", with_controller: bool = True, node: Node | None = None) -> None:
        store = Store(root)
        self.zone = zone
        self.controller = Controller(store, zone=zone) if with_controller else None
        self.services: list[Any] = [self]
        self.services += [self.controller] if self.controller else []
        self.services += [NodeService(store, node)] if node else []

    async def call(self, verb: str, request: Message, answer: type[R]) -> R:
        """Find the method for a verb (`create_volume` for CreateVolume) and run it in a thread."""
        name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", verb).lower()
        method = next((getattr(service, name) for service in self.services if hasattr(service, name)), None)
        if method is None:
            raise Unimplemented(f"this instance does not offer {verb}", verb=verb)
        try:
            result: R = await asyncio.to_thread(method, request)
        except OSError as error:
            kind = Exhausted if error.errno in (errno.ENOSPC, errno.EDQUOT) else Failed
            raise kind(str(error), verb=verb) from error
        return result

    def get_plugin_info(self, request: pb.GetPluginInfoRequest) -> pb.GetPluginInfoResponse:
        return pb.GetPluginInfoResponse(name=NAME, vendor_version=VERSION)

    def probe(self, request: pb.ProbeRequest) -> pb.ProbeResponse:
        return pb.ProbeResponse(ready=BoolValue(value=True))

    def get_plugin_capabilities(self, request: pb.GetPluginCapabilitiesRequest) -> pb.GetPluginCapabilitiesResponse:
        service, expansion = pb.PluginCapability.Service, pb.PluginCapability.VolumeExpansion
        answer = pb.GetPluginCapabilitiesResponse()
        if self.controller:
            answer.capabilities.add(volume_expansion=expansion(type=expansion.ONLINE))
            answer.capabilities.add(service=service(type=service.CONTROLLER_SERVICE))
        if self.zone:
            answer.capabilities.add(service=service(type=service.VOLUME_ACCESSIBILITY_CONSTRAINTS))
        return answer
