"""The controller: volumes, snapshots, and which node has which volume."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Literal

from google.protobuf.wrappers_pb2 import Int64Value

from csi_directory.rules import (
    READ_ONLY,
    SINGLE_NODE,
    ZONE,
    Mode,
    check_capability,
    check_mutable,
    need,
    problem,
)  # fmt: skip
from csi_directory.store import Attachment, Record, Store, id_of
from tiphys.csi.errors import AlreadyExists, Exhausted, FailedPrecondition, InvalidArgument, NotFound, OutOfRange, Pending
from tiphys.csi.pb import csi_pb2 as pb

DEFAULT_SIZE, UNIT = 1 << 30, 1 << 20
"""Size of a volume unless asked otherwise, and what sizes are multiples of."""
SMALLEST_XFS = 300 << 20
_RPC = pb.ControllerServiceCapability.RPC
_CAPABILITIES = (
    _RPC.CREATE_DELETE_VOLUME, _RPC.PUBLISH_UNPUBLISH_VOLUME, _RPC.LIST_VOLUMES, _RPC.LIST_VOLUMES_PUBLISHED_NODES, _RPC.GET_CAPACITY,
    _RPC.CREATE_DELETE_SNAPSHOT, _RPC.LIST_SNAPSHOTS, _RPC.CLONE_VOLUME, _RPC.PUBLISH_READONLY, _RPC.EXPAND_VOLUME, _RPC.VOLUME_CONDITION,
    _RPC.GET_VOLUME, _RPC.SINGLE_NODE_MULTI_WRITER, _RPC.MODIFY_VOLUME,
)  # fmt: skip


class Controller:
    """Verbs of the controller; `zone` is where volumes are made that may be anywhere."""

    def __init__(self, store: Store, *, zone: str = "") -> None:
        self.store = store
        self.zone = zone
        store.sweep()

    def controller_get_capabilities(self, request: pb.ControllerGetCapabilitiesRequest) -> pb.ControllerGetCapabilitiesResponse:
        return pb.ControllerGetCapabilitiesResponse(
            capabilities=[pb.ControllerServiceCapability(rpc=_RPC(type=kind)) for kind in _CAPABILITIES]
        )

    # -- volumes

    def create_volume(self, request: pb.CreateVolumeRequest) -> pb.CreateVolumeResponse:
        need(name=request.name, volume_capabilities=request.volume_capabilities)
        backing = _backing(request.parameters)
        for capability in request.volume_capabilities:
            check_capability(capability, backing)
        check_mutable(dict(request.mutable_parameters))
        origin = request.volume_content_source
        source_id = origin.snapshot.snapshot_id or origin.volume.volume_id
        if request.HasField("volume_content_source"):
            need(volume_content_source=source_id)
        id = id_of("v", request.name)
        with self.store.locked(id, *([source_id] if source_id else [])):
            try:
                volume = self.store.load(id)
            except NotFound:
                source = self.store.load(source_id, "s" if origin.snapshot.snapshot_id else "v") if source_id else None
                if source and source.backing != backing:
                    raise InvalidArgument(f"the source is a {source.backing}: ask for the same backing") from None
                if source and 0 < request.capacity_range.required_bytes < source.size:
                    raise OutOfRange(f"the source has {source.size} bytes") from None
                smallest = SMALLEST_XFS if any(one.mount.fs_type == "xfs" for one in request.volume_capabilities) else UNIT
                default = source.size if source else DEFAULT_SIZE
                volume = Record(
                    id=id,
                    name=request.name,
                    backing=backing,
                    source=source_id,
                    zone=self._zone_for(request.accessibility_requirements),
                    size=_size(request.capacity_range, max(smallest, source.size if source else 0), default),
                    parameters=dict(request.mutable_parameters),
                )
                self.store.create(volume, source)
            else:
                self._check_compatible(volume, request, backing, source_id)
        return pb.CreateVolumeResponse(volume=_volume(volume))

    def _check_compatible(self, volume: Record, request: pb.CreateVolumeRequest, backing: str, source_id: str) -> None:
        sizes, zones = request.capacity_range, _zones(request.accessibility_requirements.requisite)
        fits = sizes.required_bytes <= volume.size and (not sizes.limit_bytes or volume.size <= sizes.limit_bytes)
        if not fits or volume.backing != backing or volume.source != source_id or (zones and volume.zone not in zones):
            raise AlreadyExists(f"there is another volume {volume.name[:200]!r}, of {volume.size} bytes")

    def _zone_for(self, requirement: pb.TopologyRequirement) -> str:
        """Return the zone to make a volume in: the first choice that has a node. Raises Exhausted when there is none."""
        choices = [*_zones(requirement.preferred), *_zones(requirement.requisite)]
        if not choices and not requirement.requisite and not requirement.preferred:
            return self.zone
        known = {node.zone for node in self.store.nodes().values()} | {self.zone}
        for zone in choices:
            if zone in known:
                return zone
        raise Exhausted(f"no node is in the zones {', '.join(choices)[:200]}")

    def delete_volume(self, request: pb.DeleteVolumeRequest) -> pb.DeleteVolumeResponse:
        need(volume_id=request.volume_id)
        self._remove(request.volume_id, "v")
        return pb.DeleteVolumeResponse()

    def _remove(self, id: str, kind: str) -> None:
        with self.store.locked(id):
            try:
                if self.store.folder(id).exists() and (nodes := self.store.load(id, kind).attachments):
                    raise FailedPrecondition(f"{id} is attached to {', '.join(nodes)}")
            except NotFound:
                return
            self.store.remove(id)

    def validate_volume_capabilities(self, request: pb.ValidateVolumeCapabilitiesRequest) -> pb.ValidateVolumeCapabilitiesResponse:
        need(volume_id=request.volume_id, volume_capabilities=request.volume_capabilities)
        volume = self.store.load(request.volume_id, "v")
        for capability in request.volume_capabilities:
            if reason := problem(capability, volume.backing):
                return pb.ValidateVolumeCapabilitiesResponse(message=reason)
        return pb.ValidateVolumeCapabilitiesResponse(
            confirmed=pb.ValidateVolumeCapabilitiesResponse.Confirmed(
                volume_context=request.volume_context,
                volume_capabilities=request.volume_capabilities,
                parameters=request.parameters,
                mutable_parameters=request.mutable_parameters,
            )
        )

    def list_volumes(self, request: pb.ListVolumesRequest) -> pb.ListVolumesResponse:
        page, token = _page(self.store.records("v"), request.max_entries, request.starting_token)
        answer = pb.ListVolumesResponse(next_token=token)
        for volume in page:
            status = pb.ListVolumesResponse.VolumeStatus(
                published_node_ids=sorted(volume.attachments), volume_condition=condition(self.store, volume)
            )
            answer.entries.add(volume=_volume(volume), status=status)
        return answer

    def controller_get_volume(self, request: pb.ControllerGetVolumeRequest) -> pb.ControllerGetVolumeResponse:
        need(volume_id=request.volume_id)
        volume = self.store.load(request.volume_id, "v")
        status = pb.ControllerGetVolumeResponse.VolumeStatus(
            published_node_ids=sorted(volume.attachments), volume_condition=condition(self.store, volume)
        )
        return pb.ControllerGetVolumeResponse(volume=_volume(volume), status=status)

    def get_capacity(self, request: pb.GetCapacityRequest) -> pb.GetCapacityResponse:
        backing = _backing(request.parameters)
        zone = request.accessible_topology.segments.get(ZONE, self.zone)
        is_known = zone == self.zone or any(node.zone == zone for node in self.store.nodes().values())
        if not is_known or any(problem(capability, backing) for capability in request.volume_capabilities):
            return pb.GetCapacityResponse(available_capacity=0)
        room = self.store.available()
        return pb.GetCapacityResponse(
            available_capacity=room, maximum_volume_size=Int64Value(value=room), minimum_volume_size=Int64Value(value=UNIT)
        )

    def controller_expand_volume(self, request: pb.ControllerExpandVolumeRequest) -> pb.ControllerExpandVolumeResponse:
        need(volume_id=request.volume_id, capacity_range=request.HasField("capacity_range"))
        with self.store.locked(request.volume_id):
            volume = self.store.load(request.volume_id, "v")
            size = _size(request.capacity_range, volume.size, volume.size)
            with self.store.locked("capacity", wait=True):
                if size - volume.size > (room := self.store.available()):
                    raise OutOfRange(f"{size} bytes do not fit: {room} more bytes are available")
                volume.size = size
                self.store.save(volume)
            if volume.backing == "disk":
                os.truncate(self.store.folder(volume.id) / "disk", size)
        return pb.ControllerExpandVolumeResponse(capacity_bytes=size, node_expansion_required=volume.backing == "disk")

    def controller_modify_volume(self, request: pb.ControllerModifyVolumeRequest) -> pb.ControllerModifyVolumeResponse:
        need(volume_id=request.volume_id)
        check_mutable(dict(request.mutable_parameters))
        with self.store.locked(request.volume_id):
            volume = self.store.load(request.volume_id, "v")
            volume.parameters |= request.mutable_parameters
            self.store.save(volume)
        return pb.ControllerModifyVolumeResponse()

    # -- attachments

    def controller_publish_volume(self, request: pb.ControllerPublishVolumeRequest) -> pb.ControllerPublishVolumeResponse:
        need(volume_id=request.volume_id, node_id=request.node_id, volume_capability=request.HasField("volume_capability"))
        with self.store.locked(request.volume_id), self.store.locked(f"node {request.node_id}", wait=True):
            volume = self.store.load(request.volume_id, "v")
            check_capability(request.volume_capability, volume.backing)
            node = self.store.nodes().get(request.node_id)
            if node is None:
                raise NotFound(f"there is no node {request.node_id[:200]!r}")
            mode = request.volume_capability.access_mode.mode
            new = Attachment(mode, readonly=request.readonly or mode in READ_ONLY)
            if (old := volume.attachments.get(node.id)) is None:
                self._check_attachable(volume, node.id, node.zone, new)
                attached = sum(node.id in other.attachments for other in self.store.records("v"))
                if 0 < node.max_volumes <= attached:
                    raise Exhausted(f"{node.id} has {attached} volumes, which is as many as it takes")
                volume.attachments[node.id] = new
                self.store.save(volume)
            elif old != new:
                raise AlreadyExists(f"the volume is attached to {node.id} in another way")
        return pb.ControllerPublishVolumeResponse(publish_context={"readonly": str(new.readonly).lower()})

    def _check_attachable(self, volume: Record, node: str, zone: str, new: Attachment) -> None:
        if volume.zone and volume.zone != zone:
            raise FailedPrecondition(f"the volume is in zone {volume.zone!r} and the node {node} in {zone!r}")
        for other, old in volume.attachments.items():
            if new.mode in SINGLE_NODE or old.mode in SINGLE_NODE:
                raise FailedPrecondition(f"the volume is attached to {other} already")
            if Mode.MULTI_NODE_SINGLE_WRITER in (new.mode, old.mode) and not (new.readonly or old.readonly):
                raise FailedPrecondition(f"the volume is attached to {other} for writing already")

    def controller_unpublish_volume(self, request: pb.ControllerUnpublishVolumeRequest) -> pb.ControllerUnpublishVolumeResponse:
        need(volume_id=request.volume_id)
        with self.store.locked(request.volume_id):
            try:
                volume = self.store.load(request.volume_id, "v")
            except NotFound:
                return pb.ControllerUnpublishVolumeResponse()
            volume.attachments = {node: old for node, old in volume.attachments.items() if request.node_id not in ("", node)}
            self.store.save(volume)
        return pb.ControllerUnpublishVolumeResponse()

    # -- snapshots

    def create_snapshot(self, request: pb.CreateSnapshotRequest) -> pb.CreateSnapshotResponse:
        need(name=request.name, source_volume_id=request.source_volume_id)
        id = id_of("s", request.name)
        with self.store.locked(id, request.source_volume_id):
            try:
                snapshot = self.store.load(id)
            except NotFound:
                source = self.store.load(request.source_volume_id, "v")
                snapshot = Record(
                    id=id,
                    name=request.name,
                    source=source.id,
                    size=source.size,
                    backing=source.backing,
                    zone=source.zone,
                    created=time.time(),
                )
                self.store.create(snapshot, source)
            if snapshot.source != request.source_volume_id:
                raise AlreadyExists(f"there is another snapshot {snapshot.name[:200]!r}, of {snapshot.source}")
        return pb.CreateSnapshotResponse(snapshot=_snapshot(snapshot))

    def delete_snapshot(self, request: pb.DeleteSnapshotRequest) -> pb.DeleteSnapshotResponse:
        need(snapshot_id=request.snapshot_id)
        self._remove(request.snapshot_id, "s")
        return pb.DeleteSnapshotResponse()

    def list_snapshots(self, request: pb.ListSnapshotsRequest) -> pb.ListSnapshotsResponse:
        chosen = [
            snapshot
            for snapshot in self.store.records("s")
            if request.snapshot_id in ("", snapshot.id) and request.source_volume_id in ("", snapshot.source)
        ]
        page, token = _page(chosen, request.max_entries, request.starting_token)
        entries = [pb.ListSnapshotsResponse.Entry(snapshot=_snapshot(snapshot)) for snapshot in page]
        return pb.ListSnapshotsResponse(entries=entries, next_token=token)


def condition(store: Store, volume: Record) -> pb.VolumeCondition:
    """Return whether the content of a volume is where it should be."""
    content = store.folder(volume.id) / ("disk" if volume.backing == "disk" else "data")
    if not content.exists():
        return pb.VolumeCondition(abnormal=True, message=f"the {volume.backing} of the volume is missing")
    if volume.backing == "disk" and content.stat().st_size < volume.size:
        return pb.VolumeCondition(abnormal=True, message="the disk is smaller than the volume")
    return pb.VolumeCondition(message="the volume is well")


def _backing(parameters: object) -> Literal["directory", "disk"]:
    options = {key: value for key, value in dict(parameters).items() if not key.startswith("csi.storage.k8s.io/")}  # type: ignore[call-overload]
    backing: Literal["directory", "disk"] = options.pop("backing", "disk")
    if options or backing not in ("directory", "disk"):
        raise InvalidArgument("the only parameter is backing: disk or directory")
    return backing


def _size(sizes: pb.CapacityRange, smallest: int, default: int) -> int:
    """Return the size for a range: a multiple of UNIT, `default` if nothing is required. Raises InvalidArgument and OutOfRange."""
    required, limit = sizes.required_bytes, sizes.limit_bytes
    if required < 0 or limit < 0 or 0 < limit < required:
        raise InvalidArgument("the capacity range is empty or negative")
    size = -(-max(required or default, smallest) // UNIT) * UNIT
    if 0 < limit < size:
        size = limit // UNIT * UNIT
    if size < max(required, smallest) or size >= 1 << 62:
        raise OutOfRange(f"no size between {required} and {limit} fits: the smallest is {smallest} and sizes are multiples of {UNIT}")
    return size


def _zones(topologies: Sequence[pb.Topology]) -> list[str]:
    return [topology.segments[ZONE] for topology in topologies if ZONE in topology.segments]


def _page(records: list[Record], count: int, token: str) -> tuple[list[Record], str]:
    """Return a page that begins with the identifier `token`, and the token of the next page."""
    if count < 0:
        raise InvalidArgument("max_entries is negative")
    if token and not any(record.id == token for record in records):
        raise Pending("starting_token is none that was handed out, or what it stood for is gone: begin anew")
    rest = [record for record in records if record.id >= token]
    return (rest[:count], rest[count].id) if 0 < count < len(rest) else (rest, "")


def _volume(volume: Record) -> pb.Volume:
    message = pb.Volume(volume_id=volume.id, capacity_bytes=volume.size, volume_context={"backing": volume.backing})
    if volume.source.startswith("s-"):
        message.content_source.snapshot.snapshot_id = volume.source
    elif volume.source:
        message.content_source.volume.volume_id = volume.source
    if volume.zone:
        message.accessible_topology.add(segments={ZONE: volume.zone})
    return message


def _snapshot(snapshot: Record) -> pb.Snapshot:
    message = pb.Snapshot(snapshot_id=snapshot.id, source_volume_id=snapshot.source, size_bytes=snapshot.size, ready_to_use=True)
    message.creation_time.FromMicroseconds(int(snapshot.created * 1e6))
    return message
