"""The driver: verbs of the Container Storage Interface for directories of NFS shares.

What it knows is in the handles and on the shares, so any node can carry out any verb. One verb at a time changes a volume; when its caller
gives up, the work goes on to its end, and until then the volume is busy (ABORTED).
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf.wrappers_pb2 import BoolValue

import tiphys
from tiphys.csi.checks import absolute_path, access_type, required_field
from tiphys.csi.driver import Driver
from tiphys.csi.errors import AlreadyExists, Deadline, Failed, InvalidArgument, NotFound, OutOfRange, Pending
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.node.nfs_class.settings import NAME, NfsVolume, parse_handle, volume_of
from tiphys.node.nfs_class.shares import Shares
from tiphys.node.volumes import mounts
from tiphys.node.volumes.nfs import NfsMounts, is_mounted
from tiphys.node.volumes.payload import VolumeError
from tiphys.node.volumes.plugin import UncertainError
from tiphys.node.volumes.supervised import DeadlineError

_Controller, _Node, _Plugin, _Mode = pb.ControllerServiceCapability, pb.NodeServiceCapability, pb.PluginCapability, pb.VolumeCapability
_READ_ONLY = (_Mode.AccessMode.SINGLE_NODE_READER_ONLY, _Mode.AccessMode.MULTI_NODE_READER_ONLY)
T = TypeVar("T")


class NfsDriver(Driver):
    """Driver of the directories of NFS shares, which are mounted below `root` to make and to remove them. `node` is the node's name."""

    def __init__(self, root: Path, nfs: NfsMounts, *, node: str) -> None:
        self.nfs = nfs
        self.shares = Shares(root, nfs)
        self._node = node
        self._busy: dict[str, asyncio.Task[Any]] = {}

    async def close(self) -> None:
        """Wait for the work in hand: it has deadlines."""
        if self._busy:
            await asyncio.wait(self._busy.values())

    # -- identity

    async def GetPluginInfo(self, request: pb.GetPluginInfoRequest) -> pb.GetPluginInfoResponse:
        return pb.GetPluginInfoResponse(name=NAME, vendor_version=tiphys.__version__)

    async def GetPluginCapabilities(self, request: pb.GetPluginCapabilitiesRequest) -> pb.GetPluginCapabilitiesResponse:
        controller = _Plugin(service=_Plugin.Service(type=_Plugin.Service.CONTROLLER_SERVICE))
        return pb.GetPluginCapabilitiesResponse(capabilities=[controller])

    async def Probe(self, request: pb.ProbeRequest) -> pb.ProbeResponse:
        return pb.ProbeResponse(ready=BoolValue(value=True))

    # -- controller

    async def ControllerGetCapabilities(self, request: pb.ControllerGetCapabilitiesRequest) -> pb.ControllerGetCapabilitiesResponse:
        return pb.ControllerGetCapabilitiesResponse(
            capabilities=[_Controller(rpc=_Controller.RPC(type=_Controller.RPC.CREATE_DELETE_VOLUME))]
        )

    async def CreateVolume(self, request: pb.CreateVolumeRequest) -> pb.CreateVolumeResponse:
        if not request.name or len(request.name) > 128:
            raise InvalidArgument("name is required and may have 128 characters")
        _check_capabilities(request.volume_capabilities)
        if request.mutable_parameters:
            raise InvalidArgument(f"unknown parameters: {', '.join(sorted(request.mutable_parameters))}")
        if request.HasField("volume_content_source"):
            raise InvalidArgument("volumes are made empty: there are neither copies nor snapshots")
        required, limit = _size_range(request.capacity_range)
        options = list(dict.fromkeys(flag for capability in request.volume_capabilities for flag in capability.mount.mount_flags))
        volume, mode = volume_of(request.name, request.parameters, options)
        shared = "shared" if volume.on_delete == "retain" else "own"
        words = (volume.directory, volume.name, str(required), str(limit), f"{mode:o}", shared)
        size = await self._alone(volume.name, self.shares.call(volume.export, volume.options, "make", *words))
        context = {"server": volume.server, "share": volume.share, "subDir": volume.directory}
        return pb.CreateVolumeResponse(volume=pb.Volume(volume_id=volume.handle, capacity_bytes=int(size), volume_context=context))

    async def DeleteVolume(self, request: pb.DeleteVolumeRequest) -> pb.DeleteVolumeResponse:
        volume = parse_handle(required_field(request.volume_id, "volume_id"))
        if volume is not None:
            work = self.shares.call(volume.export, volume.options, volume.on_delete, volume.directory, volume.name)
            await self._alone(volume.name, work)
        return pb.DeleteVolumeResponse()

    async def ValidateVolumeCapabilities(self, request: pb.ValidateVolumeCapabilitiesRequest) -> pb.ValidateVolumeCapabilitiesResponse:
        identity = required_field(request.volume_id, "volume_id")
        if not request.volume_capabilities:
            raise InvalidArgument("volume_capabilities is required")
        volume = _known(identity)
        await self._alone(volume.name, self.shares.call(volume.export, volume.options, "find", volume.directory, volume.name))
        try:
            _check_capabilities(request.volume_capabilities)
        except InvalidArgument as error:
            return pb.ValidateVolumeCapabilitiesResponse(message=error.message)
        confirmed = pb.ValidateVolumeCapabilitiesResponse.Confirmed(
            volume_context=request.volume_context, volume_capabilities=request.volume_capabilities, parameters=request.parameters
        )
        return pb.ValidateVolumeCapabilitiesResponse(confirmed=confirmed)

    # -- node

    async def NodeGetCapabilities(self, request: pb.NodeGetCapabilitiesRequest) -> pb.NodeGetCapabilitiesResponse:
        return pb.NodeGetCapabilitiesResponse(capabilities=[_Node(rpc=_Node.RPC(type=_Node.RPC.GET_VOLUME_STATS))])

    async def NodeGetInfo(self, request: pb.NodeGetInfoRequest) -> pb.NodeGetInfoResponse:
        return pb.NodeGetInfoResponse(node_id=self._node)

    async def NodePublishVolume(self, request: pb.NodePublishVolumeRequest) -> pb.NodePublishVolumeResponse:
        identity, target = required_field(request.volume_id, "volume_id"), absolute_path(request.target_path, "target_path")
        if not request.HasField("volume_capability"):
            raise InvalidArgument("volume_capability is required")
        _check_capabilities([request.volume_capability])
        volume = _known(identity)
        options = list(dict.fromkeys(request.volume_capability.mount.mount_flags))
        if request.readonly or request.volume_capability.access_mode.mode in _READ_ONLY:
            options = [*(option for option in options if option not in ("rw", "ro")), "ro"]
        present = await asyncio.to_thread(mounts.options_of, target)
        if present and ("ro" in present) != ("ro" in options):
            raise AlreadyExists(f"the volume is mounted at {target} already, {'read-only' if 'ro' in present else 'for writing'}")
        await self._alone(str(target), _checked(self.nfs.mount(volume.own_export, target, options)))
        return pb.NodePublishVolumeResponse()

    async def NodeUnpublishVolume(self, request: pb.NodeUnpublishVolumeRequest) -> pb.NodeUnpublishVolumeResponse:
        required_field(request.volume_id, "volume_id")
        target = absolute_path(request.target_path, "target_path")
        await self._alone(str(target), _checked(self.nfs.unmount(target)))
        return pb.NodeUnpublishVolumeResponse()

    async def NodeGetVolumeStats(self, request: pb.NodeGetVolumeStatsRequest) -> pb.NodeGetVolumeStatsResponse:
        identity, path = required_field(request.volume_id, "volume_id"), absolute_path(request.volume_path, "volume_path")
        _known(identity)
        if not await asyncio.to_thread(is_mounted, path):
            raise NotFound(f"nothing is mounted at {path}")
        use = await _checked(self.nfs.measure(str(path)))
        unit = pb.VolumeUsage
        usage = [unit(unit=unit.BYTES, total=use.capacity, used=use.used, available=use.available)]
        if use.inodes:
            usage.append(unit(unit=unit.INODES, total=use.inodes, used=use.inodes_used, available=use.inodes_free))
        return pb.NodeGetVolumeStatsResponse(usage=usage)

    # -- work

    async def _alone(self, key: str, work: Coroutine[Any, Any, T]) -> T:
        """Do something with a volume to the end, alone."""
        if key in self._busy:
            work.close()
            raise Pending(f"another request for {key} is being carried out")
        task = asyncio.get_running_loop().create_task(work, name=f"nfs volume {key}")
        self._busy[key] = task
        task.add_done_callback(lambda done: self._busy.pop(key, None))
        # Where nobody waits any more, the caller comes again.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(task)


