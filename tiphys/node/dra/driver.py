"""Client of one driver behind its socket. grpc is imported when the first driver registers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tiphys.node.dra.pb import dra_pb2 as pb

if TYPE_CHECKING:
    from google.protobuf.message import Message

R = TypeVar("R", bound="Message")

VERSIONS = {"v1.DRAPlugin": "k8s.io.kubelet.pkg.apis.dra.v1", "v1beta1.DRAPlugin": "k8s.io.kubelet.pkg.apis.dra.v1beta1"}
"""Versions that a driver registers, newest first, and the packages of their services."""
TIMEOUT = 45.0
"""Seconds that upstream's kubelet waits for a driver."""

_OPTIONS = [("grpc.enable_http_proxy", 0), ("grpc.default_authority", "localhost"), ("grpc.use_local_subchannel_pool", 1)]


class DriverError(Exception):
    """A driver failed, or cannot be reached."""


class Driver:
    """One driver. `prepare` and `unprepare` may be repeated: both are idempotent on the driver's side."""

    def __init__(self, name: str, socket: Path, versions: Sequence[str]) -> None:
        """Take the newest version that both sides know; ValueError if there is none."""
        self.name = name
        self.socket = socket
        package = next((VERSIONS[version] for version in VERSIONS if version in versions), None)
        if package is None:
            raise ValueError(f"none of the versions [{' '.join(versions)}] is supported: {', '.join(VERSIONS)}")
        self._service = f"/{package}.DRAPlugin/"
        self._channel: Any = None

    async def prepare(self, claim: pb.Claim) -> Sequence[pb.Device]:
        """Let the driver prepare a claim; returns its devices. Raises DriverError."""
        answer = await self._call("NodePrepareResources", pb.NodePrepareResourcesRequest(claims=[claim]), pb.NodePrepareResourcesResponse)
        if claim.uid not in answer.claims:
            raise DriverError("NodePrepareResources skipped 1 ResourceClaims")
        result = answer.claims[claim.uid]
        if result.error:
            raise DriverError(f"NodePrepareResources failed for ResourceClaim {claim.name}: {result.error}")
        return result.devices

    async def unprepare(self, claim: pb.Claim) -> None:
        """Let the driver undo what it prepared. Raises DriverError."""
        request = pb.NodeUnprepareResourcesRequest(claims=[claim])
        answer = await self._call("NodeUnprepareResources", request, pb.NodeUnprepareResourcesResponse)
        if claim.uid not in answer.claims:
            raise DriverError("NodeUnprepareResources skipped 1 ResourceClaims")
        if answer.claims[claim.uid].error:
            raise DriverError(f"NodeUnprepareResources failed for ResourceClaim {claim.name}: {answer.claims[claim.uid].error}")

    async def close(self) -> None:
        """Drop the connection; calls under way end with an error."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    async def _call(self, verb: str, request: Message, answer: type[R]) -> R:
        import grpc

        if self._channel is None:
            self._channel = grpc.aio.insecure_channel(f"unix://{self.socket}", options=_OPTIONS)
        method = self._channel.unary_unary(
            f"{self._service}{verb}", request_serializer=type(request).SerializeToString, response_deserializer=answer.FromString
        )
        try:
            result: R = await method(request, timeout=TIMEOUT)
        except grpc.RpcError as error:
            raise DriverError(f"{verb}: rpc error: {error.code().name}: {error.details()}") from error
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            raise DriverError(f"{verb}: the connection was closed") from None
        return result
