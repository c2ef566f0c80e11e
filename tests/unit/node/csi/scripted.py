"""A driver for tests that keeps what it holds in memory and does what a test tells it: refuse, hang, die before or after its work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tiphys.csi.driver import Driver
from tiphys.csi.errors import CsiError, InvalidArgument
from tiphys.csi.pb import csi_pb2 as pb

NAME = "scripted.example"
STAGE = pb.NodeServiceCapability.RPC.STAGE_UNSTAGE_VOLUME
ALL: tuple[Any, ...] = tuple(pb.NodeServiceCapability.RPC.Type.values()[1:])

Fault = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Fate of a call: it may do its work or not, and give another answer."""


class ScriptedDriver(Driver):
    """Holds volumes that are staged (handle to path) and published (target to handle); fails when it is asked for what cannot be.

    A published volume is a directory with a file that names it, a block volume a file, since tests have no devices.
    """

    def __init__(self, *features: Any, node_id: str = "node-1", topology: dict[str, str] | None = None, most: int = 0) -> None:
        self.features = list(features or (STAGE,))
        self.node_id, self.topology, self.most = node_id, topology or {}, most
        self.staged: dict[str, str] = {}
        self.published: dict[str, str] = {}
        self.requests: list[Any] = []
        self.faults: dict[str, list[Fault]] = {}
        self.size = 0
        self.wrongs: list[str] = []
        """Requests against the rules of the interface."""
        self.step: Callable[[], None] = lambda: None
        """Called before and after each piece of work."""

    def next(self, verb: str, *faults: Fault) -> None:
        """Let the faults happen to the next calls of a verb."""
        self.faults.setdefault(verb, []).extend(faults)

    def asked(self, verb: str) -> list[Any]:
        """Return the requests of a verb, in order."""
        return [request for request in self.requests if type(request).__name__ == f"{verb}Request"]

    async def _do(self, verb: str, request: Any, work: Callable[[], Any]) -> Any:
        self.requests.append(request)
        self.step()
        waiting = self.faults.get(verb)
        result = await waiting.pop(0)(work) if waiting else work()
        self.step()
        return result

    def _wrong(self, message: str) -> InvalidArgument:
        self.wrongs.append(message)
        return InvalidArgument(message)

    async def NodeGetCapabilities(self, request: pb.NodeGetCapabilitiesRequest) -> pb.NodeGetCapabilitiesResponse:
        one = pb.NodeServiceCapability
        return pb.NodeGetCapabilitiesResponse(capabilities=[one(rpc=one.RPC(type=feature)) for feature in self.features])

    async def NodeGetInfo(self, request: pb.NodeGetInfoRequest) -> pb.NodeGetInfoResponse:
        def work() -> pb.NodeGetInfoResponse:
            topology = pb.Topology(segments=self.topology)
            return pb.NodeGetInfoResponse(node_id=self.node_id, max_volumes_per_node=self.most, accessible_topology=topology)

        answer: pb.NodeGetInfoResponse = await self._do("NodeGetInfo", request, work)
        return answer

    async def NodeStageVolume(self, request: pb.NodeStageVolumeRequest) -> pb.NodeStageVolumeResponse:
        def work() -> pb.NodeStageVolumeResponse:
            assert Path(request.staging_target_path).is_dir()
            if self.staged.setdefault(request.volume_id, request.staging_target_path) != request.staging_target_path:
                raise self._wrong("staged elsewhere")
            return pb.NodeStageVolumeResponse()

        answer: pb.NodeStageVolumeResponse = await self._do("NodeStageVolume", request, work)
        return answer

    async def NodeUnstageVolume(self, request: pb.NodeUnstageVolumeRequest) -> pb.NodeUnstageVolumeResponse:
        def work() -> pb.NodeUnstageVolumeResponse:
            if request.volume_id in self.published.values():
                raise self._wrong("still published")
            self.staged.pop(request.volume_id, None)
            return pb.NodeUnstageVolumeResponse()

        answer: pb.NodeUnstageVolumeResponse = await self._do("NodeUnstageVolume", request, work)
        return answer

    async def NodePublishVolume(self, request: pb.NodePublishVolumeRequest) -> pb.NodePublishVolumeResponse:
        def work() -> pb.NodePublishVolumeResponse:
            target = Path(request.target_path)
            assert target.parent.is_dir()
            if STAGE in self.features and request.staging_target_path != self.staged.get(request.volume_id, ""):
                raise self._wrong("not staged")
            if request.volume_capability.HasField("block"):
                target.touch()
            else:
                target.mkdir(exist_ok=True)
            self.published[request.target_path] = request.volume_id
            return pb.NodePublishVolumeResponse()

        answer: pb.NodePublishVolumeResponse = await self._do("NodePublishVolume", request, work)
        return answer

    async def NodeUnpublishVolume(self, request: pb.NodeUnpublishVolumeRequest) -> pb.NodeUnpublishVolumeResponse:
        def work() -> pb.NodeUnpublishVolumeResponse:
            self.published.pop(request.target_path, None)
            target = Path(request.target_path)
            if target.is_dir():
                target.rmdir()
            else:
                target.unlink(missing_ok=True)
            return pb.NodeUnpublishVolumeResponse()

        answer: pb.NodeUnpublishVolumeResponse = await self._do("NodeUnpublishVolume", request, work)
        return answer

    async def NodeGetVolumeStats(self, request: pb.NodeGetVolumeStatsRequest) -> pb.NodeGetVolumeStatsResponse:
        def work() -> pb.NodeGetVolumeStatsResponse:
            usage = [
                pb.VolumeUsage(unit=pb.VolumeUsage.BYTES, total=10, used=3, available=7),
                pb.VolumeUsage(unit=pb.VolumeUsage.INODES, total=5, used=-1, available=4),
            ]
            return pb.NodeGetVolumeStatsResponse(usage=usage, volume_condition=pb.VolumeCondition(abnormal=True, message="worn out"))

        answer: pb.NodeGetVolumeStatsResponse = await self._do("NodeGetVolumeStats", request, work)
        return answer

    async def NodeExpandVolume(self, request: pb.NodeExpandVolumeRequest) -> pb.NodeExpandVolumeResponse:
        def work() -> pb.NodeExpandVolumeResponse:
            self.size = request.capacity_range.required_bytes
            return pb.NodeExpandVolumeResponse(capacity_bytes=self.size)

        answer: pb.NodeExpandVolumeResponse = await self._do("NodeExpandVolume", request, work)
        return answer


def refuse(error: CsiError) -> Fault:
    """Fail without having done anything."""

    async def fault(work: Callable[[], Any]) -> Any:
        raise error

    return fault


def refuse_after(error: CsiError) -> Fault:
    """Do the work, and answer with an error all the same."""

    async def fault(work: Callable[[], Any]) -> Any:
        work()
        raise error

    return fault


def answer(value: Any) -> Fault:
    """Do the work, and answer with something else."""

    async def fault(work: Callable[[], Any]) -> Any:
        work()
        return value

    return fault


async def hang(work: Callable[[], Any]) -> Any:
    """Never answer."""
    await asyncio.Event().wait()
