"""The way to the container runtime's streaming server: an upgrade to SPDY/3.1 at the one-time URL that CRI gave."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from tiphys.aio.duplex import Duplex
from tiphys.api.machinery.errors import InternalError
from tiphys.node.serve.streaming.socket_duplex import SocketDuplex, connect_socket
from tiphys.wire.errors import ProtocolError
from tiphys.wire.http_upgrade import Answer, AnswerReader, request_head
from tiphys.wire.negotiate import SPDY_31, STREAM_PROTOCOL_HEADER

DIAL_TIMEOUT = 30.0
"""Seconds for the connection and the runtime's answer to the upgrade."""


@dataclass(frozen=True, slots=True)
class RuntimeConnection:
    """An upgraded connection (`duplex` starts with the first SPDY byte) and the answer that opened it."""

    duplex: Duplex
    answer: Answer

    @property
    def protocol(self) -> str:
        """The version the runtime chose; empty if it named none."""
        return dict(self.answer.headers).get(STREAM_PROTOCOL_HEADER.lower(), "")


class UpgradeRefused(Exception):
    """The runtime answered the upgrade with something else than 101."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"runtime answered {answer.status}")
        self.answer = answer


async def connect_runtime(url: str, protocols: Sequence[str]) -> RuntimeConnection:
    """Open the URL as a SPDY client that offers `protocols`. Raises UpgradeRefused, and InternalError when there is no answer at all."""
    try:
        async with asyncio.timeout(DIAL_TIMEOUT):
            return await _connect(url, protocols)
    except (OSError, ProtocolError, TimeoutError, ValueError) as exc:
        raise InternalError(f"error dialing backend: {str(exc) or type(exc).__name__}") from exc


async def _connect(url: str, protocols: Sequence[str]) -> RuntimeConnection:
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(f"streaming URL {url!r} is not http://host...")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = [("Host", parts.netloc), ("Connection", "Upgrade"), ("Upgrade", SPDY_31), ("Content-Length", "0")]
    headers += ((STREAM_PROTOCOL_HEADER, protocol) for protocol in protocols)
    duplex = await connect_socket(parts.hostname, parts.port or 80)
    try:
        await duplex.write(request_head("POST", target, headers))
        answer = await _answer(duplex)
    except BaseException:
        duplex.close()
        raise
    if not answer.is_upgraded:
        duplex.close()
        raise UpgradeRefused(answer)
    duplex.push_back(answer.rest)
    return RuntimeConnection(duplex, answer)


async def _answer(duplex: SocketDuplex) -> Answer:
    reader = AnswerReader()
    while True:
        data = await duplex.read()
        answer = reader.feed(data) if data else reader.finish()
        if answer is not None:
            return answer
