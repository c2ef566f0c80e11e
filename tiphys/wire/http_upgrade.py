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


class AnswerParser:
    """One answer as it comes, in any slicing: its head once `head_done`, pieces of its body to be taken from `body`."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self.body: list[bytes] = []
        self.head_done = False
        self.done = False
        self.upgraded = False
        self.rest = b""
        """After a 101: the first bytes of the new protocol."""
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Take in what arrived. Raises ProtocolError if it is not HTTP."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self.upgraded = True
            self.rest = data[upgrade.args[0] :]
        except httptools.HttpParserError as exc:
            raise ProtocolError(f"answer is not HTTP: {exc}") from exc

    # Called by httptools.

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        self.head_done = True

    def on_body(self, body: bytes) -> None:
        self.body.append(body)

    def on_message_complete(self) -> None:
        self.done = True


class AnswerReader:
    """Reads one whole answer from bytes in any slicing; raises ProtocolError if it is not HTTP or larger than MAX_ANSWER."""

    def __init__(self) -> None:
        self._parser = AnswerParser()
        self._size = 0

    def feed(self, data: bytes) -> Answer | None:
        """The answer, once it is complete. Do not feed anything after that."""
        parser = self._parser
        self._size += len(data)
        parser.feed(data)
        if parser.upgraded:
            return self._answer(parser.rest)
        if parser.done:
            return self._answer(b"".join(parser.body))
        if self._size > MAX_ANSWER:
            raise ProtocolError(f"answer to an upgrade is larger than {MAX_ANSWER} bytes")
        return None

    def finish(self) -> Answer:
        """The connection ended: what arrived is the whole answer if its header was complete, else ProtocolError."""
        if not self._parser.head_done:
            raise ProtocolError("connection ended before the answer to an upgrade")
        return self._answer(b"".join(self._parser.body))

    def _answer(self, rest: bytes) -> Answer:
        return Answer(self._parser.status, tuple(self._parser.headers), rest)
