"""Input that nobody reads any more, in the named pipes that containerd and its shim have between them."""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import termios
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tiphys.aio.clock import LoopClock
from tiphys.aio.tasks import cancel_and_wait
from tiphys.node.serve.unread_stdin import release_stdin
from tiphys.testing.eventually import eventually

KINDS = ("stdin", "stdout", "stderr")
UNREAD = 1 << 17


class Pipes:
    """The pipes of one exec: the shim holds a reader of stdin that reads no more; writers of the outputs are a test's."""

    def __init__(self, directory: Path, process: str, files: ExitStack) -> None:
        self.paths = {kind: directory / "71" / f"{process}-{kind}" for kind in KINDS}
        self.paths["stdin"].parent.mkdir()
        for path in self.paths.values():
            os.mkfifo(path)
        self._files = files
        self.stdin = self.open("stdin", os.O_RDONLY)
        for kind in KINDS[1:]:
            self.open(kind, os.O_RDONLY)

    def open(self, kind: str, flags: int) -> int:
        file = os.open(self.paths[kind], flags | os.O_NONBLOCK)
        self._files.callback(os.close, file)
        return file

    def write(self) -> None:
        """Write more than the pipe holds, as containerd's copy does, then take the pipes away."""
        with open(self.paths["stdin"], "wb", buffering=0) as sink:
            left = UNREAD
            while left:
                left -= sink.write(bytes(left)) or 0
        for path in self.paths.values():
            path.unlink()

    def unread(self) -> int:
        return int(struct.unpack("i", fcntl.ioctl(self.stdin, termios.FIONREAD, bytes(4)))[0])


@pytest.fixture
def pipes(tmp_path: Path) -> Iterator[Pipes]:
    with ExitStack() as files:
        yield Pipes(tmp_path, "run", files)


async def full(pipes: Pipes) -> None:
    await eventually(lambda: pipes.unread() == 1 << 16)


async def test_unread_input_lets_the_exec_end(pipes: Pipes, tmp_path: Path) -> None:
    copy = asyncio.create_task(asyncio.to_thread(pipes.write))
    await full(pipes)
    await release_stdin(tmp_path, "run", LoopClock())
    await copy


async def test_input_is_left_to_a_child_that_may_still_answer(pipes: Pipes, tmp_path: Path) -> None:
    child = os.open(pipes.paths["stderr"], os.O_WRONLY)
    copy = asyncio.create_task(asyncio.to_thread(pipes.write))
    await full(pipes)
    looked = asyncio.Semaphore(0)

    class Clock(LoopClock):
        async def sleep(self, seconds: float) -> None:
            looked.release()
            await super().sleep(seconds)

    release = asyncio.create_task(release_stdin(tmp_path, "run", Clock()))
    for _ in range(3):
        await looked.acquire()
    assert pipes.unread() == 1 << 16
    os.close(child)
    await release
    await copy


async def test_an_exec_without_input_has_no_pipe(tmp_path: Path) -> None:
    await release_stdin(tmp_path / "none", "run", LoopClock())
    (tmp_path / "72").mkdir()
    await release_stdin(tmp_path, "run", LoopClock())


async def test_looking_ends_with_its_owner(pipes: Pipes, tmp_path: Path) -> None:
    pipes.open("stdout", os.O_WRONLY)
    release = asyncio.create_task(release_stdin(tmp_path, "run", LoopClock()))
    await asyncio.sleep(0)
    await cancel_and_wait(release)
    assert release.cancelled()
