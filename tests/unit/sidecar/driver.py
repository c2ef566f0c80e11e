"""A driver in memory whose answers a test can script."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from google.protobuf.wrappers_pb2 import BoolValue

from tiphys.csi.driver import Driver
from tiphys.csi.errors import AlreadyExists, CsiError, Exhausted, NotFound, Unfinished
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.sidecar.facts import DriverFacts

NAME = "csi.example.com"
VERBS = (
    "CREATE_DELETE_VOLUME", "PUBLISH_UNPUBLISH_VOLUME", "GET_CAPACITY", "CREATE_DELETE_SNAPSHOT", "LIST_SNAPSHOTS", "CLONE_VOLUME",
    "EXPAND_VOLUME", "SINGLE_NODE_MULTI_WRITER", "MODIFY_VOLUME",
)  # fmt: skip
SERVICES = ("CONTROLLER_SERVICE",)
GI = 1 << 30

Script = Callable[[Any], Any]
"""Function called with the request before the verb is carried out; what it raises or returns (if it is not None) is the answer."""


def facts(*without: str, services: tuple[str, ...] = SERVICES, expansion: str = "") -> DriverFacts:
    """The facts of the driver, without some of its verbs."""
    return DriverFacts(NAME, "1", frozenset(services), frozenset(VERBS) - set(without), expansion)


class ScriptedDriver(Driver):
    """Keeps volumes and snapshots in memory. `scripts` has what happens before a verb, `after` what happens once it is carried out."""

    def __init__(self, *, node_expansion: bool = False, topology: list[dict[str, str]] | None = None, room: int = 100 * GI) -> None:
        self.volumes: dict[str, pb.Volume] = {}
        self.attached: set[tuple[str, str]] = set()
        self.snapshots: dict[str, pb.Snapshot] = {}
        self.modified: dict[str, dict[str, str]] = {}
        self.calls: list[tuple[str, Any]] = []
        self.scripts: dict[str, list[Script]] = {}
        self.after: dict[str, list[Script]] = {}
        self.node_expansion = node_expansion
        self.topology = topology or []
        self.room = room
        self.ready = True

    def of(self, verb: str) -> list[Any]:
        """The requests of a verb."""
        return [request for name, request in self.calls if name == verb]

    def fail(self, verb: str, error: CsiError, times: int = 1, *, after: bool = False) -> None:
        """Let a verb fail a number of times; with `after`, once it is carried out."""

        def script(_: Any) -> None:
            raise error

        (self.after if after else self.scripts).setdefault(verb, []).extend([script] * times)

    async def _step(self, scripts: dict[str, list[Script]], verb: str, request: Any) -> Any:
        waiting = scripts.get(verb)
        result = waiting.pop(0)(request) if waiting else None
        return await result if isinstance(result, Awaitable) else result

    async def _carry_out(self, verb: str, request: Any, act: Callable[[], Any]) -> Any:
        self.calls.append((verb, request))
        scripted = await self._step(self.scripts, verb, request)
        if scripted is not None:
            return scripted
        answer = act()
        changed = await self._step(self.after, verb, request)
        return answer if changed is None else changed

    async def GetPluginInfo(self, request: pb.GetPluginInfoRequest) -> pb.GetPluginInfoResponse:
        return pb.GetPluginInfoResponse(name=NAME, vendor_version="1")

    async def GetPluginCapabilities(self, request: pb.GetPluginCapabilitiesRequest) -> pb.GetPluginCapabilitiesResponse:
        service = pb.PluginCapability.Service
        return pb.GetPluginCapabilitiesResponse(capabilities=[pb.PluginCapability(service=service(type=name)) for name in SERVICES])

    async def Probe(self, request: pb.ProbeRequest) -> pb.ProbeResponse:
        answer: pb.ProbeResponse = await self._carry_out("Probe", request, lambda: pb.ProbeResponse(ready=BoolValue(value=self.ready)))
        return answer

    async def ControllerGetCapabilities(self, request: pb.ControllerGetCapabilitiesRequest) -> pb.ControllerGetCapabilitiesResponse:
        rpc = pb.ControllerServiceCapability.RPC
        return pb.ControllerGetCapabilitiesResponse(capabilities=[pb.ControllerServiceCapability(rpc=rpc(type=name)) for name in VERBS])

    async def CreateVolume(self, request: pb.CreateVolumeRequest) -> pb.CreateVolumeResponse:
        def act() -> pb.CreateVolumeResponse:
            size = request.capacity_range.required_bytes
            volume = self.volumes.get(f"id-{request.name}")
            if volume is None:
                if size > self.room:
                    raise Exhausted("no room")
                volume = pb.Volume(
                    volume_id=f"id-{request.name}",
                    capacity_bytes=size,
                    volume_context={"made": "yes"},
                    accessible_topology=[pb.Topology(segments=one) for one in self.topology],
                )
                self.volumes[volume.volume_id] = volume
            elif volume.capacity_bytes < size:
                raise AlreadyExists("there is a smaller one")
            return pb.CreateVolumeResponse(volume=volume)

        answer: pb.CreateVolumeResponse = await self._carry_out("CreateVolume", request, act)
        return answer

    async def DeleteVolume(self, request: pb.DeleteVolumeRequest) -> pb.DeleteVolumeResponse:
        def act() -> pb.DeleteVolumeResponse:
            self.volumes.pop(request.volume_id, None)
            return pb.DeleteVolumeResponse()

        answer: pb.DeleteVolumeResponse = await self._carry_out("DeleteVolume", request, act)
        return answer

    async def ControllerPublishVolume(self, request: pb.ControllerPublishVolumeRequest) -> pb.ControllerPublishVolumeResponse:
        def act() -> pb.ControllerPublishVolumeResponse:
            if request.volume_id not in self.volumes:
                raise NotFound("no such volume")
            self.attached.add((request.volume_id, request.node_id))
            return pb.ControllerPublishVolumeResponse(publish_context={"device": f"/dev/{request.volume_id}"})

        answer: pb.ControllerPublishVolumeResponse = await self._carry_out("ControllerPublishVolume", request, act)
        return answer

    async def ControllerUnpublishVolume(self, request: pb.ControllerUnpublishVolumeRequest) -> pb.ControllerUnpublishVolumeResponse:
        def act() -> pb.ControllerUnpublishVolumeResponse:
            self.attached.discard((request.volume_id, request.node_id))
            return pb.ControllerUnpublishVolumeResponse()

        answer: pb.ControllerUnpublishVolumeResponse = await self._carry_out("ControllerUnpublishVolume", request, act)
        return answer

    async def GetCapacity(self, request: pb.GetCapacityRequest) -> pb.GetCapacityResponse:
        answer: pb.GetCapacityResponse = await self._carry_out(
            "GetCapacity", request, lambda: pb.GetCapacityResponse(available_capacity=self.room)
        )
        return answer

    async def ControllerExpandVolume(self, request: pb.ControllerExpandVolumeRequest) -> pb.ControllerExpandVolumeResponse:
        def act() -> pb.ControllerExpandVolumeResponse:
            volume = self.volumes.get(request.volume_id)
            if volume is None:
                raise NotFound("no such volume")
            volume.capacity_bytes = max(volume.capacity_bytes, request.capacity_range.required_bytes)
            return pb.ControllerExpandVolumeResponse(capacity_bytes=volume.capacity_bytes, node_expansion_required=self.node_expansion)

        answer: pb.ControllerExpandVolumeResponse = await self._carry_out("ControllerExpandVolume", request, act)
        return answer

    async def ControllerModifyVolume(self, request: pb.ControllerModifyVolumeRequest) -> pb.ControllerModifyVolumeResponse:
        def act() -> pb.ControllerModifyVolumeResponse:
            self.modified[request.volume_id] = dict(request.mutable_parameters)
            return pb.ControllerModifyVolumeResponse()

        answer: pb.ControllerModifyVolumeResponse = await self._carry_out("ControllerModifyVolume", request, act)
        return answer

    async def CreateSnapshot(self, request: pb.CreateSnapshotRequest) -> pb.CreateSnapshotResponse:
        def act() -> pb.CreateSnapshotResponse:
            snapshot = self.snapshots.get(f"id-{request.name}")
            if snapshot is None:
                volume = self.volumes[request.source_volume_id]
                snapshot = pb.Snapshot(
                    snapshot_id=f"id-{request.name}",
                    source_volume_id=request.source_volume_id,
                    size_bytes=volume.capacity_bytes,
                    ready_to_use=True,
                )
                snapshot.creation_time.FromSeconds(1_700_000_000)
                self.snapshots[snapshot.snapshot_id] = snapshot
            return pb.CreateSnapshotResponse(snapshot=snapshot)

        answer: pb.CreateSnapshotResponse = await self._carry_out("CreateSnapshot", request, act)
        return answer

    async def DeleteSnapshot(self, request: pb.DeleteSnapshotRequest) -> pb.DeleteSnapshotResponse:
        def act() -> pb.DeleteSnapshotResponse:
            self.snapshots.pop(request.snapshot_id, None)
            return pb.DeleteSnapshotResponse()

        answer: pb.DeleteSnapshotResponse = await self._carry_out("DeleteSnapshot", request, act)
        return answer

    async def ListSnapshots(self, request: pb.ListSnapshotsRequest) -> pb.ListSnapshotsResponse:
        def act() -> pb.ListSnapshotsResponse:
            chosen = [one for one in self.snapshots.values() if request.snapshot_id in ("", one.snapshot_id)]
            return pb.ListSnapshotsResponse(entries=[pb.ListSnapshotsResponse.Entry(snapshot=one) for one in chosen])

        answer: pb.ListSnapshotsResponse = await self._carry_out("ListSnapshots", request, act)
        return answer


async def hang(_: Any) -> None:
    """A script: never answer."""
    await asyncio.get_running_loop().create_future()


def pending(message: str = "busy") -> CsiError:
    """An error after which nothing is known."""
    return Unfinished(message, code="ABORTED")
