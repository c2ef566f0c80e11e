"""Local volumes of hollow nodes: every request is granted, and nothing is made, so StatefulSets work on clusters without containers."""

from __future__ import annotations

import tiphys
from tiphys.csi.driver import Driver
from tiphys.csi.errors import InvalidArgument
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.node.local_path import answers
from tiphys.node.local_path.records import volume_id
from tiphys.node.local_path.request import parse_request
from tiphys.node.local_path.settings import NAME, TOPOLOGY_KEY

ROOM = 1 << 50
"""Bytes that each node claims to have free."""


class HollowLocalPathDriver(Driver):
    """Driver of all hollow nodes at once: a volume is where it is requested. It keeps nothing, so a restart loses nothing."""

    async def GetPluginInfo(self, request: pb.GetPluginInfoRequest) -> pb.GetPluginInfoResponse:
        return pb.GetPluginInfoResponse(name=NAME, vendor_version=tiphys.__version__)

    async def GetPluginCapabilities(self, request: pb.GetPluginCapabilitiesRequest) -> pb.GetPluginCapabilitiesResponse:
        return answers.plugin_capabilities()

    async def Probe(self, request: pb.ProbeRequest) -> pb.ProbeResponse:
        return pb.ProbeResponse(ready={"value": True})

    async def ControllerGetCapabilities(self, request: pb.ControllerGetCapabilitiesRequest) -> pb.ControllerGetCapabilitiesResponse:
        return answers.controller_capabilities()

    async def CreateVolume(self, request: pb.CreateVolumeRequest) -> pb.CreateVolumeResponse:
        requirement = request.accessibility_requirements
        nodes = [term.segments[TOPOLOGY_KEY] for term in (*requirement.preferred, *requirement.requisite) if TOPOLOGY_KEY in term.segments]
        if not nodes:
            raise InvalidArgument("accessibility_requirements must name a node")
        desired = parse_request(request, nodes[0])
        record = desired.record(volume_id(desired.name), None)
        return pb.CreateVolumeResponse(volume=answers.volume(record, nodes[0]))

    async def DeleteVolume(self, request: pb.DeleteVolumeRequest) -> pb.DeleteVolumeResponse:
        return pb.DeleteVolumeResponse()

    async def GetCapacity(self, request: pb.GetCapacityRequest) -> pb.GetCapacityResponse:
        return answers.capacity(ROOM)

    async def ControllerExpandVolume(self, request: pb.ControllerExpandVolumeRequest) -> pb.ControllerExpandVolumeResponse:
        # No kubelet is there to grow a file system.
        size = answers.expanded_size(request.capacity_range)
        return pb.ControllerExpandVolumeResponse(capacity_bytes=size, node_expansion_required=False)

    async def NodeGetCapabilities(self, request: pb.NodeGetCapabilitiesRequest) -> pb.NodeGetCapabilitiesResponse:
        return answers.node_capabilities()
