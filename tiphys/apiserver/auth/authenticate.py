"""From a request to a `User`: the chain of authenticators.

Order: headers of a front proxy, client certificate, bearer token (token file, service accounts, bootstrap tokens), anonymous. A request
that carries a bad bearer token is refused, even where an anonymous one would be served. A client certificate wins over a token.
("Authenticating")
"""

from __future__ import annotations

import base64
import binascii
import csv
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

import msgspec

from tiphys.api.machinery.errors import Unauthorized
from tiphys.apiserver.auth.user import ANONYMOUS, ANONYMOUS_USER, AUTHENTICATED, UNAUTHENTICATED, User
from tiphys.wire.http import PeerIdentity, Request

WEBSOCKET_TOKEN = "base64url.bearer.authorization.k8s.io."
"""Prefix of the WebSocket subprotocol in which browsers, which cannot set headers, send a bearer token."""

MAX_CACHED_PEERS = 4096


class InvalidToken(Exception):
    """The token is meant for this authenticator and is bad; the message may be shown in token reviews."""


class Identified(NamedTuple):
    """A user and the audiences that the token and the asker have in common."""

    user: User
    audiences: tuple[str, ...]


class Authenticator(Protocol):
    """Knows one kind of credential."""

    async def authenticate(self, request: Request) -> User | None:
        """The caller, or None when the request carries no credential of this kind. Raises Unauthorized for a bad one."""
        ...


class TokenAuthenticator(Protocol):
    """Knows one kind of bearer token."""

    def identify(self, token: str, audiences: Sequence[str]) -> Identified | None:
        """The user of the token, None when it is not of this kind; raises InvalidToken. No `audiences` means those of the API server."""
        ...


class _Known:
    """A certificate's user, and the number of requests with it that are yet to be reported."""

    __slots__ = ("requests", "user")

    def __init__(self, user: User) -> None:
        self.user = user
        self.requests = 0


class CertificateAuthenticator:
    """The verified client certificate that TLS (or the in-process transport) vouches for: common name = user, organizations = groups."""

    def __init__(self, lifetimes: Callable[[float, int], None] = lambda expires, requests: None) -> None:
        self._lifetimes = lifetimes
        """Receives, now and then, the number of requests with certificates of one expiry; `flush` reports the rest."""
        self._users: dict[tuple[str, tuple[str, ...], float], _Known] = {}

    async def authenticate(self, request: Request) -> User | None:
        return self.recognize(request)

    def recognize(self, request: Request) -> User | None:
        """Return the caller, which takes no waiting."""
        peer = request.peer
        if not peer.common_name:
            return None
        known = self._users.get((peer.common_name, peer.organizations, peer.expires))
        if known is None:
            known = self._make(peer)
        known.requests += 1
        return known.user

    def flush(self) -> None:
        """Tell of the requests since the last time."""
        for (_, _, expires), known in self._users.items():
            if expires and known.requests:
                self._lifetimes(expires, known.requests)
                known.requests = 0

    def _make(self, peer: PeerIdentity) -> _Known:
        groups = peer.organizations
        # A certificate may say who it is, but not that it was not authenticated.
        user = with_authenticated(User(peer.common_name, groups=tuple(g for g in groups if g != UNAUTHENTICATED)))
        if len(self._users) >= MAX_CACHED_PEERS:
            self.flush()
            self._users.clear()
        known = self._users[(peer.common_name, groups, peer.expires)] = _Known(user)
        return known


