"""Callers of a component's own server, authenticated and authorized by the API server ("Authenticating"; "Authorization Overview").

Answers hold for a while, and only a few reviews are under way at once.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, NamedTuple, TypeVar

import msgspec

from tiphys.aio.clock import Clock
from tiphys.api.authentication.v1 import TokenReview, TokenReviewSpec
from tiphys.api.authorization.v1 import NonResourceAttributes, ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec
from tiphys.api.machinery.errors import StatusError
from tiphys.client.client import Client
from tiphys.wire.http import Request

log = logging.getLogger(__name__)
V = TypeVar("V")

TOKEN_SECONDS = 120.0
ALLOWED_SECONDS = 300.0
DENIED_SECONDS = 30.0
"""Seconds for which an answer of the API server holds: the kubelet's defaults upstream."""
REMEMBERED = 1000
REVIEWS = 8
"""Maximum number of reviews under way: strangers must not keep the API server busy."""
UNREACHABLE = (StatusError, ConnectionError, TimeoutError)
"""Errors that leave a review without an answer."""


class Caller(NamedTuple):
    """Somebody whose identity is proven."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


class Reviews:
    """Reviews of callers by the API server."""

    def __init__(self, client: Client, clock: Clock, *, authorizing: Client | None = None) -> None:
        """`authorizing` is the client for reviews of rights where it is another one than that for reviews of tokens."""
        self.client = client
        self._authorizing = authorizing or client
        slots = asyncio.Semaphore(REVIEWS)
        self._tokens: _Remembered[Caller | None] = _Remembered(clock, slots)
        self._decisions: _Remembered[bool] = _Remembered(clock, slots)

    async def authenticate(self, request: Request) -> Caller | None:
        """Return the caller that a client certificate or a bearer token names; None for neither, or when there is no answer."""
        peer = request.peer
        if peer.common_name:
            return Caller(peer.common_name, groups=(*peer.organizations, "system:authenticated"))
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            return None
        key = hashlib.sha256(token.encode()).digest()
        try:
            return await self._tokens.get(key, lambda: self._review(token), lambda _: TOKEN_SECONDS)
        except UNREACHABLE as error:
            log.warning("token not reviewed", extra={"error": str(error)})
            return None

    async def _review(self, token: str) -> Caller | None:
        status = (await self.client.create(TokenReview(spec=TokenReviewSpec(token=token)))).status
        if not status.authenticated:
            return None
        user = status.user
        extra = tuple((key, tuple(values)) for key, values in sorted(user.extra.items()))
        return Caller(user.username, user.uid, tuple(user.groups), extra)

    async def may(self, caller: Caller, attributes: ResourceAttributes | NonResourceAttributes) -> bool:
        """Return whether the caller may do something. Raises what `UNREACHABLE` lists when there is no answer."""

        async def ask() -> bool:
            spec = SubjectAccessReviewSpec(
                resourceAttributes=attributes if isinstance(attributes, ResourceAttributes) else None,
                nonResourceAttributes=attributes if isinstance(attributes, NonResourceAttributes) else None,
                user=caller.name,
                uid=caller.uid,
                groups=list(caller.groups),
                extra={key: list(values) for key, values in caller.extra},
            )
            return (await self._authorizing.create(SubjectAccessReview(spec=spec))).status.allowed

        key = (caller, msgspec.json.encode(attributes))
        return await self._decisions.get(key, ask, lambda yes: ALLOWED_SECONDS if yes else DENIED_SECONDS)


class _Remembered(Generic[V]):
    """Answers that hold for a while; the oldest make room."""

    def __init__(self, clock: Clock, slots: asyncio.Semaphore) -> None:
        self._clock = clock
        self._slots = slots
        self._values: OrderedDict[Hashable, tuple[float, V]] = OrderedDict()

    async def get(self, key: Hashable, ask: Callable[[], Awaitable[V]], holds: Callable[[V], float]) -> V:
        """Return the answer that is remembered, or ask for one."""
        entry = self._values.get(key)
        if entry is not None and entry[0] > self._clock.monotonic():
            return entry[1]
        async with self._slots:
            value = await ask()
        self._values.pop(key, None)
        self._values[key] = self._clock.monotonic() + holds(value), value
        if len(self._values) > REMEMBERED:
            self._values.popitem(last=False)
        return value
