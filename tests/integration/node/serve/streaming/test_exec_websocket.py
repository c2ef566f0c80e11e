import asyncio
import json

import pytest

from tests.integration.node.serve.streaming.neighbors import Connect, FakeRuntime, Front, Session
from tiphys.testing.eventually import eventually
from tiphys.wire.channels import ERROR, RESIZE, STDERR, STDIN, STDOUT
from tiphys.wire.negotiate import REMOTE_COMMAND_WEBSOCKET

ALL = "/exec?stdin=1&stdout=1&stderr=1"
FAILURE = b'{"metadata":{},"status":"Failure","message":"command terminated with non-zero exit code","reason":"NonZeroExitCode",'
FAILURE += b'"details":{"causes":[{"reason":"ExitCode","message":"3"}]}}'
SUCCESS = b'{"metadata":{},"status":"Success"}'


async def cat(session: Session) -> None:
    await session.streams(4)
    while (data := await session.read("stdin")) is not None:
        await session.write("stdout", data)
    await session.exit()


async def fail(session: Session) -> None:
    await session.streams(4)
    await session.write("stdout", b"out")
    await session.write("stderr", b"err")
    await session.exit(FAILURE)


async def test_stdin_half_close_ends_cat(runtime: FakeRuntime, connect: Connect) -> None:
    runtime.programs["main"] = cat
    client = await connect.websocket(ALL, "v5.channel.k8s.io")
    await client.send(STDIN, b"hello ")
    await client.send(STDIN, b"world")
    await client.half_close(STDIN)
    assert await client.until_end() == {STDOUT: b"hello world", ERROR: SUCCESS}
    assert client.closed == 1000
    assert runtime.protocols == ["v4.channel.k8s.io"]


async def test_status_passes_unchanged(runtime: FakeRuntime, connect: Connect) -> None:
    runtime.programs["main"] = fail
    client = await connect.websocket(ALL, "v5.channel.k8s.io")
    assert await client.until_end() == {STDOUT: b"out", STDERR: b"err", ERROR: FAILURE}


@pytest.mark.parametrize("protocol", REMOTE_COMMAND_WEBSOCKET)
async def test_every_version_carries_output_and_error_in_its_form(runtime: FakeRuntime, connect: Connect, protocol: str) -> None:
    runtime.programs["main"] = fail
    client = await connect.websocket(ALL, protocol)
    received = await client.until_end()
    has_status = protocol.startswith(("v4", "v5"))
    assert received.pop(ERROR) == (FAILURE if has_status else b"command terminated with non-zero exit code")
    assert received == {STDOUT: b"out", STDERR: b"err"}


async def test_old_versions_say_nothing_on_success(runtime: FakeRuntime, connect: Connect) -> None:
    async def program(session: Session) -> None:
        await session.streams(4)
        await session.exit()

    runtime.programs["main"] = program
    client = await connect.websocket(ALL, "v3.channel.k8s.io")
    assert await client.until_end() == {}


async def test_terminal_has_resize_and_no_stderr(runtime: FakeRuntime, connect: Connect) -> None:
    async def program(session: Session) -> None:
        await session.streams(4)
        assert session.kinds() == {"error", "stdin", "stdout", "resize"}
        await session.write("stdout", await session.read("resize") or b"")
        await session.exit()

    runtime.programs["main"] = program
    client = await connect.websocket(ALL + "&tty=1", "v5.channel.k8s.io")
    await client.send(RESIZE, b'{"Width":100,"Height":30}\n')
    assert (await client.until_end())[STDOUT] == b'{"Width":100,"Height":30}\n'


async def test_big_transfers_both_ways_arrive_whole(runtime: FakeRuntime, connect: Connect) -> None:
    runtime.programs["main"] = cat
    client = await connect.websocket(ALL, "v5.channel.k8s.io")
    payload = bytes(range(256)) * 4096 * 4

    async def send() -> None:
        for start in range(0, len(payload), 100_000):
            await client.send(STDIN, payload[start : start + 100_000])
        await client.half_close(STDIN)

    sender = asyncio.ensure_future(send())
    received = await client.until_end()
    await sender
    assert received[STDOUT] == payload
    assert received[ERROR] == SUCCESS


async def test_status_survives_stdin_that_nobody_reads(runtime: FakeRuntime, connect: Connect) -> None:
    """Like `kubectl exec -i p -- head -c1 < big`: the runtime closes with unread stdin in its socket."""

    async def program(session: Session) -> None:
        await session.streams(4)
        await session.read("stdin")
        await session.write("stdout", b"x" * 30_000)
        await session.exit(FAILURE)

    runtime.programs["main"] = program
    client = await connect.websocket(ALL, "v5.channel.k8s.io")

    async def flood() -> None:
        while client.closed is None:
            await client.send(STDIN, b"y" * 50_000)

    flooder = asyncio.ensure_future(flood())
    received = await client.until_end()
    flooder.cancel()
    await asyncio.gather(flooder, return_exceptions=True)
    assert len(received[STDOUT]) == 30_000
    assert received[ERROR] == FAILURE


