"""The HTTP/1.1 messages around an upgrade: writing the request and the 101, reading the answer of the server behind.

For connections that stop being HTTP once the 101 is there. Whatever follows the answer's header in the same packet is kept for the
protocol that takes over.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus

import httptools

from tiphys.wire.errors import ProtocolError

MAX_ANSWER = 256 * 1024
"""Bytes of an answer's header and, when it is not a 101, body."""


def request_head(method: str, target: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """A request without body. Raises ValueError for header values that contain line breaks."""
    return _head(f"{method} {target} HTTP/1.1", headers)


def response_head(status: int, headers: Iterable[tuple[str, str]]) -> bytes:
    """A status line and headers. Raises ValueError for header values that contain line breaks."""
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:
        reason = "Unknown"
    return _head(f"HTTP/1.1 {status} {reason}", headers)


def _head(line: str, headers: Iterable[tuple[str, str]]) -> bytes:
    lines = [line, *(f"{name}: {value}" for name, value in headers)]
    if any("\r" in text or "\n" in text for text in lines):
        raise ValueError("line break in an HTTP header")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer to an upgrade request: a 101 with the first bytes of the new protocol, or any other status with its body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    rest: bytes

    @property
    def is_upgraded(self) -> bool:
        return self.status == HTTPStatus.SWITCHING_PROTOCOLS


class AnswerReader:
    """Reads one answer from bytes in any slicing; raises ProtocolError if it is not HTTP or larger than MAX_ANSWER."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers: list[tuple[str, str]] = []
        self._body = bytearray()
        self._size = 0
        self._complete = False

    def feed(self, data: bytes) -> Answer | None:
        """The answer, once it is complete. Do not feed anything after that."""
        self._size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            return self._answer(data[upgrade.args[0] :])
        except httptools.HttpParserError as exc:
            raise ProtocolError(f"answer to an upgrade is not HTTP: {exc}") from exc
        if self._complete:
            return self._answer(bytes(self._body))
        if self._size > MAX_ANSWER:
            raise ProtocolError(f"answer to an upgrade is larger than {MAX_ANSWER} bytes")
        return None

    def finish(self) -> Answer:
        """The connection ended: what arrived is the whole answer if its header was complete, else ProtocolError."""
        if not self._headers_done:
            raise ProtocolError("connection ended before the answer to an upgrade")
        return self._answer(bytes(self._body))

    def _answer(self, rest: bytes) -> Answer:
        return Answer(self._parser.get_status_code(), tuple(self._headers), rest)

    # Called by httptools.

    _headers_done = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        self._headers_done = True

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self._complete = True
