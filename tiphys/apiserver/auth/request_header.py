"""Callers for whom a front proxy speaks: the proxy proves itself by a certificate and names the caller in headers ("Authenticating:
Authenticating Proxy", "Configure the Aggregation Layer").

Header names are lower case here. The headers count only from a proxy, and go no further: see `without_identity`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import unquote

from tiphys.apiserver.auth.user import ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED, User
from tiphys.apiserver.settings import RequestHeaders
from tiphys.wire.http import REPEATED, Request

_MALFORMED = re.compile(r"%(?![0-9A-Fa-f]{2})")


STANDARD: Final = RequestHeaders()


class RequestHeaderAuthenticator:
    """Authenticates the callers that a trusted proxy names in its headers."""

    def __init__(self, headers: RequestHeaders = STANDARD) -> None:
        self._allowed = frozenset(headers.allowed_names)
        self._username, self._uid, self._group = (_lower(names) for names in (headers.username, headers.uid, headers.group))
        self._prefixes = _lower(headers.extra_prefix)
        self._names, self._begins = identity_headers(headers)

    async def authenticate(self, request: Request) -> User | None:
        """The caller that a proxy names; None when it names none, so that other credentials count."""
        proxy = request.peer.proxy_name
        if not proxy:
            return None
        user = self._named(request.headers) if not self._allowed or proxy in self._allowed else None
        kept = without_identity(request.headers, self._names, self._begins) if user is not None else request.headers
        request.headers = {name: value.replace(REPEATED, ",") for name, value in kept.items()}
        return user

    def _named(self, headers: Mapping[str, str]) -> User | None:
        name = _first(headers, self._username)
        if not name:
            return None
        groups = [value for header in self._group for value in _values(headers, header) if value]
        if name != ANONYMOUS and AUTHENTICATED not in groups and UNAUTHENTICATED not in groups:
            groups.append(AUTHENTICATED)
        extra: dict[str, tuple[str, ...]] = {}
        for prefix in self._prefixes:
            for header in headers:
                if header.startswith(prefix):
                    key = _key(header[len(prefix) :])
                    extra[key] = (*extra.get(key, ()), *_values(headers, header))
        return User(name, _first(headers, self._uid), tuple(groups), extra)


def identity_headers(headers: RequestHeaders) -> tuple[frozenset[str], tuple[str, ...]]:
    """Names, and beginnings of names, of headers that name a caller: the standard ones too, whatever is configured."""
    both = (headers, STANDARD)
    names = frozenset(name for one in both for name in _lower((*one.username, *one.uid, *one.group)))
    return names, tuple(dict.fromkeys(prefix for one in both for prefix in _lower(one.extra_prefix)))


def without_identity(headers: Mapping[str, str], names: frozenset[str], prefixes: tuple[str, ...]) -> dict[str, str]:
    """The headers without those that name a caller, which no server behind this one may trust."""
    return {name: value for name, value in headers.items() if name not in names and not name.startswith(prefixes)}


def _lower(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name.strip().lower() for name in names if name.strip())


def _values(headers: Mapping[str, str], name: str) -> list[str]:
    """The values of a header as they were sent, each on a line of its own."""
    text = headers.get(name)
    return [] if text is None else [_text(value) for value in text.split(REPEATED)]


def _first(headers: Mapping[str, str], names: Iterable[str]) -> str:
    return next((values[0] for name in names if (values := _values(headers, name)) and values[0]), "")


def _text(value: str) -> str:
    """A value as its sender meant it: headers are read as Latin-1, names are written as UTF-8."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


def _key(encoded: str) -> str:
    """The key of an extra value; one that is not encoded well is kept as it is."""
    return encoded if _MALFORMED.search(encoded) else unquote(encoded)
