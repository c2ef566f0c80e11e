"""Tests of drivers behind a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tiphys.csi.client import CsiClient
from tiphys.csi.driver import Driver
from tiphys.csi.errors import AlreadyExists, Deadline, Failed, Unavailable, Unfinished, Unimplemented
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.csi.server import served


class Volumes(Driver):
    """Creates volumes in memory, refuses the name "taken", fails for "broken" and never answers for "slow"."""

    def __init__(self) -> None:
        self.made: list[str] = []

    async def CreateVolume(self, request: pb.CreateVolumeRequest) -> pb.CreateVolumeResponse:
        if request.name == "taken":
            raise AlreadyExists("there is another one")
        if request.name == "broken":
            raise ValueError("oh no")
        if request.name == "slow":
            await asyncio.Event().wait()
        self.made.append(request.name)
        return pb.CreateVolumeResponse(volume=pb.Volume(volume_id=request.name, capacity_bytes=request.capacity_range.required_bytes))


@pytest.fixture
async def driver(tmp_path: Path) -> AsyncIterator[Volumes]:
    volumes = Volumes()
    async with served(volumes, tmp_path / "csi.sock"):
        yield volumes


@pytest.fixture
async def client(tmp_path: Path, driver: Volumes) -> AsyncIterator[CsiClient]:
    client = CsiClient(f"unix://{tmp_path}/csi.sock", timeout=5)
    yield client
    await client.close()


async def test_a_path_that_is_too_long_for_a_socket_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no socket can be created here"):
        async with served(Volumes(), tmp_path / ("d" * 120)):
            raise AssertionError("served")


async def test_carries_requests_and_answers(client: CsiClient, driver: Volumes) -> None:
    answer = await client.CreateVolume(pb.CreateVolumeRequest(name="v", capacity_range=pb.CapacityRange(required_bytes=5)))
    assert (answer.volume.volume_id, answer.volume.capacity_bytes) == ("v", 5)
    assert driver.made == ["v"]


async def test_carries_errors_with_their_codes(client: CsiClient) -> None:
    with pytest.raises(AlreadyExists, match="rpc error: code = AlreadyExists desc = there is another one"):
        await client.CreateVolume(pb.CreateVolumeRequest(name="taken"))
    with pytest.raises(Failed, match="code = Internal desc = ValueError: oh no"):
        await client.CreateVolume(pb.CreateVolumeRequest(name="broken"))
    with pytest.raises(Unimplemented, match="DeleteVolume"):
        await client.DeleteVolume(pb.DeleteVolumeRequest(volume_id="v"))


async def test_an_answer_that_does_not_come_leaves_the_result_open(client: CsiClient) -> None:
    client.timeout = 0.05
    with pytest.raises(Deadline) as error:
        await client.CreateVolume(pb.CreateVolumeRequest(name="slow"))
    assert isinstance(error.value, Unfinished)


async def test_nobody_at_the_socket(tmp_path: Path) -> None:
    client = CsiClient(tmp_path / "nobody.sock", timeout=5)
    with pytest.raises(Unavailable):
        await client.Probe(pb.ProbeRequest())
    await client.close()


async def test_connects_again_after_a_restart(tmp_path: Path, client: CsiClient, driver: Volumes) -> None:
    await client.CreateVolume(pb.CreateVolumeRequest(name="a"))
    async with served(driver, tmp_path / "csi.sock"):
        await client.close()
        await client.CreateVolume(pb.CreateVolumeRequest(name="b"))
    assert driver.made == ["a", "b"]


async def test_only_root_may_connect(tmp_path: Path, driver: Volumes) -> None:
    assert (tmp_path / "csi.sock").stat().st_mode & 0o777 == 0o600
