"""Drivers: the verbs of the interface as methods. One class serves drivers of this process and those behind a socket.

Requests and answers are the messages of `tiphys.csi.pb.csi_pb2`. Every method raises CsiError and nothing else (cancellation apart), and
may be repeated: "Container Storage Interface (CSI)" asks every verb to be idempotent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from tiphys.csi.errors import Unimplemented
from tiphys.csi.pb import csi_pb2 as pb

if TYPE_CHECKING:
    from google.protobuf.message import Message

R = TypeVar("R", bound="Message")


class Driver:
    """A driver. In this process, a subclass overrides the verbs that it offers; `CsiClient` overrides `call` alone."""

    async def call(self, verb: str, request: Message, answer: type[R]) -> R:
        """Carry out a verb that has no method of its own. Raises CsiError."""
        raise Unimplemented(f"unknown method {verb}", verb=verb)

    async def close(self) -> None:
        """Give up connections."""

    # -- identity

    async def GetPluginInfo(self, request: pb.GetPluginInfoRequest) -> pb.GetPluginInfoResponse:
        """Return the name and the version of the driver."""
        return await self.call("GetPluginInfo", request, pb.GetPluginInfoResponse)

    async def GetPluginCapabilities(self, request: pb.GetPluginCapabilitiesRequest) -> pb.GetPluginCapabilitiesResponse:
        """Return whether there is a controller, whether volumes are bound to a topology, and how they grow."""
        return await self.call("GetPluginCapabilities", request, pb.GetPluginCapabilitiesResponse)

    async def Probe(self, request: pb.ProbeRequest) -> pb.ProbeResponse:
        """Return whether the driver is ready."""
        return await self.call("Probe", request, pb.ProbeResponse)

    # -- controller

    async def CreateVolume(self, request: pb.CreateVolumeRequest) -> pb.CreateVolumeResponse:
        """Create a volume, or find the one of this name."""
        return await self.call("CreateVolume", request, pb.CreateVolumeResponse)

    async def DeleteVolume(self, request: pb.DeleteVolumeRequest) -> pb.DeleteVolumeResponse:
        """Delete a volume; one that is gone is deleted."""
        return await self.call("DeleteVolume", request, pb.DeleteVolumeResponse)

    async def ControllerPublishVolume(self, request: pb.ControllerPublishVolumeRequest) -> pb.ControllerPublishVolumeResponse:
        """Attach a volume to a node."""
        return await self.call("ControllerPublishVolume", request, pb.ControllerPublishVolumeResponse)

    async def ControllerUnpublishVolume(self, request: pb.ControllerUnpublishVolumeRequest) -> pb.ControllerUnpublishVolumeResponse:
        """Detach a volume from a node, or from all of them if none is named."""
        return await self.call("ControllerUnpublishVolume", request, pb.ControllerUnpublishVolumeResponse)

    async def ValidateVolumeCapabilities(self, request: pb.ValidateVolumeCapabilitiesRequest) -> pb.ValidateVolumeCapabilitiesResponse:
        """Return which of the capabilities a volume has."""
        return await self.call("ValidateVolumeCapabilities", request, pb.ValidateVolumeCapabilitiesResponse)

    async def ListVolumes(self, request: pb.ListVolumesRequest) -> pb.ListVolumesResponse:
        """Return a page of the volumes."""
        return await self.call("ListVolumes", request, pb.ListVolumesResponse)

    async def GetCapacity(self, request: pb.GetCapacityRequest) -> pb.GetCapacityResponse:
        """Return how much room there is for volumes."""
        return await self.call("GetCapacity", request, pb.GetCapacityResponse)

    async def ControllerGetCapabilities(self, request: pb.ControllerGetCapabilitiesRequest) -> pb.ControllerGetCapabilitiesResponse:
        """Return the verbs that the controller offers."""
        return await self.call("ControllerGetCapabilities", request, pb.ControllerGetCapabilitiesResponse)

    async def CreateSnapshot(self, request: pb.CreateSnapshotRequest) -> pb.CreateSnapshotResponse:
        """Take a snapshot of a volume, or find the one of this name."""
        return await self.call("CreateSnapshot", request, pb.CreateSnapshotResponse)

    async def DeleteSnapshot(self, request: pb.DeleteSnapshotRequest) -> pb.DeleteSnapshotResponse:
        """Delete a snapshot; one that is gone is deleted."""
        return await self.call("DeleteSnapshot", request, pb.DeleteSnapshotResponse)

    async def ListSnapshots(self, request: pb.ListSnapshotsRequest) -> pb.ListSnapshotsResponse:
        """Return a page of the snapshots."""
        return await self.call("ListSnapshots", request, pb.ListSnapshotsResponse)

    async def ControllerExpandVolume(self, request: pb.ControllerExpandVolumeRequest) -> pb.ControllerExpandVolumeResponse:
        """Enlarge a volume."""
        return await self.call("ControllerExpandVolume", request, pb.ControllerExpandVolumeResponse)

    async def ControllerGetVolume(self, request: pb.ControllerGetVolumeRequest) -> pb.ControllerGetVolumeResponse:
        """Return a volume and its state."""
        return await self.call("ControllerGetVolume", request, pb.ControllerGetVolumeResponse)

    async def ControllerModifyVolume(self, request: pb.ControllerModifyVolumeRequest) -> pb.ControllerModifyVolumeResponse:
        """Change the mutable parameters of a volume."""
        return await self.call("ControllerModifyVolume", request, pb.ControllerModifyVolumeResponse)

    # -- node

    async def NodeStageVolume(self, request: pb.NodeStageVolumeRequest) -> pb.NodeStageVolumeResponse:
        """Make a volume ready on this node, once for all pods."""
        return await self.call("NodeStageVolume", request, pb.NodeStageVolumeResponse)

    async def NodeUnstageVolume(self, request: pb.NodeUnstageVolumeRequest) -> pb.NodeUnstageVolumeResponse:
        """Take back what NodeStageVolume did."""
        return await self.call("NodeUnstageVolume", request, pb.NodeUnstageVolumeResponse)

    async def NodePublishVolume(self, request: pb.NodePublishVolumeRequest) -> pb.NodePublishVolumeResponse:
        """Make a volume appear at the path of a pod."""
        return await self.call("NodePublishVolume", request, pb.NodePublishVolumeResponse)

    async def NodeUnpublishVolume(self, request: pb.NodeUnpublishVolumeRequest) -> pb.NodeUnpublishVolumeResponse:
        """Take a volume away from the path of a pod."""
        return await self.call("NodeUnpublishVolume", request, pb.NodeUnpublishVolumeResponse)

    async def NodeGetVolumeStats(self, request: pb.NodeGetVolumeStatsRequest) -> pb.NodeGetVolumeStatsResponse:
        """Return how much of a volume is used."""
        return await self.call("NodeGetVolumeStats", request, pb.NodeGetVolumeStatsResponse)

    async def NodeExpandVolume(self, request: pb.NodeExpandVolumeRequest) -> pb.NodeExpandVolumeResponse:
        """Enlarge the file system of a volume."""
        return await self.call("NodeExpandVolume", request, pb.NodeExpandVolumeResponse)

    async def NodeGetCapabilities(self, request: pb.NodeGetCapabilitiesRequest) -> pb.NodeGetCapabilitiesResponse:
        """Return the verbs that the driver offers on nodes."""
        return await self.call("NodeGetCapabilities", request, pb.NodeGetCapabilitiesResponse)

    async def NodeGetInfo(self, request: pb.NodeGetInfoRequest) -> pb.NodeGetInfoResponse:
        """Return the node's name in the driver, its topology and how many volumes it takes."""
        return await self.call("NodeGetInfo", request, pb.NodeGetInfoResponse)


class Lent(Driver):
    """A driver that others use as well: closing it here leaves it open for them."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def call(self, verb: str, request: Message, answer: type[R]) -> R:
        result: R = await getattr(self._driver, verb)(request)
        return result
