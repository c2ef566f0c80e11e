"""The driver: verbs of the Container Storage Interface over `storage.py` and `staging.py`, one at a time for each volume.

A verb runs in a thread. When its caller gives up, the thread ends its work all the same, and until then the volume is busy (ABORTED).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf.wrappers_pb2 import BoolValue

import tiphys
from tiphys.csi.checks import absolute_path, required_field
from tiphys.csi.driver import Driver
from tiphys.csi.errors import (
    AlreadyExists,
    CsiError,
    Exhausted,
    Failed,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    Pending,
)
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.node.local_path import answers, staging
from tiphys.node.local_path.programs import ProgramError
from tiphys.node.local_path.records import Damaged, Record, volume_id
from tiphys.node.local_path.request import VolumeRequest, check_capabilities, check_capability, mount_options, parse_request
from tiphys.node.local_path.settings import NAME, TOPOLOGY_KEY
from tiphys.node.local_path.staging import NotStaged, PublishedDifferently
from tiphys.node.local_path.storage import InUse, NoRoom, Storage

log = logging.getLogger(__name__)

T = TypeVar("T")
_MOST_THREADS = 16
"""Number of volumes that are worked on at once."""


class LocalPathDriver(Driver):
    """Driver of the volumes below one directory of this node. The directory is made at the first use."""

    def __init__(self, root: Path, *, node: str, overcommit: bool = False) -> None:
        self._root = root
        self._node = node
        self._overcommit = overcommit
        self._storage: Storage | None = None
        self._opening = asyncio.Lock()
        self._busy: dict[str, asyncio.Future[Any]] = {}
        self._threads = _threads()

    async def close(self) -> None:
        """Wait for the work in hand, and close the directory."""
        if self._busy:
            await asyncio.wait(self._busy.values())
        if self._storage is not None:
            self._storage.close()
            self._storage = None
        self._threads.shutdown(wait=False)
        # Threads begin with the first work: the next call opens the directory again.
        self._threads = _threads()

    async def start(self) -> None:
        """Open the storage and put right what a crash left. Raises CsiError."""
        await self._opened()

    # -- identity

    async def GetPluginInfo(self, request: pb.GetPluginInfoRequest) -> pb.GetPluginInfoResponse:
        return pb.GetPluginInfoResponse(name=NAME, vendor_version=tiphys.__version__)

    async def GetPluginCapabilities(self, request: pb.GetPluginCapabilitiesRequest) -> pb.GetPluginCapabilitiesResponse:
        return answers.plugin_capabilities()

    async def Probe(self, request: pb.ProbeRequest) -> pb.ProbeResponse:
        await self._opened()
        return pb.ProbeResponse(ready=BoolValue(value=True))

    # -- controller

    async def ControllerGetCapabilities(self, request: pb.ControllerGetCapabilitiesRequest) -> pb.ControllerGetCapabilitiesResponse:
        return answers.controller_capabilities()

    async def CreateVolume(self, request: pb.CreateVolumeRequest) -> pb.CreateVolumeResponse:
        desired = parse_request(request, self._node)
        parameters = dict(request.parameters)
        record = await self._on(volume_id(request.name), lambda storage: _create(storage, desired, parameters))
        return pb.CreateVolumeResponse(volume=answers.volume(record, self._node))

    async def DeleteVolume(self, request: pb.DeleteVolumeRequest) -> pb.DeleteVolumeResponse:
        identity = required_field(request.volume_id, "volume_id")
        await self._on(identity, lambda storage: storage.remove(identity))
        return pb.DeleteVolumeResponse()

    async def ValidateVolumeCapabilities(self, request: pb.ValidateVolumeCapabilitiesRequest) -> pb.ValidateVolumeCapabilitiesResponse:
        identity = required_field(request.volume_id, "volume_id")
        if not request.volume_capabilities:
            raise InvalidArgument("volume_capabilities is required")
        record = await self._on(identity, lambda storage: _known(storage, identity))
        try:
            check_capabilities(request.volume_capabilities, record)
        except InvalidArgument as error:
            return pb.ValidateVolumeCapabilitiesResponse(message=error.message)
        return answers.confirmed(request)

    async def GetCapacity(self, request: pb.GetCapacityRequest) -> pb.GetCapacityResponse:
        if request.HasField("accessible_topology"):
            node = request.accessible_topology.segments.get(TOPOLOGY_KEY, self._node)
            if node != self._node:
                return pb.GetCapacityResponse(available_capacity=0)
        storage = await self._opened()
        return answers.capacity((await self._in_thread(storage.room)).available)

    async def ControllerExpandVolume(self, request: pb.ControllerExpandVolumeRequest) -> pb.ControllerExpandVolumeResponse:
        identity = required_field(request.volume_id, "volume_id")
        size = answers.expanded_size(request.capacity_range)
        record = await self._on(identity, lambda storage: storage.expand(_known(storage, identity), size))
        return pb.ControllerExpandVolumeResponse(capacity_bytes=record.capacity, node_expansion_required=True)

    # -- node

    async def NodeGetCapabilities(self, request: pb.NodeGetCapabilitiesRequest) -> pb.NodeGetCapabilitiesResponse:
        return answers.node_capabilities()

    async def NodeGetInfo(self, request: pb.NodeGetInfoRequest) -> pb.NodeGetInfoResponse:
        return pb.NodeGetInfoResponse(node_id=self._node, accessible_topology=answers.topology(self._node))

    async def NodeStageVolume(self, request: pb.NodeStageVolumeRequest) -> pb.NodeStageVolumeResponse:
        identity, target = required_field(request.volume_id, "volume_id"), absolute_path(request.staging_target_path, "staging_target_path")
        capability = _capability(request)
        options = mount_options(capability)
        read_only = "ro" in options or answers.is_read_only(capability)

        def work(storage: Storage) -> None:
            record = _known(storage, identity)
            check_capability(capability, record)
            staging.stage(storage, record, target, options, read_only=read_only)

        await self._on(identity, work)
        return pb.NodeStageVolumeResponse()

    async def NodeUnstageVolume(self, request: pb.NodeUnstageVolumeRequest) -> pb.NodeUnstageVolumeResponse:
        identity, target = required_field(request.volume_id, "volume_id"), absolute_path(request.staging_target_path, "staging_target_path")
        await self._on(identity, lambda storage: staging.unstage(storage, storage.records.read(identity), target))
        return pb.NodeUnstageVolumeResponse()

    async def NodePublishVolume(self, request: pb.NodePublishVolumeRequest) -> pb.NodePublishVolumeResponse:
        identity, target = required_field(request.volume_id, "volume_id"), absolute_path(request.target_path, "target_path")
        capability = _capability(request)
        if not request.staging_target_path:
            raise FailedPrecondition("staging_target_path is required")
        staged = Path(request.staging_target_path)
        read_only, alone = request.readonly or answers.is_read_only(capability), answers.is_alone(capability)

        def work(storage: Storage) -> None:
            record = _known(storage, identity)
            check_capability(capability, record)
            staging.publish(storage, record, staged, target, read_only=read_only, alone=alone)

        await self._on(identity, work)
        return pb.NodePublishVolumeResponse()

    async def NodeUnpublishVolume(self, request: pb.NodeUnpublishVolumeRequest) -> pb.NodeUnpublishVolumeResponse:
        identity, target = required_field(request.volume_id, "volume_id"), absolute_path(request.target_path, "target_path")
        await self._on(identity, lambda storage: staging.unpublish(storage, target))
        return pb.NodeUnpublishVolumeResponse()

    async def NodeGetVolumeStats(self, request: pb.NodeGetVolumeStatsRequest) -> pb.NodeGetVolumeStatsResponse:
        identity, path = required_field(request.volume_id, "volume_id"), absolute_path(request.volume_path, "volume_path")
        storage = await self._opened()
        try:
            # Beside whatever else is done with the volume: it changes nothing.
            use = await self._in_thread(lambda: staging.measure(storage, _known(storage, identity), path))
        except FailedPrecondition as error:
            raise NotFound(error.message) from error
        return answers.stats(use)

    async def NodeExpandVolume(self, request: pb.NodeExpandVolumeRequest) -> pb.NodeExpandVolumeResponse:
        identity = required_field(request.volume_id, "volume_id")
        path = absolute_path(request.staging_target_path or request.volume_path, "volume_path")
        record = await self._on(identity, lambda storage: staging.grow(storage, _known(storage, identity), path))
        return pb.NodeExpandVolumeResponse(capacity_bytes=record.capacity)

    # -- work

    async def _opened(self) -> Storage:
        async with self._opening:
            if self._storage is None:
                self._storage = await self._in_thread(self._open)
            return self._storage

    def _open(self) -> Storage:
        storage = Storage(self._root, overcommit=self._overcommit)
        for problem in storage.recover():
            log.warning("a volume needs attention", extra={"problem": problem})
        return storage

    def _in_thread(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Do something in a thread of this driver: a disk that hangs takes none from the rest of the node."""
        return asyncio.get_running_loop().run_in_executor(self._threads, _checked, work)

    async def _on(self, identity: str, work: Callable[[Storage], T]) -> T:
        """Do something with a volume in a thread, alone."""
        storage = await self._opened()
        if identity in self._busy:
            raise Pending(f"another request for volume {identity} is being carried out")
        future = self._in_thread(lambda: work(storage))
        self._busy[identity] = future
        future.add_done_callback(lambda _: self._busy.pop(identity, None))
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            # Its error is nobody's any more; the caller comes again.
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise


