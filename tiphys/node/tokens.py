"""Service-account tokens for pods, asked for by TokenRequest, kept until they near their end.

A token is renewed when four fifths of its life, or a day, have passed ("Managing Service Accounts").
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from tiphys.aio.clock import Clock
from tiphys.api.authentication import v1 as authn
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import StatusError
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.client.client import Client
from tiphys.node.volumes.payload import TokenKey

_LONGEST = timedelta(hours=24)


class _Held:
    def __init__(self, token: str, renew: datetime, ends: datetime) -> None:
        self.token = token
        self.renew = renew
        self.ends = ends


class TokenCache:
    """The tokens of this node's pods."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self.client = client
        self.clock = clock
        self._held: dict[tuple[str, TokenKey], _Held] = {}
        self._locks: dict[tuple[str, TokenKey], asyncio.Lock] = {}

    async def get(self, pod: core.Pod, key: TokenKey) -> str:
        """A token that is still good for a while. Raises StatusError and ConnectionError when a new one is needed and none is to be had;
        an old one that has not ended yet is given out instead.
        """
        return (await self.get_with_expiry(pod, key))[0]

    async def get_with_expiry(self, pod: core.Pod, key: TokenKey) -> tuple[str, datetime]:
        """Return a token as `get` does, and its end."""
        place = (pod.metadata.uid, key)
        async with self._locks.setdefault(place, asyncio.Lock()):
            held = self._held.get(place)
            if held is None or held.renew <= self.clock.now():
                try:
                    held = await self._request(pod, key)
                except (StatusError, ConnectionError, TimeoutError):
                    if held is None or held.ends <= self.clock.now():
                        raise
                self._held[place] = held
            return held.token, held.ends

    def renewal(self, uid: str) -> datetime | None:
        """Return when the next of a pod's tokens is due."""
        return min((held.renew for (owner, _), held in self._held.items() if owner == uid), default=None)

    def forget(self, uid: str) -> None:
        """The pod is gone."""
        for place in [place for place in self._held if place[0] == uid]:
            del self._held[place]
        for place in [place for place in self._locks if place[0] == uid]:
            del self._locks[place]

    async def _request(self, pod: core.Pod, key: TokenKey) -> _Held:
        bound = authn.BoundObjectReference(kind="Pod", apiVersion="v1", name=pod.metadata.name, uid=pod.metadata.uid)
        spec = authn.TokenRequestSpec(
            audiences=[key.audience] if key.audience else [], expirationSeconds=key.expiration, boundObjectRef=bound
        )
        request = authn.TokenRequest(metadata=_meta(pod), spec=spec)
        account = pod.spec.serviceAccountName or "default"
        answer = await self.client.post(core.ServiceAccount, account, pod.metadata.namespace, "token", request, authn.TokenRequest)
        now = self.clock.now()
        ends = answer.status.expirationTimestamp or now + timedelta(seconds=key.expiration)
        return _Held(answer.status.token, now + min((ends - now) * 0.8, _LONGEST), ends)


def _meta(pod: core.Pod) -> ObjectMeta:
    """Metadata of a token request: the namespace, which the server checks against the path."""
    return ObjectMeta(namespace=pod.metadata.namespace, name=pod.spec.serviceAccountName or "default")