async def _checked(work: Coroutine[Any, Any, T]) -> T:
    """Do work, with errors as those of the interface."""
    try:
        return await work
    except (DeadlineError, UncertainError) as error:
        raise Deadline(str(error)) from error
    except VolumeError as error:
        raise Failed(str(error)) from error


def _known(identity: str) -> NfsVolume:
    volume = parse_handle(identity)
    if volume is None:
        raise NotFound(f"{identity} is no volume of this driver")
    return volume


def _size_range(value: pb.CapacityRange) -> tuple[int, int]:
    required, limit = value.required_bytes, value.limit_bytes
    if required < 0 or limit < 0 or (limit and required > limit):
        raise OutOfRange(f"no volume has at least {required} and at most {limit} bytes")
    return required, limit


def _check_capabilities(capabilities: Iterable[pb.VolumeCapability]) -> None:
    """Raise InvalidArgument for what a directory of a share cannot be used as."""
    chosen = list(capabilities)
    if not chosen:
        raise InvalidArgument("volume_capabilities is required")
    for capability in chosen:
        if access_type(capability) == "block":
            raise InvalidArgument("volume mode Block is not supported: a share has files only")
        if capability.mount.fs_type not in ("", "nfs", "nfs4"):
            raise InvalidArgument(f"file system {capability.mount.fs_type} is not offered: csi.storage.k8s.io/fstype is nfs")
