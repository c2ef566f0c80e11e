"""Beginning of an attach session in a container's log, and reading of the log."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path

from tiphys.aio.clock import LoopClock
from tiphys.node.container.attach_log import SOON, AttachLog, Readers
from tiphys.node.container.log_stream import stream_log
from tiphys.node.container.logs import LogEntry, LogOptions
from tiphys.node.serve.streaming.attach import by_channel
from tiphys.node.serve.streaming.remote_command import CommandStreams
from tiphys.wire.channels import STDERR, STDOUT


class Clock(LoopClock):
    """Stands still until it is set."""

    time = 1000.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.time)

    def monotonic(self) -> float:
        return self.time


def line(number: int, stream: str = "stdout", tag: str = "F") -> str:
    return f"2026-01-01T00:00:00Z {stream} {tag} {number}\n"


def texts(log: AttachLog) -> list[bytes]:
    return [entry.text for entry in log.read()]


def test_a_log_is_read_from_an_entry_on_as_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    log = AttachLog(path, skip=3)
    assert texts(log) == []
    with path.open("w") as file:
        file.write(line(1) + line(2, tag="P"))
        file.flush()
        assert texts(log) == []
        file.write(line(3) + line(4) + line(5)[:-4])
        file.flush()
        assert texts(log) == [b"4\n"]
        assert texts(log) == []
        file.write(line(5)[-4:] + line(6, tag="P"))
        file.flush()
        assert texts(log) == [b"5\n", b"6"]
        assert log.is_written()
    assert not log.is_written()
    log.close()


def test_only_the_first_session_soon_after_the_start_begins_with_the_log() -> None:
    clock = Clock()
    readers = Readers(clock)
    assert readers.begin("a", clock.time - SOON - 1) is None
    assert readers.begin("a", 0) is None
    assert readers.begin("a", clock.time - SOON) == 0
    assert readers.begin("a", clock.time - SOON) is None


def test_a_session_goes_on_where_the_log_was_read_to() -> None:
    clock = Clock()
    readers = Readers(clock)
    for started in (clock.time, 1.0):
        ident = str(started)
        format_, done = readers.counting(ident)
        for number in range(3):
            format_.parse(line(number).encode())
        format_.parse(b"no entry")
        done()
        assert readers.begin(ident, started) == 3
        assert readers.begin(ident, started) is None
    _, done = readers.counting("old")
    done()
    clock.time += SOON + 1
    assert readers.begin("old", 1.0) is None


def test_output_that_was_not_asked_for_is_left_out() -> None:
    entries = [LogEntry("", stream, text) for stream, text in (("stdout", b"a"), ("stdout", b"b\n"), ("stderr", b"c"), ("stdout", b"d"))]
    both = CommandStreams(stdin=False, stdout=True, stderr=True, tty=False)
    assert by_channel(entries, both) == [(STDOUT, b"ab\n"), (STDERR, b"c"), (STDOUT, b"d")]
    only = CommandStreams(stdin=False, stdout=False, stderr=True, tty=False)
    assert by_channel(entries, only) == [(STDERR, b"c")]


def test_reading_a_log_does_not_wait_for_a_file(tmp_path: Path) -> None:
    log = AttachLog(tmp_path / "none")
    assert not log.is_written()
    assert asyncio.run(asyncio.to_thread(log.read)) == []


async def test_the_log_of_an_ended_container_waits_for_its_last_lines(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    with path.open("w") as file:
        file.write(line(1))
        file.flush()
        asked = asyncio.Event()

        def running() -> bool:
            asked.set()
            return False

        async def read() -> bytes:
            return b"".join([out async for out in stream_log(path, LogOptions(), clock=LoopClock(), follow=False, running=running)])

        reading = asyncio.create_task(read())
        await asked.wait()
        file.write(line(2))
    assert await reading == b"1\n2\n"
