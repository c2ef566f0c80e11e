"""Answers of the driver: capabilities, volumes, use. Pure."""

from __future__ import annotations

from tiphys.csi.errors import InvalidArgument, OutOfRange
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.node.local_path.records import Record
from tiphys.node.local_path.request import rounded, size_range
from tiphys.node.local_path.settings import TOPOLOGY_KEY
from tiphys.node.local_path.staging import Use
from tiphys.node.local_path.storage import SMALLEST

_Controller, _Node, _Plugin = pb.ControllerServiceCapability, pb.NodeServiceCapability, pb.PluginCapability
_READ_ONLY = (pb.VolumeCapability.AccessMode.SINGLE_NODE_READER_ONLY, pb.VolumeCapability.AccessMode.MULTI_NODE_READER_ONLY)


def plugin_capabilities() -> pb.GetPluginCapabilitiesResponse:
    """Return that there is a controller, that volumes are bound to nodes, and that they grow in use."""
    services = (_Plugin.Service.CONTROLLER_SERVICE, _Plugin.Service.VOLUME_ACCESSIBILITY_CONSTRAINTS)
    capabilities = [_Plugin(service=_Plugin.Service(type=type_)) for type_ in services]
    growth = _Plugin(volume_expansion=_Plugin.VolumeExpansion(type=_Plugin.VolumeExpansion.ONLINE))
    return pb.GetPluginCapabilitiesResponse(capabilities=[*capabilities, growth])


def controller_capabilities() -> pb.ControllerGetCapabilitiesResponse:
    """Return the verbs of the controller."""
    types = (
        _Controller.RPC.CREATE_DELETE_VOLUME,
        _Controller.RPC.GET_CAPACITY,
        _Controller.RPC.CLONE_VOLUME,
        _Controller.RPC.EXPAND_VOLUME,
        _Controller.RPC.SINGLE_NODE_MULTI_WRITER,
    )
    return pb.ControllerGetCapabilitiesResponse(capabilities=[_Controller(rpc=_Controller.RPC(type=type_)) for type_ in types])


def node_capabilities() -> pb.NodeGetCapabilitiesResponse:
    """Return the verbs on nodes."""
    types = (
        _Node.RPC.STAGE_UNSTAGE_VOLUME,
        _Node.RPC.GET_VOLUME_STATS,
        _Node.RPC.EXPAND_VOLUME,
        _Node.RPC.VOLUME_CONDITION,
        _Node.RPC.SINGLE_NODE_MULTI_WRITER,
    )
    return pb.NodeGetCapabilitiesResponse(capabilities=[_Node(rpc=_Node.RPC(type=type_)) for type_ in types])


def topology(node: str) -> pb.Topology:
    """Return the place of a node's volumes."""
    return pb.Topology(segments={TOPOLOGY_KEY: node})


def volume(record: Record, node: str) -> pb.Volume:
    """Return a volume as CreateVolume answers."""
    answer = pb.Volume(volume_id=record.id, capacity_bytes=record.capacity, accessible_topology=[topology(node)])
    if record.source:
        answer.content_source.volume.volume_id = record.source
    return answer


def confirmed(request: pb.ValidateVolumeCapabilitiesRequest) -> pb.ValidateVolumeCapabilitiesResponse:
    """Return that a volume has all capabilities of a request."""
    answer = pb.ValidateVolumeCapabilitiesResponse.Confirmed(
        volume_context=request.volume_context, volume_capabilities=request.volume_capabilities, parameters=request.parameters
    )
    return pb.ValidateVolumeCapabilitiesResponse(confirmed=answer)


def capacity(available: int) -> pb.GetCapacityResponse:
    """Return the room for new volumes, in bytes; one volume may take all of it."""
    answer = pb.GetCapacityResponse(available_capacity=available)
    answer.maximum_volume_size.value = available
    answer.minimum_volume_size.value = SMALLEST["ext4"]
    return answer


def expanded_size(value: pb.CapacityRange) -> int:
    """Return the size that a volume grows to. Raises InvalidArgument, OutOfRange."""
    required, limit = size_range(value)
    if not required and not limit:
        raise InvalidArgument("capacity_range is required")
    size = rounded(required)
    if limit and size > limit:
        raise OutOfRange(f"the smallest volume that serves has {size} bytes, the limit is {limit}")
    return size


def is_read_only(capability: pb.VolumeCapability) -> bool:
    """Return whether an access mode only reads."""
    return capability.access_mode.mode in _READ_ONLY


def is_alone(capability: pb.VolumeCapability) -> bool:
    """Return whether an access mode is for one pod alone."""
    return capability.access_mode.mode == pb.VolumeCapability.AccessMode.SINGLE_NODE_SINGLE_WRITER


def stats(use: Use) -> pb.NodeGetVolumeStatsResponse:
    """Return how much of a volume is used, and its condition."""
    unit = pb.VolumeUsage
    usage = [unit(unit=unit.BYTES, total=use.size, used=use.used, available=use.available)]
    if use.inodes:
        usage.append(unit(unit=unit.INODES, total=use.inodes, used=use.inodes_used, available=use.inodes_free))
    condition = pb.VolumeCondition(abnormal=bool(use.problem), message=use.problem or "the volume is usable")
    return pb.NodeGetVolumeStatsResponse(usage=usage, volume_condition=condition)