class TokenFile:
    """Static tokens: lines of `token,user,uid,"group1,group2"` (`--token-auth-file`). They are for this API server's `audiences` only."""

    def __init__(self, tokens: dict[str, User], audiences: Sequence[str] = ()) -> None:
        self._tokens = tokens
        self._audiences = tuple(audiences)

    @classmethod
    def parse(cls, lines: Iterable[str], source: str = "token file", *, audiences: Sequence[str] = ()) -> TokenFile:
        """Read CSV lines; raises ValueError that names `source` and the line."""
        tokens: dict[str, User] = {}
        for number, row in enumerate(csv.reader(lines, skipinitialspace=True), 1):
            fields = [value.strip() for value in row]
            if not any(fields):
                continue
            if len(fields) < 3:
                raise ValueError(f"{source}:{number}: want token,user,uid and optionally groups, got {len(fields)} columns")
            token, name, uid = fields[:3]
            if not token or not name:
                raise ValueError(f"{source}:{number}: the token and the user may not be empty")
            groups = tuple(group.strip() for group in (fields[3] if len(fields) > 3 else "").split(",") if group.strip())
            tokens[token] = with_authenticated(User(name, uid, groups))
        return cls(tokens, audiences)

    def identify(self, token: str, audiences: Sequence[str]) -> Identified | None:
        user = self._tokens.get(token)
        if user is None:
            return None
        common = tuple(audience for audience in self._audiences if audience in audiences) if audiences else self._audiences
        return Identified(user, common) if common or not audiences else None


class BearerAuthenticator:
    """`Authorization: Bearer`, or the WebSocket subprotocol that stands for it, through a list of token authenticators."""

    def __init__(self, tokens: Sequence[TokenAuthenticator]) -> None:
        self._tokens = tuple(tokens)

    async def authenticate(self, request: Request) -> User | None:
        token = bearer_token(request)
        if not token:
            return None
        try:
            identified = self.identify(token, ())
        except InvalidToken as error:
            raise Unauthorized from error
        if identified is None:
            raise Unauthorized
        return identified.user

    def identify(self, token: str, audiences: Sequence[str]) -> Identified | None:
        """The first answer of the list. Raises InvalidToken when one of them says the token is bad and no other knows it."""
        bad: InvalidToken | None = None
        for authenticator in self._tokens:
            try:
                identified = authenticator.identify(token, audiences)
            except InvalidToken as error:
                bad = bad or error
                continue
            if identified is not None:
                return identified
        if bad is not None:
            raise bad
        return None


class AuthenticatorChain:
    """Asks each authenticator in turn; a request that none of them knows is anonymous, or refused when that is switched off."""

    def __init__(
        self, authenticators: Sequence[Authenticator], *, anonymous: bool = True, for_proxies: Authenticator | None = None
    ) -> None:
        self._authenticators = tuple(authenticators)
        first = self._authenticators[0] if self._authenticators else None
        self._certificates = first if isinstance(first, CertificateAuthenticator) else None
        self._for_proxies = for_proxies
        """Asked first about requests that come from a front proxy."""
        self._anonymous = anonymous

    def recognize(self, request: Request) -> User | None:
        """Return the caller if its certificate tells at once who it is; for others, ask `authenticate`."""
        return None if self._certificates is None or request.peer.proxy_name else self._certificates.recognize(request)

    async def authenticate(self, request: Request) -> User:
        """The caller. Raises Unauthorized."""
        proxied = request.peer.proxy_name
        if proxied and self._for_proxies is not None:
            user = await self._for_proxies.authenticate(request)
            if user is not None:
                return user
        for authenticator in self._authenticators:
            user = await authenticator.authenticate(request)
            if user is not None:
                return user
        if not self._anonymous or proxied:  # A certificate without a user is a bad credential.
            raise Unauthorized
        return ANONYMOUS_USER


def bearer_token(request: Request) -> str:
    """The bearer token that the request carries, or "". Raises Unauthorized when a WebSocket token is not base64url text."""
    authorization = request.headers.get("authorization")
    if authorization is not None:
        scheme, _, token = authorization.partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""
    protocols = request.headers.get("sec-websocket-protocol")
    if protocols is None or WEBSOCKET_TOKEN not in protocols:
        return ""
    for protocol in protocols.split(","):
        encoded = protocol.strip()
        if encoded.startswith(WEBSOCKET_TOKEN):
            encoded = encoded[len(WEBSOCKET_TOKEN) :]
            try:
                return base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True).decode()
            except (binascii.Error, UnicodeDecodeError) as error:
                raise Unauthorized from error
    return ""


def with_authenticated(user: User) -> User:
    """The user with `system:authenticated` among the groups, unless anonymous."""
    if user.name == ANONYMOUS or AUTHENTICATED in user.groups:
        return user
    return msgspec.structs.replace(user, groups=(*user.groups, AUTHENTICATED))
