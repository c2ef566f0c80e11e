"""Attach sessions that begin with the log, with kubectl in front and the runtime of the other tests behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.node.serve.streaming.kubectl import Streaming, both_upgrades
from tests.integration.node.serve.streaming.neighbors import FakeRuntime, Front, Query, Session, listen, stop, streams_of
from tiphys.aio.clock import LoopClock
from tiphys.aio.duplex import StreamDuplex
from tiphys.node.container.attach_log import AttachLog
from tiphys.node.serve.streaming import Attached, serve_attach
from tiphys.testing.kubectl import Kubectl


class Container(Front):
    """A front whose one container has a log, and runs until it is told to end."""

    def __init__(self, runtime: FakeRuntime, path: Path) -> None:
        super().__init__(runtime.url_of_main)
        self.path = path
        self.url = runtime.url("main")
        self.runs = True

    def write(self, *lines: str) -> None:
        with self.path.open("a") as file:
            file.writelines(f"2026-01-01T00:00:00Z {line}\n" for line in lines)

    async def stream(self, duplex: StreamDuplex, path: str, query: Query, headers: list[tuple[str, str]]) -> None:
        attached = Attached(AttachLog(self.path), lambda: self.runs, LoopClock(), to_end=True)
        await serve_attach(duplex, headers, runtime_url=self.url if self.runs else "", attached=attached, streams=streams_of(query))


@pytest.fixture
async def front(runtime: FakeRuntime, tmp_path: Path) -> AsyncIterator[Container]:
    made = Container(runtime, tmp_path / "0.log")
    server, made.port, tasks = await listen(made.handle)
    yield made
    await stop(server, tasks)


@pytest.fixture
def upgrade() -> str:
    return "websocket"


@pytest.fixture
def kubectl(front: Container, tmp_path: Path, upgrade: str) -> Kubectl:
    return Streaming(front, tmp_path, upgrade)


@both_upgrades
async def test_a_container_that_has_ended_is_answered_from_its_log(front: Container, kubectl: Kubectl, upgrade: str) -> None:
    front.runs = False
    front.write("stdout F one", "stderr F problem", "stdout P tw", "stdout F o")
    code, out, err = await kubectl.communicate("attach", "-i", "p", stdin=b"unread" * 10_000)
    assert (code, out, b"problem\n" in err) == (0, b"one\ntwo\n", True)


async def test_output_from_before_and_after_the_beginning_comes_once(runtime: FakeRuntime, front: Container, kubectl: Kubectl) -> None:
    front.write("stdout F before", "stdout F two")

    async def program(session: Session) -> None:
        await session.streams(4)
        # The runtime's stream begins with the second line.
        await session.write("stdout", b"two\n")
        await session.write("stdout", b"thr")
        await session.write("stdout", b"ee\n")
        front.write("stdout F three", "stdout F last")
        front.runs = False
        await session.exit(b'{"status":"Failure","message":"container is in CONTAINER_EXITED state"}')

    runtime.programs["main"] = program
    code, out, err = await kubectl.communicate("attach", "-i", "p")
    assert (code, out) == (0, b"before\ntwo\nthree\nlast\n"), err


async def test_an_unfinished_line_is_shown_and_the_stream_goes_on(runtime: FakeRuntime, front: Container, kubectl: Kubectl) -> None:
    front.write("stdout F before")

    async def program(session: Session) -> None:
        await session.streams(4)
        await session.write("stdout", b"name? ")
        assert await session.read("stdin") == b"x\n"
        front.write("stdout F name? hello")
        await session.write("stdout", b"hello\n")
        await session.exit()

    runtime.programs["main"] = program
    process = await kubectl.start("attach", "-i", "p")
    assert process.stdin is not None
    assert process.stdout is not None
    async with asyncio.timeout(30):
        assert await process.stdout.readexactly(13) == b"before\nname? "
        process.stdin.write(b"x\n")
        out, _ = await process.communicate()
    assert (process.returncode, out) == (0, b"hello\n")


async def test_a_session_that_the_runtime_forgets_ends_with_the_container(runtime: FakeRuntime, front: Container, kubectl: Kubectl) -> None:
    async def program(session: Session) -> None:
        await session.streams(4)
        front.write("stdout F out")
        front.runs = False
        await asyncio.Event().wait()

    runtime.programs["main"] = program
    code, out, err = await kubectl.communicate("attach", "-i", "p")
    assert (code, out) == (0, b"out\n"), err
