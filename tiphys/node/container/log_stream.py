"""A container's log as a stream of bytes, following it through growth, rotation and the container's end."""

from __future__ import annotations

import asyncio
import gzip
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import BinaryIO, cast

from tiphys.aio.clock import Clock
from tiphys.node.container import logs
from tiphys.node.container.logs import CRI_LOG, LogFormat, LogFormatter, LogOptions

BLOCK = 128 * 1024
FIRST_POLL = 0.02
SLOWEST_POLL = 0.4
LAST_WORDS = 2.0
"""Seconds that the runtime may take to write the rest of an ended container's log."""


async def stream_log(
    path: Path, options: LogOptions, *, clock: Clock, follow: bool, running: Callable[[], bool], format: LogFormat = CRI_LOG
) -> AsyncIterator[bytes]:
    """The part of a log that `options` want. With `follow` until `running` says no and everything was read.

    The log of a container that does not run is whole, except that the runtime may still be at it for a moment. A missing file is empty.
    """
    formatter = LogFormatter(options, format.parse)
    for old in await asyncio.to_thread(_older, path, options):
        async for out in _chunks(await asyncio.to_thread(gzip.open if old.suffix == ".gz" else open, old, "rb"), formatter):
            yield out
    file = await asyncio.to_thread(_open, path)
    poll = FIRST_POLL
    rest = b""
    whole, until = False, 0.0
    try:
        if file is not None and options.tail is not None:
            file.seek(await asyncio.to_thread(format.tail_offset, path, options.tail))
        while not formatter.full:
            # Checked before reading: lines written before the end, and before the runtime closed the file, are read after it.
            alive = follow and running()
            data = await asyncio.to_thread(file.read, BLOCK) if file is not None else b""
            if data:
                poll = FIRST_POLL
                lines = (rest + data).split(b"\n")
                rest = lines.pop()
                out = b"".join(formatter.feed(line) for line in lines)
                if out:
                    yield out
                continue
            fresh = await asyncio.to_thread(_replaced, path, file)
            if fresh is not None:
                if file is not None:
                    file.close()
                file, rest = fresh, b""
                continue
            if not alive:
                if whole or running():
                    return
                until = until or clock.monotonic() + LAST_WORDS
                whole = not await asyncio.to_thread(logs.is_written, path) or clock.monotonic() > until
                if whole:
                    continue
            await clock.sleep(poll)
            poll = min(poll * 1.6, SLOWEST_POLL)
    finally:
        if file is not None:
            file.close()


async def _chunks(file: object, formatter: LogFormatter) -> AsyncIterator[bytes]:
    source = cast(BinaryIO, file)
    rest = b""
    with source:
        while data := await asyncio.to_thread(source.read, BLOCK):
            lines = (rest + data).split(b"\n")
            rest = lines.pop()
            yield b"".join(formatter.feed(line) for line in lines)


def _older(path: Path, options: LogOptions) -> list[Path]:
    """The file that was moved aside last: a reader that wants more than the tail should not lose lines to a rotation just now."""
    if options.tail is not None:
        return []
    return logs.rotated(path)[-1:]


def _open(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


def _replaced(path: Path, file: BinaryIO | None) -> BinaryIO | None:
    """The new file, when the log was moved aside (or has just come into being)."""
    try:
        there = path.stat()
        if file is not None and os.fstat(file.fileno()).st_ino == there.st_ino:
            return None
        return path.open("rb")
    except OSError:
        return None
