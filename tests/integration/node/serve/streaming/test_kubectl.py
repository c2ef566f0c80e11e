"""Real kubectl against the front, over WebSocket version 5 (port-forward: SPDY tunneled in it), and over SPDY as old versions speak."""

import asyncio
import os
import re
from pathlib import Path

import pytest

from tests.integration.node.serve.streaming.kubectl import Streaming, both_upgrades
from tests.integration.node.serve.streaming.neighbors import FakeRuntime, Front, Session
from tiphys.testing.kubectl import Kubectl, end

FAILURE = b'{"metadata":{},"status":"Failure","message":"command terminated with exit code 3","reason":"NonZeroExitCode",'
FAILURE += b'"details":{"causes":[{"reason":"ExitCode","message":"3"}]}}'


@pytest.fixture
def upgrade() -> str:
    return "websocket"


@pytest.fixture
def kubectl(front: Front, tmp_path: Path, upgrade: str) -> Kubectl:
    return Streaming(front, tmp_path, upgrade)


async def cat(session: Session) -> None:
    await session.streams(4)
    while (data := await session.read("stdin")) is not None:
        await session.write("stdout", data)
    await session.exit()


@both_upgrades
async def test_piped_stdin_ends(runtime: FakeRuntime, front: Front, kubectl: Kubectl, upgrade: str) -> None:
    runtime.programs["main"] = cat
    payload = os.urandom(1 << 20)
    code, out, err = await kubectl.communicate("exec", "-i", "p", "--", "cat", stdin=payload)
    assert (code, out) == (0, payload), err
    assert front.upgrades == [upgrade]


@both_upgrades
async def test_exit_code(runtime: FakeRuntime, front: Front, kubectl: Kubectl, upgrade: str) -> None:
    async def program(session: Session) -> None:
        await session.streams(3)
        await session.write("stdout", b"out")
        await session.write("stderr", b"err\n")
        await session.exit(FAILURE)

    runtime.programs["main"] = program
    code, out, err = await kubectl.communicate("exec", "p", "--", "false")
    assert (code, out) == (3, b"out")
    assert b"err\n" in err
    assert b"command terminated with exit code 3" in err
    assert front.upgrades == [upgrade]


@both_upgrades
async def test_attach(runtime: FakeRuntime, front: Front, kubectl: Kubectl, upgrade: str) -> None:
    async def program(session: Session) -> None:
        await session.streams(3)
        assert "stdout" in session.kinds()
        await session.write("stdout", b"attached\n")
        await session.exit()

    runtime.programs["main"] = program
    code, out, err = await kubectl.communicate("attach", "p")
    assert (code, out) == (0, b"attached\n"), err
    assert front.upgrades == [upgrade]


async def test_lost_runtime_is_an_error(runtime: FakeRuntime, kubectl: Kubectl) -> None:
    """Over SPDY kubectl itself takes the end of the connection for success; the kubelet can only help WebSocket clients."""

    async def program(session: Session) -> None:
        await session.streams(3)

    runtime.programs["main"] = program
    code, _out, err = await kubectl.communicate("exec", "p", "--", "x")
    assert code == 1
    assert b"the connection to the container runtime was lost" in err


@both_upgrades
async def test_port_forward(runtime: FakeRuntime, front: Front, kubectl: Kubectl, upgrade: str) -> None:
    async def program(session: Session) -> None:
        async def serve(request: str) -> None:
            while (data := await session.read("data", request)) is not None:
                await session.write("data", data.upper(), request)
            await session.end("data", request)
            await session.end("error", request)

        served: dict[str, asyncio.Task[None]] = {}
        try:
            while True:
                session.opened.clear()
                for kind, request in list(session.ids):
                    if kind == "data" and request not in served:
                        served[request] = asyncio.ensure_future(serve(request))
                await session.opened.wait()
        finally:
            for task in served.values():
                task.cancel()
            await asyncio.gather(*served.values(), return_exceptions=True)

    runtime.programs["main"] = program
    process = await kubectl.start("port-forward", "--address", "127.0.0.1", "pod/p", ":80")
    try:
        async with asyncio.timeout(60):
            assert process.stdout is not None
            line = (await process.stdout.readline()).decode()
            match = re.search(r"127\.0\.0\.1:(\d+) -> 80", line)
            assert match is not None, line
            port = int(match.group(1))
            answers = await asyncio.gather(*(shout(port, f"hello {i} ".encode() * 5000) for i in range(3)))
            assert answers == [f"HELLO {i} ".encode() * 5000 for i in range(3)]
    finally:
        await end(process)
    assert front.upgrades == [upgrade]


async def shout(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer
