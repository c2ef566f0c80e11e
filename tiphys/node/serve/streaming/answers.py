"""Answers before the streaming protocol starts: the 101, or a refusal that says why."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tiphys.aio.duplex import Duplex
from tiphys.api.machinery.errors import StatusError
from tiphys.wire.http_upgrade import Answer, response_head
from tiphys.wire.negotiate import ACCEPTED_PROTOCOLS_HEADER, SPDY_31, STREAM_PROTOCOL_HEADER

_RELAYED = frozenset({"content-type", ACCEPTED_PROTOCOLS_HEADER.lower()})


async def switch_to_websocket(client: Duplex, accept: str, protocol: str) -> None:
    """The 101 of a WebSocket; no sub-protocol header when the client asked for none."""
    chosen = [("Sec-WebSocket-Protocol", protocol)] if protocol else []
    head = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept), *chosen]
    await client.write(response_head(101, head))


async def switch_to_spdy(client: Duplex, protocol: str) -> None:
    """The 101 of SPDY with the version the runtime chose."""
    chosen = [(STREAM_PROTOCOL_HEADER, protocol)] if protocol else []
    await client.write(response_head(101, [("Connection", "Upgrade"), ("Upgrade", SPDY_31), *chosen]))


async def refuse(client: Duplex, error: StatusError) -> None:
    """An ordinary response with a Status. The connection is of no use after it."""
    await _respond(client, error.code, [("Content-Type", "application/json")], msgspec.json.encode(error.status()))


async def relay_refusal(client: Duplex, answer: Answer) -> None:
    """The runtime's refusal as it came."""
    await _respond(client, answer.status, ((name, value) for name, value in answer.headers if name in _RELAYED), answer.rest)


async def _respond(client: Duplex, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
    head = [*headers, ("Content-Length", str(len(body))), ("Connection", "close")]
    await client.write(response_head(status, head) + body)