async def test_pings_are_answered(runtime: FakeRuntime, connect: Connect) -> None:
    runtime.programs["main"] = cat
    client = await connect.websocket(ALL, "v5.channel.k8s.io")
    await client.duplex.write(client.websocket.ping(b"7"))
    while not client.pongs:
        assert await client.step()
    assert client.pongs == [b"7"]


async def test_client_that_leaves_ends_the_session(runtime: FakeRuntime, connect: Connect, front: Front) -> None:
    runtime.programs["main"] = cat
    client = await connect.websocket(ALL, "v5.channel.k8s.io")
    await client.send(STDIN, b"x")
    await client.until(STDOUT, b"x")
    client.duplex.close()
    await eventually(lambda: front.finished == 1)


async def test_client_that_closes_gets_its_close_back(runtime: FakeRuntime, connect: Connect, front: Front) -> None:
    runtime.programs["main"] = cat
    client = await connect.websocket(ALL, "v4.channel.k8s.io")
    await client.duplex.write(client.websocket.close())
    await client.until_end()
    assert client.closed == 1000
    await eventually(lambda: front.finished == 1)


async def test_lost_runtime_is_a_failure_and_not_exit_code_zero(runtime: FakeRuntime, connect: Connect) -> None:
    async def program(session: Session) -> None:
        await session.streams(4)
        await session.write("stdout", b"half")

    runtime.programs["main"] = program
    client = await connect.websocket(ALL, "v5.channel.k8s.io")
    received = await client.until_end()
    status = json.loads(received[ERROR])
    assert received[STDOUT] == b"half"
    assert (status["status"], status["reason"], status["code"]) == ("Failure", "InternalError", 500)


async def test_runtime_that_speaks_garbage_is_a_failure(runtime: FakeRuntime, connect: Connect) -> None:
    async def program(session: Session) -> None:
        await session.streams(4)
        await session.duplex.write(b"\xff" * 100)

    runtime.programs["main"] = program
    client = await connect.websocket(ALL, "v5.channel.k8s.io")
    assert json.loads((await client.until_end())[ERROR])["status"] == "Failure"
    assert client.closed == 1000


async def test_client_that_speaks_garbage_is_cut_off(runtime: FakeRuntime, connect: Connect, front: Front) -> None:
    runtime.programs["main"] = cat
    client = await connect.websocket(ALL, "v5.channel.k8s.io")
    await client.duplex.write(client.websocket.message(b"\xff"))
    await client.until_end()
    assert client.closed == 1002
    await eventually(lambda: front.finished == 1)


async def test_idle_sessions_end(runtime: FakeRuntime, connect: Connect, front: Front) -> None:
    front.idle_timeout = 0.05
    runtime.programs["main"] = cat
    client = await connect.websocket(ALL, "v5.channel.k8s.io")
    status = json.loads((await client.until_end())[ERROR])
    assert "idle" in status["message"]


async def test_slow_client_stops_the_runtime(runtime: FakeRuntime, connect: Connect, front: Front) -> None:
    """Nothing piles up in between: the runtime's writes stall while the client does not read, and go on when it does."""
    written = 0

    async def program(session: Session) -> None:
        nonlocal written
        await session.streams(4)
        for _ in range(800):
            await session.write("stdout", b"z" * 32768)
            written += 32768
        await session.exit()

    runtime.programs["main"] = program
    client = await connect.websocket(ALL, "v5.channel.k8s.io")
    transport = client.duplex._transport
    assert transport is not None
    transport.pause_reading()
    before = -1
    while written != before:
        before = written
        await asyncio.sleep(0.1)
    assert written < 800 * 32768
    transport.resume_reading()
    assert len((await client.until_end())[STDOUT]) == 800 * 32768


async def test_refusals_are_http_answers(runtime: FakeRuntime, connect: Connect) -> None:
    _, answer = await connect.raw(ALL, [])
    assert answer.status == 400
    assert json.loads(answer.rest)["message"] == "Upgrade request required"
    headers = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
    _, answer = await connect.raw(ALL, [*headers, ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), ("Sec-WebSocket-Protocol", "v9")])
    assert answer.status == 403
    _, answer = await connect.raw(ALL, headers)
    assert answer.status == 400


async def test_refusal_of_the_runtime_is_passed_on(runtime: FakeRuntime, connect: Connect) -> None:
    for kind in ("websocket", "SPDY/3.1"):
        headers = [("Connection", "Upgrade"), ("Upgrade", kind), ("X-Stream-Protocol-Version", "v4.channel.k8s.io")]
        headers += [("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]
        _, answer = await connect.raw(ALL, headers)
        assert (answer.status, answer.rest) == (404, b"404 page not found\n")


async def test_runtime_that_is_not_there_is_an_internal_error(runtime: FakeRuntime, connect: Connect) -> None:
    runtime.port = 1
    _, answer = await connect.raw(ALL, [("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1")])
    assert answer.status == 500
    assert json.loads(answer.rest)["message"].startswith("error dialing backend: ")
