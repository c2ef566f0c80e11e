"""Bytes that are no message: what the driver did is unknown."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import grpc
import pytest

from tiphys.csi.client import CsiClient
from tiphys.csi.errors import Unfinished
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.sidecar.bounded import BoundedDriver


class Garbage(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Answers every call with the same bytes."""

    def __init__(self) -> None:
        self.data = b""

    def service(self, details: Any) -> Any:
        async def answer(request: bytes, context: Any) -> bytes:
            return self.data

        return grpc.unary_unary_rpc_method_handler(answer)


async def test_garbage_leaves_the_result_open(tmp_path: Path) -> None:
    garbage, server = Garbage(), grpc.aio.server()
    server.add_generic_rpc_handlers((garbage,))
    address = tmp_path / "csi.sock"
    assert server.add_insecure_port(f"unix://{address}")
    await server.start()
    client = CsiClient(address)
    driver = BoundedDriver(client, "d", timeout=10)
    try:
        garbage.data = b"\xff\xff\xff"
        with pytest.raises(Unfinished, match="Internal"):
            await driver.CreateVolume(pb.CreateVolumeRequest(name="v"))
        garbage.data = pb.CreateVolumeResponse(volume=pb.Volume(volume_id="v" * (5 << 20))).SerializeToString()
        with pytest.raises(Unfinished, match="larger than max"):
            await driver.CreateVolume(pb.CreateVolumeRequest(name="v"))
        rng = random.Random(1)
        for _ in range(200):
            garbage.data = rng.randbytes(rng.randrange(40))
            try:
                await driver.CreateVolume(pb.CreateVolumeRequest(name="v"))
            except Unfinished:
                continue
    finally:
        await client.close()
        await server.stop(0)
