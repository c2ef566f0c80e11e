"""Garbage, half a frame or a lie after an upgrade ends that session, and the next one is served."""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.integration.node.serve.streaming.neighbors import Connect, FakeRuntime, Front, Session
from tiphys.testing import eventually
from tiphys.wire.spdy_frames import FrameWriter

EXEC = "/p/exec?stdin=true&stdout=true&stderr=true"
WEBSOCKET = [
    b"\x82\xff" + b"\xff" * 8,
    b"\x8f\x80\0\0\0\0",
    b"\x02\x05",
    b"\x82\x05hello",
    b"\x82\xfe\x00",
    b"\xc1\x83abcd",
    b"\x88\x81\0\0\0\0\x07",
]
SPDY = [
    b"\x80\x03\x00\x01\x00\xff\xff\xff" + b"x" * 64,
    b"\x80\x02\x00\x01\x00\x00\x00\x00",
    b"\x00\x00\x00\x63\x01\x00\x00\x05hello",
    b"\x80",
]


def noise(seed: int, size: int = 4096) -> bytes:
    return random.Random(seed).randbytes(size)


async def reads(session: Session) -> None:
    """A program that reads what it is given."""
    await session.streams(4)
    while await session.read("stdin") is not None:
        pass


async def ends(session: Session) -> None:
    """A program that is over at once: SPDY goes through to the runtime, which hangs up then."""


async def ended(front: Front, before: int) -> None:
    await eventually(lambda: front.finished > before, timeout=10)


async def still_serves(runtime: FakeRuntime, connect: Connect) -> None:
    """Another session reaches its program."""
    reached = asyncio.Event()

    async def program(session: Session) -> None:
        reached.set()

    runtime.programs["main"] = program
    client = await connect.websocket(EXEC, "v5.channel.k8s.io")
    await asyncio.wait_for(reached.wait(), 10)
    assert client is not None


@pytest.mark.parametrize("data", [*WEBSOCKET, noise(1), noise(2), noise(3, 300_000)], ids=range(len(WEBSOCKET) + 3))
async def test_garbage_after_a_websocket_upgrade(runtime: FakeRuntime, front: Front, connect: Connect, data: bytes) -> None:
    runtime.programs["main"] = reads
    for protocol in ("v4.channel.k8s.io", "v5.channel.k8s.io", "v4.base64.channel.k8s.io", "channel.k8s.io"):
        before = front.finished
        client = await connect.websocket(EXEC, protocol)
        await client.duplex.write(data)
        client.duplex.close()
        await ended(front, before)
    await still_serves(runtime, connect)


@pytest.mark.parametrize("data", [*SPDY, noise(4), noise(5), noise(6, 300_000)], ids=range(len(SPDY) + 3))
async def test_garbage_after_a_spdy_upgrade(runtime: FakeRuntime, front: Front, connect: Connect, data: bytes) -> None:
    runtime.programs["main"] = ends
    for first in (b"", FrameWriter().syn_stream(1, [("streamtype", "error")])):
        before = front.finished
        duplex, _ = await connect.spdy(EXEC, "v4.channel.k8s.io")
        await duplex.write(first + data)
        duplex.close()
        await ended(front, before)
    await still_serves(runtime, connect)