def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_MOST_THREADS, "local-path")


def _create(storage: Storage, desired: VolumeRequest, parameters: dict[str, str]) -> Record:
    identity = volume_id(desired.name)
    present = storage.records.read(identity)
    if present is not None:
        if problem := desired.mismatch(present):
            raise AlreadyExists(f"volume {identity} exists already, but {problem}")
        return present
    source = _known(storage, desired.source) if desired.source else None
    return storage.create(desired.record(identity, source), parameters)


def _known(storage: Storage, identity: str) -> Record:
    record = storage.records.read(identity)
    if record is None:
        raise NotFound(f"volume {identity} is not on this node")
    return record


def _checked(work: Callable[[], T]) -> T:
    """Do work, with errors as those of the interface."""
    try:
        return work()
    except CsiError:
        raise
    except NoRoom as error:
        raise Exhausted(str(error)) from error
    except PublishedDifferently as error:
        raise AlreadyExists(str(error)) from error
    except (InUse, NotStaged) as error:
        raise FailedPrecondition(str(error)) from error
    except (Damaged, ProgramError, OSError) as error:
        raise Failed(str(error)) from error


def _capability(request: pb.NodeStageVolumeRequest | pb.NodePublishVolumeRequest) -> pb.VolumeCapability:
    if not request.HasField("volume_capability"):
        raise InvalidArgument("volume_capability is required")
    return request.volume_capability
