"""Log files: reading, tails, rotation, following."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.aio.clock import LoopClock
from tiphys.node.container import logs
from tiphys.node.container.log_stream import stream_log
from tiphys.node.container.logs import LogFormatter, LogOptions, last_lines, parse, tail_offset
from tiphys.testing.eventually import eventually

START = datetime(2026, 1, 1, tzinfo=UTC)


def line(text: str, *, second: int = 0, stream: str = "stdout", tag: str = "F") -> bytes:
    return f"{(START + timedelta(seconds=second)).isoformat().replace('+00:00', '.123456789Z')} {stream} {tag} {text}\n".encode()


def show(data: bytes, **options: object) -> bytes:
    formatter = LogFormatter(LogOptions(**options))  # type: ignore[arg-type]
    return b"".join(formatter.feed(one) for one in data.split(b"\n"))


def test_entries() -> None:
    entry = parse(line("a b c"))
    assert entry is not None
    assert (entry.stream, entry.text) == ("stdout", b"a b c\n")
    partial = parse(line("part", tag="P"))
    assert partial is not None
    assert partial.text == b"part"
    assert parse(b"nonsense") is None


def test_options() -> None:
    data = (
        line("one")
        + line("two", second=10)
        + line("err", second=20, stream="stderr")
        + line("half", second=30, tag="P")
        + line("!", second=30)
    )
    assert show(data) == b"one\ntwo\nerr\nhalf!\n"
    assert show(data, since=START + timedelta(seconds=11)) == b"err\nhalf!\n"
    assert show(data, stream="stderr") == b"err\n"
    assert show(data, limit=6) == b"one\ntw"
    assert show(line("x"), timestamps=True) == b"2026-01-01T00:00:00.123456789Z x\n"
    assert show(line("half", tag="P") + line("!"), timestamps=True) == b"2026-01-01T00:00:00.123456789Z half!\n"


@given(st.lists(st.tuples(st.text("ab ", max_size=30), st.booleans()), max_size=40), st.integers(0, 12))
def test_tail_matches_a_plain_count(tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[str, bool]], count: int) -> None:
    path = tmp_path_factory.mktemp("logs") / "0.log"
    data = b"".join(line(text, tag="F" if full else "P") for text, full in parts)
    path.write_bytes(data)
    shown = show(data).split(b"\n")
    whole, rest = [one + b"\n" for one in shown[:-1]], shown[-1]
    unfinished = bool(parts) and not parts[-1][1]
    lines = [*whole, rest] if unfinished else whole
    wanted = b"".join(lines[-count:] if count else [])
    assert show(path.read_bytes()[tail_offset(path, count) :]) == wanted


def test_unfinished_last_line_counts(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(line("first") + line("la", tag="P") + line("st", tag="P"))
    assert show(path.read_bytes()[tail_offset(path, 1) :]) == b"last"


def test_tail_of_a_long_file(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(b"".join(line(f"line {number} {'x' * 200}") for number in range(5000)))
    assert show(path.read_bytes()[tail_offset(path, 2) :]).split(b" ")[1] == b"4998"
    assert last_lines(path, 3, 100_000).count("\n") == 3
    assert len(last_lines(path, 300, 50)) == 50
    assert last_lines(tmp_path / "none", 3, 10) == ""


def test_rotation_keeps_the_newest(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    for number in range(7):
        path.write_bytes(line(f"file {number}"))
        logs.rotate(path, 4, START + timedelta(seconds=number))
    kept = logs.rotated(path)
    assert [one.name.endswith(".gz") for one in kept] == [True, True, False]
    assert b"file 6" in kept[-1].read_bytes()


async def collect(path: Path, options: LogOptions | None = None, *, follow: bool = False, running: bool = False) -> bytes:
    stream = stream_log(path, options or LogOptions(), clock=LoopClock(), follow=follow, running=lambda: running)
    return b"".join([chunk async for chunk in stream])


async def test_a_stream_of_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    assert await collect(path) == b""
    path.write_bytes(line("one") + line("two") + line("three"))
    assert await collect(path) == b"one\ntwo\nthree\n"
    assert await collect(path, LogOptions(tail=1)) == b"three\n"
    assert await collect(path, LogOptions(limit=5)) == b"one\nt"
    logs.rotate(path, 3, START)
    path.write_bytes(line("four"))
    assert await collect(path) == b"one\ntwo\nthree\nfour\n"


async def test_following_through_growth_rotation_and_the_end(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(line("one"))
    alive = True
    out: list[bytes] = []

    async def read() -> None:
        async for chunk in stream_log(path, LogOptions(), clock=LoopClock(), follow=True, running=lambda: alive):
            out.append(chunk)

    def said() -> bytes:
        return b"".join(out)

    task = asyncio.create_task(read())
    await eventually(lambda: said() == b"one\n")
    with path.open("ab") as file:
        file.write(line("two")[:-3])
    await eventually(lambda: said() == b"one\n")
    with path.open("ab") as file:
        file.write(line("two")[-3:])
    await eventually(lambda: said() == b"one\ntwo\n")
    moved = logs.rotate(path, 3, START)
    with moved.open("ab") as file:
        file.write(line("late"))
    path.write_bytes(line("three"))
    await eventually(lambda: said().endswith(b"three\n"))
    assert b"late" in said()
    with path.open("ab") as file:
        file.write(line("last"))
    alive = False
    await asyncio.wait_for(task, 5)
    assert said() == b"one\ntwo\nlate\nthree\nlast\n"


def test_a_compression_that_was_broken_off_is_finished(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    for number in range(3):
        path.write_bytes(line(f"file {number}"))
        logs.rotate(path, 5, START + timedelta(seconds=number))
    old = logs.rotated(path)[0]
    old.with_suffix("").write_bytes(line("file 0"))
    (tmp_path / "0.log.20260101-000001.tmp").write_bytes(b"half")
    path.write_bytes(line("file 3"))
    logs.rotate(path, 5, START + timedelta(seconds=3))
    assert sorted(one.suffix for one in tmp_path.iterdir()) == [".20260101-000003", ".gz", ".gz", ".gz"]
