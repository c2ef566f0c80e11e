"""Bytes on the wire that try to be read in two ways, and loads that should leave no trace in memory."""

from __future__ import annotations

import gc
import os

import pytest

from tests.integration.apiserver.api import CONFIGS, JSON_PATCH, MERGE, PODS, Api
from tests.integration.apiserver.raw import Raw, request

HEAD = b"Host: server\r\n"
INNER = b"DELETE " + CONFIGS.encode() + b"/a HTTP/1.1\r\nHost: server\r\n\r\n"
"""A request that must never be taken for one when it stands in a body."""


def post(*lines: bytes, body: bytes = b"") -> bytes:
    return b"POST " + CONFIGS.encode() + b" HTTP/1.1\r\n" + HEAD + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


SMUGGLED = {
    "length and chunks": post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + INNER),
    "chunks and length": post(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n" + INNER),
    "two lengths": post(b"Content-Length: 0", b"Content-Length: %d" % len(INNER), body=INNER),
    "lengths in a list": post(b"Content-Length: 0, %d" % len(INNER), body=INNER),
    "signed length": post(b"Content-Length: +0", body=INNER),
    "hex length": post(b"Content-Length: 0x5", body=INNER),
    "space before the colon": post(b"Content-Length : %d" % len(INNER), body=INNER),
    "folded line": post(b"X: y\r\n Content-Length: 0", body=INNER),
    "odd encoding": post(b"Transfer-Encoding: xchunked", body=INNER),
    "chunked and more": post(b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n" + INNER),
    "chunked twice": post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + INNER),
    "bad size": post(b"Transfer-Encoding: chunked", body=b"-1\r\n" + INNER),
    "huge size": post(b"Transfer-Encoding: chunked", body=b"f" * 17 + b"\r\n" + INNER),
    "size with a sign": post(b"Transfer-Encoding: chunked", body=b"+0\r\n\r\n" + INNER),
    "endless extension": post(b"Transfer-Encoding: chunked", body=b"5;" + b"x" * 100_000 + b"\r\nhello\r\n0\r\n\r\n"),
    "bare line feeds": b"GET /version HTTP/1.1\nHost: server\n\n" + INNER,
    "bare carriage return": b"GET /version HTTP/1.1\rHost: server\r\n\r\n",
    "NUL in a header": post(b"X: a\x00b", body=b""),
    "NUL in the target": b"GET /api/v1\x00/pods HTTP/1.1\r\n" + HEAD + b"\r\n",
    "absolute target": b"GET http://elsewhere/api/v1/namespaces/default/configmaps/a HTTP/1.1\r\n" + HEAD + b"\r\n",
    "authority target": b"CONNECT elsewhere:443 HTTP/1.1\r\n" + HEAD + b"\r\n",
    "asterisk target": b"OPTIONS * HTTP/1.1\r\n" + HEAD + b"\r\n",
    "no slash": b"GET api/v1/pods HTTP/1.1\r\n" + HEAD + b"\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "many trailers": post(b"Transfer-Encoding: chunked", body=b"0\r\n" + b"X: y\r\n" * 50_000 + b"\r\n"),
    "two hosts": b"GET /version HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "method with spaces": b"GET  /version  HTTP/1.1\r\n" + HEAD + b"\r\n",
}


@pytest.mark.parametrize("name", SMUGGLED)
async def test_nothing_is_read_in_two_ways(raw: Raw, name: str) -> None:
    api = Api(raw.server)
    connection = await raw.connect()
    await connection.send(SMUGGLED[name])
    code, _ = await connection.head()
    assert code < 500 or code in (501, 505), name
    connection.close()
    assert (await api.get(f"{CONFIGS}/a")).status == 200, "the request within was carried out"
    fresh = await raw.connect()
    await fresh.send(request("GET", "/readyz"))
    assert (await fresh.answer()).body == b"ok"


def resident() -> int:
    """MB of memory in use."""
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20


LOADS: list[tuple[str, str, str, bytes]] = [
    (
        "POST",
        CONFIGS,
        "application/json",
        b'{"metadata":{"name":"b"},"data":{' + b",".join(b'"k%d":"v"' % n for n in range(60_000)) + b"}}",
    ),
    ("POST", PODS, "application/json", b'{"metadata":{"name":"b"},"spec":{"containers":[' + b",".join([b'{"name":"c"}'] * 8_000) + b"]}}"),
    ("POST", CONFIGS, "application/json", b"[" * 2_900_000),
    ("PATCH", f"{CONFIGS}/a", MERGE, b'{"metadata":{"labels":{' + b",".join(b'"k%d":"v"' % n for n in range(60_000)) + b"}}}"),
    ("PATCH", f"{CONFIGS}/a", JSON_PATCH, b"[" + b",".join([b'{"op":"copy","from":"/data","path":"/data/x"}'] * 9_000) + b"]"),
    ("POST", CONFIGS, "application/yaml", b"- " * 1_400_000),
    ("POST", CONFIGS, "application/vnd.kubernetes.protobuf", b"k8s\0" + b"\x12" * 2_900_000),
]


async def test_loads_leave_no_trace(api: Api) -> None:
    async def round_() -> None:
        for method, target, media, body in LOADS:
            answer = await api.send(method, f"{target}?dryRun=All", body, content_type=media)
            too_large = answer.status == 500 and b"etcdserver: request is too large" in answer.body
            assert 400 <= answer.status < 500 or answer.status in (200, 201) or too_large

    await round_()
    before = resident()
    for _ in range(2):
        await round_()
    assert resident() - before < 120
