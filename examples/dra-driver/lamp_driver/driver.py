"""The driver's sockets: registration with the kubelet, and the two verbs of the DRA API."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from lamp_driver.devices import DRIVER, spec_path, write_spec
from tiphys.csi.pb import registration_pb2 as registration
from tiphys.node.dra.pb import dra_pb2 as pb

log = logging.getLogger(__name__)

SERVICE = "k8s.io.kubelet.pkg.apis.dra.v1.DRAPlugin"
VERSION = "v1.DRAPlugin"

DevicesOf = Callable[[str, str, str], Sequence[dict[str, str]]]
"""Function from namespace, name and UID of a claim to its devices; blocks."""


class Lamps:
    """Prepares claims: writes a CDI file for each. Both verbs may come twice."""

    def __init__(self, devices_of: DevicesOf, cdi: Path) -> None:
        self._devices_of = devices_of
        self._cdi = cdi

    async def prepare(self, request: pb.NodePrepareResourcesRequest, context: Any) -> pb.NodePrepareResourcesResponse:
        """Prepare claims; an error of one does not concern the others."""
        answer = pb.NodePrepareResourcesResponse()
        for claim in request.claims:
            try:
                devices = await asyncio.to_thread(self._prepare, claim)
            except Exception as error:
                answer.claims[claim.uid].error = str(error)
            else:
                answer.claims[claim.uid].devices.extend(devices)
            log.info("prepared %s/%s", claim.namespace, claim.name)
        return answer

    def _prepare(self, claim: pb.Claim) -> list[pb.Device]:
        results = self._devices_of(claim.namespace, claim.name, claim.uid)
        names = write_spec(self._cdi, claim.uid, [one["device"] for one in results])
        return [
            pb.Device(request_names=[one["request"]], pool_name=one["pool"], device_name=one["device"], cdi_device_ids=[name])
            for one, name in zip(results, names, strict=True)
        ]

    async def unprepare(self, request: pb.NodeUnprepareResourcesRequest, context: Any) -> pb.NodeUnprepareResourcesResponse:
        """Undo what was prepared; what is not there needs nothing."""
        answer = pb.NodeUnprepareResourcesResponse()
        for claim in request.claims:
            await asyncio.to_thread(spec_path(self._cdi, claim.uid).unlink, missing_ok=True)
            answer.claims[claim.uid].SetInParent()
            log.info("undone %s/%s", claim.namespace, claim.name)
        return answer


def _handler(method: Any, request: Any) -> grpc.RpcMethodHandler:
    return grpc.unary_unary_rpc_method_handler(
        method, request_deserializer=request.FromString, response_serializer=lambda message: message.SerializeToString()
    )


@asynccontextmanager
async def served(lamps: Lamps, plugins: Path, registry: Path, endpoint: str) -> AsyncIterator[None]:
    """Serve the driver below `plugins` and its registration below `registry`; `endpoint` is the driver's socket as the kubelet sees it."""
    socket = plugins / "dra.sock"
    register = registry / f"{DRIVER}-reg.sock"

    async def info(request: registration.InfoRequest, context: Any) -> registration.PluginInfo:
        return registration.PluginInfo(type="DRAPlugin", name=DRIVER, endpoint=endpoint, supported_versions=[VERSION])

    async def notify(status: registration.RegistrationStatus, context: Any) -> registration.RegistrationStatusResponse:
        log.info("registered" if status.plugin_registered else f"not registered: {status.error}")
        return registration.RegistrationStatusResponse()

    server = grpc.aio.server()
    verbs = {
        "NodePrepareResources": _handler(lamps.prepare, pb.NodePrepareResourcesRequest),
        "NodeUnprepareResources": _handler(lamps.unprepare, pb.NodeUnprepareResourcesRequest),
    }
    hello = {
        "GetInfo": _handler(info, registration.InfoRequest),
        "NotifyRegistrationStatus": _handler(notify, registration.RegistrationStatus),
    }
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(SERVICE, verbs),
            grpc.method_handlers_generic_handler("pluginregistration.Registration", hello),
        )
    )
    await asyncio.to_thread(plugins.mkdir, parents=True, exist_ok=True)
    for path in (socket, register):
        await asyncio.to_thread(path.unlink, missing_ok=True)
        server.add_insecure_port(f"unix://{path}")
    await server.start()
    try:
        yield
    finally:
        await server.stop(grace=0.5)
        for path in (socket, register):
            await asyncio.to_thread(path.unlink, missing_ok=True)
