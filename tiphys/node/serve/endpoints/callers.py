"""Authentication and authorization of callers ("Kubelet authentication/authorization"; KEP-2862, fine-grained authorization).

A caller shows a client certificate of the cluster's authority or a bearer token, which the API server reviews; what the caller may do is
decided by the API server too. The administrators' group and the API server's own certificate pass without asking, so the calls of `kubectl
logs` and `exec` cost nothing more and go on when the API server is busy.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, NamedTuple, TypeVar

from tiphys.aio.clock import Clock
from tiphys.api.authentication.v1 import TokenReview, TokenReviewSpec
from tiphys.api.authorization.v1 import ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec
from tiphys.api.machinery.errors import StatusError
from tiphys.client.client import Client
from tiphys.node.serve.endpoints.refusal import Refusal
from tiphys.wire.http import PeerIdentity, Request

log = logging.getLogger(__name__)
V = TypeVar("V")

MASTERS = "system:masters"
TOKEN_SECONDS = 120.0
ALLOWED_SECONDS = 300.0
DENIED_SECONDS = 30.0
"""Seconds for which an answer of the API server holds: upstream's defaults."""
REMEMBERED = 1000
REVIEWS = 8
"""Most reviews under way at once: strangers must not keep the API server busy."""

_VERBS = {"POST": "create", "GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_FINE = {"pods": "pods", "runningpods": "pods", "healthz": "healthz", "configz": "configz"}
_OWN = {"stats": "stats", "metrics": "metrics", "logs": "log", "checkpoint": "checkpoint", "statusz": "statusz", "flagz": "configz"}


class Caller(NamedTuple):
    """Somebody whose identity is proven."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


def verb_of(method: str) -> str:
    """The API's verb for an HTTP method, "" for one without."""
    return _VERBS.get(method, "")


def subresources_of(path: str) -> list[str]:
    """Subresources of the node, any of which opens the path: the finer one first, then `proxy` where the path has none of its own."""
    head = path.strip("/").partition("/")[0]
    if head in _OWN:
        return [_OWN[head]]
    return [_FINE[head], "proxy"] if head in _FINE else ["proxy"]


class Callers:
    """Authenticates and authorizes the requests of one node's server."""

    def __init__(self, client: Client, clock: Clock, *, node: str, trusted: tuple[str, ...]) -> None:
        self.client = client
        self.node = node
        self.trusted = trusted
        """Common names of certificates that may do everything."""
        self._slots = asyncio.Semaphore(REVIEWS)
        self._tokens: _Remembered[Caller | None] = _Remembered(clock, self._slots)
        self._decisions: _Remembered[bool] = _Remembered(clock, self._slots)

    async def check(self, request: Request) -> None:
        """Raise Refusal unless the request's caller is known (401) and may make it (403)."""
        if self._is_trusted(request.peer):
            return
        caller = await self._authenticate(request)
        if caller is None:
            raise Refusal(401, "Unauthorized")
        if MASTERS in caller.groups:
            return
        verb, subresources = verb_of(request.method), subresources_of(request.path)
        for subresource in subresources:
            if await self._may(caller, verb, subresource):
                return
        listed = " ".join(subresources)
        raise Refusal(403, f"Forbidden (user={caller.name}, verb={verb}, resource=nodes, subresource(s)=[{listed}])")

    def _is_trusted(self, peer: PeerIdentity) -> bool:
        return bool(peer.common_name) and (MASTERS in peer.organizations or peer.common_name in self.trusted)

    async def _authenticate(self, request: Request) -> Caller | None:
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
        except (StatusError, ConnectionError, TimeoutError) as error:
            log.warning("token not reviewed", extra={"error": str(error)})
            return None

    async def _review(self, token: str) -> Caller | None:
        status = (await self.client.create(TokenReview(spec=TokenReviewSpec(token=token)))).status
        if not status.authenticated:
            return None
        user = status.user
        extra = tuple((key, tuple(values)) for key, values in sorted(user.extra.items()))
        return Caller(user.username, user.uid, tuple(user.groups), extra)

    async def _may(self, caller: Caller, verb: str, subresource: str) -> bool:
        async def ask() -> bool:
            attributes = ResourceAttributes(verb=verb, version="v1", resource="nodes", subresource=subresource, name=self.node)
            spec = SubjectAccessReviewSpec(
                resourceAttributes=attributes,
                user=caller.name,
                uid=caller.uid,
                groups=list(caller.groups),
                extra={key: list(values) for key, values in caller.extra},
            )
            return (await self.client.create(SubjectAccessReview(spec=spec))).status.allowed

        try:
            return await self._decisions.get((caller, verb, subresource), ask, lambda yes: ALLOWED_SECONDS if yes else DENIED_SECONDS)
        except (StatusError, ConnectionError, TimeoutError) as error:
            log.warning("access not reviewed", extra={"user": caller.name, "error": str(error)})
            message = f"Authorization error (user={caller.name}, verb={verb}, resource=nodes, subresource={subresource})"
            raise Refusal(500, message) from error


class _Remembered(Generic[V]):
    """Answers that hold for a while; the oldest make room."""

    def __init__(self, clock: Clock, slots: asyncio.Semaphore) -> None:
        self._clock = clock
        self._slots = slots
        self._values: OrderedDict[Hashable, tuple[float, V]] = OrderedDict()

    async def get(self, key: Hashable, ask: Callable[[], Awaitable[V]], holds: Callable[[V], float]) -> V:
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
