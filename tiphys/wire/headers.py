"""HTTP header lists as the codecs need them: ordered pairs, looked up without regard to case, repeated names kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

HeaderPairs = Iterable[tuple[str | bytes, str | bytes]]
"""Headers as servers hand them over: name and value as text or as the bytes that were on the wire."""


def text(value: str | bytes) -> str:
    """A header name or value as text (HTTP headers are Latin-1 on the wire)."""
    return value if isinstance(value, str) else bytes(value).decode("latin-1")


def pairs(headers: HeaderPairs | Mapping[str, str]) -> list[tuple[str, str]]:
    """Names in lower case with their values, in the order they came."""
    items = headers.items() if isinstance(headers, Mapping) else headers
    return [(text(name).lower(), text(value)) for name, value in items]


def values(headers: list[tuple[str, str]], name: str) -> list[str]:
    """All values of a comma-separated header, over all its lines, in order and stripped; empty elements are skipped."""
    lines = (value for key, value in headers if key == name.lower())
    return [element for line in lines for element in (part.strip() for part in line.split(",")) if element]


def first(headers: list[tuple[str, str]], name: str) -> str | None:
    """The first line with that name, unsplit, or None."""
    return next((value.strip() for key, value in headers if key == name.lower()), None)


def has_token(headers: list[tuple[str, str]], name: str, token: str) -> bool:
    """Return whether a comma-separated header contains the token, in any case."""
    return token.lower() in (value.lower() for value in values(headers, name))
