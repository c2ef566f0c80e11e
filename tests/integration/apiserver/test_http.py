"""HTTP/1.1 over TLS as bytes: framing, limits, broken and slow peers, upgrades, shutdown."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import time

import pytest

from tests.integration.apiserver.api import CONFIGS, NS, Api, config
from tests.integration.apiserver.raw import Raw, request
from tiphys.http.connection import Connection
from tiphys.http.limits import Limits
from tiphys.testing import eventually

LIMITS = Limits()
VERSION = request("GET", "/version")


def create(name: str) -> bytes:
    return request("POST", CONFIGS, body=json.dumps(config(name)).encode())


async def test_a_connection_serves_many_requests(raw: Raw) -> None:
    connection = await raw.connect()
    for n in range(3):
        await connection.send(create(f"c{n}"))
        assert (await connection.answer()).status == 201
        await connection.send(request("GET", f"{CONFIGS}/c{n}"))
        assert (await connection.answer()).doc["metadata"]["name"] == f"c{n}"


async def test_pipelined_requests_are_answered_in_order(raw: Raw) -> None:
    """Fast and slow ones mixed: a read may not overtake the write before it."""
    connection = await raw.connect()
    for part in range(2):  # The second one comes when reading was paused for the first.
        names = [f"c{part}-{n}" for n in range(100)]
        mixed = [create(name) + request("GET", f"{CONFIGS}/{name}") + request("GET", f"{CONFIGS}/none") for name in names]
        await connection.send(b"".join(mixed))
        for name in names:
            assert (await connection.answer()).status == 201
            assert (await connection.answer()).doc["metadata"]["name"] == name
            assert (await connection.answer()).status == 404


@pytest.mark.parametrize("step", [1, 7, 1000])
async def test_requests_in_pieces(raw: Raw, step: int) -> None:
    connection = await raw.connect()
    data = create("a") + request("GET", f"{CONFIGS}/a")
    for at in range(0, len(data), step):
        await connection.send(data[at : at + step])
    assert [(await connection.answer()).status for _ in range(2)] == [201, 200]


async def test_chunked_bodies(raw: Raw) -> None:
    connection = await raw.connect()
    body = json.dumps(config("a", x="1")).encode()
    head = request("POST", CONFIGS, "Transfer-Encoding: chunked", "Content-Type: application/json")
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(body[at : at + 9]), body[at : at + 9]) for at in range(0, len(body), 9))
    await connection.send(head + chunks + b"0\r\n\r\n" + VERSION)
    assert (await connection.answer()).doc["data"] == {"x": "1"}
    assert (await connection.answer()).status == 200


async def test_expect_continue(raw: Raw) -> None:
    connection = await raw.connect()
    head, _, body = create("a").partition(b"\r\n\r\n")
    await connection.send(head + b"\r\nExpect: 100-continue\r\n\r\n")
    assert (await connection.head())[0] == 100
    await connection.send(body)
    assert (await connection.answer()).status == 201
    await connection.send(request("POST", CONFIGS, "Expect: 100-continue", f"Content-Length: {LIMITS.body_bytes + 1}"))
    assert (await connection.answer()).reason == "RequestEntityTooLarge"


async def test_head_has_the_length_and_no_body(raw: Raw) -> None:
    connection = await raw.connect()
    await connection.send(create("a") + request("HEAD", f"{CONFIGS}/a") + request("GET", f"{CONFIGS}/a"))
    await connection.answer()
    headed = await connection.answer(body=False)
    got = await connection.answer()
    assert headed.headers["content-length"] == str(len(got.body))


async def test_close_is_granted(raw: Raw) -> None:
    connection = await raw.connect()
    await connection.send(request("GET", "/version", "Connection: close"))
    assert (await connection.answer()).headers["connection"] == "close"
    assert await connection.ended()


async def test_http_1_0(raw: Raw) -> None:
    connection = await raw.connect()
    await connection.send(b"GET /version HTTP/1.0\r\n\r\n")
    assert (await connection.answer()).status == 200
    assert await connection.ended()
    connection = await raw.connect()
    await connection.send(f"GET {CONFIGS}?watch=1&timeoutSeconds=1 HTTP/1.0\r\n\r\n".encode())
    answer = await connection.answer()
    assert (answer.status, answer.headers.get("transfer-encoding")) == (200, None)
    assert b"\r\n" not in answer.body


async def test_every_warning_is_a_line_of_its_own(raw: Raw) -> None:
    connection = await raw.connect()
    body = b'{"metadata": {"name": "a"}, "color": 1, "na\\u00efve \\r\\nSet-Cookie: x": 2}'
    await connection.send(request("POST", f"{CONFIGS}?fieldValidation=Warn", body=body))
    answer = await connection.answer()
    assert answer.status == 201
    assert len(answer.warnings) == 2
    assert answer.warnings[0] == '299 - "unknown field \\"color\\""'
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", 400),
        (b"NONSENSE\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00", 400),
        (b"GET / HTTP/7.3\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * LIMITS.header_bytes + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000 + b"\r\n", 431),
        (b"GET /" + b"a" * LIMITS.target_bytes + b" HTTP/1.1\r\n\r\n", 414),
        (request("POST", CONFIGS, f"Content-Length: {LIMITS.body_bytes + 1}"), 413),
        (
            request("POST", CONFIGS, "Transfer-Encoding: chunked") + b"%x\r\n" % (LIMITS.body_bytes + 9) + b"x" * (LIMITS.body_bytes + 9),
            413,
        ),
    ],
)
async def test_a_broken_request_is_told_so_and_the_connection_ends(raw: Raw, data: bytes, status: int) -> None:
    connection = await raw.connect()
    await connection.send(data)
    answer = await connection.answer()
    assert (answer.status, answer.doc["kind"], answer.doc["code"]) == (status, "Status", status)
    assert answer.headers["connection"] == "close"
    assert await connection.ended()


async def test_a_refusal_reaches_a_client_that_is_still_sending(raw: Raw) -> None:
    connection = await raw.connect()
    await connection.send(request("POST", CONFIGS, f"Content-Length: {64 << 20}"))
    for _ in range(16):
        await connection.send(b"x" * (1 << 18))
    assert (await connection.answer()).status == 413


async def test_requests_before_a_broken_one_are_answered(raw: Raw) -> None:
    connection = await raw.connect()
    await connection.send(create("a") + VERSION + b"\x00\x01\x02\r\n\r\n" + VERSION)
    assert [(await connection.answer()).status for _ in range(3)] == [201, 200, 400]
    assert await connection.ended()


async def test_the_body_limit_is_upstreams(raw: Raw) -> None:
    connection = await raw.connect()
    # Within the limit it is the object that is too large, which is another refusal.
    body = json.dumps(config("a", x="y" * (LIMITS.body_bytes - 200))).encode()
    await connection.send(request("POST", CONFIGS, body=body))
    answer = await connection.answer()
    assert (answer.status, answer.reason) == (422, "Invalid")


async def test_a_request_that_does_not_arrive_is_given_up(raw: Raw) -> None:
    """A client that sends a byte now and then keeps nothing busy for ever."""
    connection = await raw.connect()
    await connection.send(b"G")
    (served,) = await eventually(lambda: [c for c in connections(raw) if c._begun_at])
    begun = served._begun_at
    for byte in (b"E", b"T"):
        await connection.send(byte)
    await eventually(lambda: served._active_at > begun)
    assert served._begun_at == begun
    sweep(raw, after=LIMITS.head_seconds + 1)
    assert (await connection.answer()).status == 408
    assert await connection.ended()
    connection = await raw.connect()
    await connection.send(request("POST", CONFIGS, "Content-Length: 100") + b"{")
    await eventually(lambda: [c for c in connections(raw) if c._reading_body])
    sweep(raw, after=LIMITS.head_seconds + 1)
    sweep(raw, after=LIMITS.request_seconds + 1)
    assert (await connection.answer()).status == 408


async def test_an_idle_connection_is_closed(raw: Raw) -> None:
    connection = await raw.connect()
    await connection.send(VERSION)
    await connection.answer()
    sweep(raw)
    await connection.send(VERSION)
    await connection.answer()
    sweep(raw, after=LIMITS.idle_seconds + 1)
    assert await connection.ended()


async def test_a_client_that_does_not_read_is_cut(raw: Raw) -> None:
    api = Api(raw.server)
    for n in range(8):
        await api.post(CONFIGS, config(f"c{n}", x="y" * 500_000))
    connection = await raw.connect()
    connection.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await connection.send(request("GET", CONFIGS) * 40)
    (served,) = await eventually(lambda: [c for c in connections(raw) if c._resume is not None])
    sweep(raw)
    assert connections(raw) == [served]
    sweep(raw, after=LIMITS.stall_seconds + 1)
    await eventually(lambda: not connections(raw))


async def test_a_watch_that_is_not_read_holds_nobody_up(raw: Raw) -> None:
    api = Api(raw.server)
    connection = await raw.connect()
    await connection.send(request("GET", f"{CONFIGS}?watch=1"))
    await connection.head()
    connection.writer.transport.pause_reading()  # type: ignore[attr-defined]
    for n in range(60):
        assert (await api.post(CONFIGS, config(f"c{n}", x="y" * 100_000))).status == 201
    connection.writer.transport.resume_reading()  # type: ignore[attr-defined]
    seen = []
    async for chunk in connection.chunks():
        seen += [json.loads(line)["object"]["metadata"]["name"] for line in chunk.splitlines()]
        if len(seen) == 60:
            break
    assert seen == [f"c{n}" for n in range(60)]


async def test_a_client_that_leaves_takes_its_watch_along_but_not_its_write(raw: Raw, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    api = Api(raw.server)
    cache = next(cache for cache in raw.server.storage.caches() if cache.kind.plural == "configmaps")
    connection = await raw.connect()
    await connection.send(request("GET", f"{CONFIGS}?watch=1"))
    await connection.head()
    assert cache.watching == 1
    connection.close()
    await eventually(lambda: cache.watching == 0)
    writer = await raw.connect()
    await writer.send(create("left"))
    writer.close()
    connection = await raw.connect()
    await connection.send(request("GET", CONFIGS, "Connection: close"))
    assert (await connection.answer()).status == 200
    assert (await api.get(f"{CONFIGS}/left")).status in (200, 404)  # Done or never begun, and no complaint either way.
    assert caplog.records == []


async def test_an_upgrade_that_nothing_takes_is_an_ordinary_answer(raw: Raw) -> None:
    upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")
    for target, status in (("/version", 200), (f"{NS}/pods/none/exec?command=x", 404), ("/nothing", 404)):
        connection = await raw.connect()
        await connection.send(request("GET", target, *upgrade))
        answer = await connection.answer()
        assert (answer.status, answer.headers["connection"]) == (status, "close")
        assert await connection.ended()


async def test_exec_without_an_upgrade_is_refused(raw: Raw) -> None:
    api = Api(raw.server)
    await api.post(f"{NS}/pods", {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "registry.example/x:1"}]}})
    connection = await raw.connect()
    await connection.send(request("GET", f"{NS}/pods/p/exec?command=ls"))
    answer = await connection.answer()
    assert (answer.status, answer.reason, answer.message) == (400, "BadRequest", "Upgrade request required")


async def test_caller_without_a_certificate_is_anonymous(raw: Raw) -> None:
    connection = await raw.connect(identity="")
    await connection.send(request("GET", "/livez") + request("GET", CONFIGS) + request("GET", "/version", "Authorization: Bearer nonsense"))
    assert (await connection.answer()).body == b"ok"
    refused = await connection.answer()
    assert (refused.status, refused.reason) == (403, "Forbidden")
    assert 'User "system:anonymous" cannot list' in refused.message
    assert (await connection.answer()).reason == "Unauthorized"


async def test_plain_http_and_half_handshakes_hurt_nobody(raw: Raw) -> None:
    for data in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", b""):
        reader, writer = await asyncio.open_connection("127.0.0.1", raw.server.port)
        writer.write(data)
        writer.write_eof()
        assert b"HTTP/1.1 200" not in await asyncio.wait_for(reader.read(), 20)
        writer.close()
    connection = await raw.connect()
    await connection.send(VERSION)
    assert (await connection.answer()).status == 200


async def test_old_tls_is_refused(raw: Raw) -> None:
    context = raw.context()
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection("127.0.0.1", raw.server.port, ssl=context)


async def test_a_shutdown_ends_watches_cleanly_and_finishes_what_is_under_way(raw: Raw) -> None:
    api = Api(raw.server)
    watching, idle, partial = [await raw.connect() for _ in range(3)]
    await watching.send(request("GET", f"{CONFIGS}?watch=1&allowWatchBookmarks=true"))
    await watching.head()
    await idle.send(VERSION)
    await idle.answer()
    await partial.send(b"GET /version HT")
    await api.post(CONFIGS, config("last"))
    began = asyncio.get_running_loop().time()
    await raw.server.stop(grace=10.0)
    # Nobody had to be waited for: the grace is for answers under way.
    assert asyncio.get_running_loop().time() - began < 5.0
    lines = b"".join([chunk async for chunk in watching.chunks()]).splitlines()
    assert [json.loads(line)["object"]["metadata"]["name"] for line in lines] == ["last"]
    for connection in (watching, idle, partial):
        assert await connection.ended()
    with pytest.raises(OSError):
        await raw.connect()


async def test_while_it_drains_connections_end_with_their_answer(raw: Raw) -> None:
    connection = await raw.connect()
    await connection.send(VERSION)
    assert "connection" not in (await connection.answer()).headers
    raw.server._server.drain()  # type: ignore[union-attr]
    await connection.send(create("a"))
    answer = await connection.answer()
    assert (answer.status, answer.headers["connection"]) == (201, "close")
    assert await connection.ended()


def connections(raw: Raw) -> list[Connection]:
    assert raw.server._server is not None
    return [connection for connection in raw.server._server.pool.connections if isinstance(connection, Connection)]


def sweep(raw: Raw, *, after: float = 0.0) -> None:
    """Sweep as the server does every few seconds, with so many of them gone by."""
    now = time.monotonic() + after
    for connection in connections(raw):
        connection.sweep(now)
