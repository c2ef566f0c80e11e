"""Answers of one connection, over a transport that takes everything at once or makes it wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tiphys.http import connection as connection_module
from tiphys.http.connection import PIECE, Connection
from tiphys.http.server import Server
from tiphys.testing.eventually import eventually
from tiphys.wire.http import Request, Response

SIZE = 8 * PIECE
REQUEST = b"GET /list HTTP/1.1\r\nHost: a\r\n\r\n"


class Socket(asyncio.Transport):
    """Counts what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = 0
        self.closed = False

    def write(self, data: Any) -> None:
        self.written += len(data)

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True

    def close(self) -> None:
        self.closed = True

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass


class Door:
    """A server whose only answer is a list, and what it hears of answers that were sent."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.server = Server(self.answer, context=None)
        self.server.pool.loop = asyncio.get_running_loop()

    async def answer(self, request: Request) -> Response:
        return Response(body=bytes(SIZE), sent=lambda: self.sent.append(request.path))

    def connect(self) -> tuple[Connection, Socket]:
        connection, socket = Connection(self.server.pool), Socket()
        connection.connection_made(socket)
        return connection, socket


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    door = Door()
    yield door
    await asyncio.gather(*door.server.pool._tasks)


async def test_large_answers_go_out_piece_by_piece(door: Door) -> None:
    """A socket that takes a whole list at once does not keep the loop from others for that long."""
    sockets = []
    for _ in range(4):
        connection, socket = door.connect()
        connection.data_received(REQUEST)
        sockets.append(socket)
    per_step, before = [], 0
    while len(door.sent) < len(sockets):
        await asyncio.sleep(0)
        written = sum(socket.written for socket in sockets)
        per_step.append(written - before)
        before = written
    assert before > len(sockets) * SIZE
    assert max(per_step) < 2 * PIECE


async def test_an_answer_counts_as_sent_when_its_reader_is_slow(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "SLOW_SECONDS", 0.001)
    connection, socket = door.connect()
    connection.data_received(REQUEST)
    await asyncio.sleep(0)
    connection.pause_writing()
    assert door.sent == []
    await eventually(lambda: door.sent == ["/list"])
    assert socket.written < SIZE
    connection.resume_writing()
