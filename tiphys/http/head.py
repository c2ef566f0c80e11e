"""Request targets and response heads: the small encodings of HTTP/1.1, with what repeats remembered."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from http import HTTPStatus
from urllib.parse import parse_qsl

from tiphys.wire.http import Response

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
_CONTROLS = {code: " " for code in (*range(0x20), 0x7F) if code != 0x09}
_NAMES: dict[bytes, str] = {}
_MAX_NAMES = 1024


def header_name(name: bytes) -> str:
    """A header's name in lower case."""
    known = _NAMES.get(name)
    if known is None:
        known = name.decode("latin-1").lower()
        if len(_NAMES) < _MAX_NAMES and len(name) < 64:
            _NAMES[name] = known
    return known


def parse_query(query: bytes) -> Sequence[tuple[str, str]]:
    """The parameters of a query in their order; names without a value have an empty one."""
    if not query:
        return ()
    text = query.decode("latin-1")
    if "%" in text or "+" in text or not text.isascii():
        return parse_qsl(text, keep_blank_values=True)
    pairs = (part.partition("=") for part in text.split("&") if part)
    return [(name, value) for name, _, value in pairs]


def response_head(response: Response, *, close: bool) -> bytes:
    """The status line and the headers of a response, without those about its length and without the empty line."""
    head = _head(response.status, tuple(response.headers.items()), close)
    if not response.repeated:
        return head
    return head + b"".join(f"{name}: {_clean(value)}\r\n".encode() for name, value in response.repeated)


@lru_cache(maxsize=512)
def _head(status: int, headers: tuple[tuple[str, str], ...], close: bool) -> bytes:
    lines = [_STATUS_LINES.get(status) or f"HTTP/1.1 {status} Status\r\n"]
    lines += [f"{name}: {_clean(value)}\r\n" for name, value in headers]
    if close:
        lines.append("Connection: close\r\n")
    return "".join(lines).encode()


def _clean(value: str) -> str:
    """A header's value without anything that could end its line."""
    return value if value.isprintable() else value.translate(_CONTROLS)
