"""Requests under service accounts: one for each role, so that an audit log and RBAC can tell one control loop from another.

See `--use-service-account-credentials` in "kube-controller-manager" and "Service account tokens" in the Kubernetes documentation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

from tiphys.aio.clock import Clock
from tiphys.api.authentication.v1 import TokenRequest, TokenRequestSpec
from tiphys.api.core.v1 import ServiceAccount
from tiphys.api.machinery.errors import AlreadyExists, NotFound
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.client.client import Client
from tiphys.wire.http import Request, Response, Transport

NAMESPACE = "kube-system"
LIFETIME = 3600
"""Seconds for which a token is asked for; the server may give one for another time."""
RENEWED_AFTER = 0.8
"""Part of its lifetime after which a token is replaced."""
UNAUTHORIZED, FORBIDDEN = 401, 403


class AccountToken:
    """Token of a service account in kube-system, which is created when it does not exist. It is renewed in time."""

    def __init__(self, client: Client, account: str, clock: Clock) -> None:
        self._client = client
        self._account = account
        self._clock = clock
        self._token = ""
        self._renew_at = clock.now()
        self._lock = asyncio.Lock()

    async def get(self, refused: str = "") -> str:
        """Return a token, another one than that which was `refused`. Raises StatusError and ConnectionError."""
        async with self._lock:
            if self._token == refused or self._clock.now() >= self._renew_at:
                await self._renew()
        return self._token

    async def _renew(self) -> None:
        try:
            status = (await self._request()).status
        except NotFound:
            with suppress(AlreadyExists):
                await self._client.create(ServiceAccount(metadata=ObjectMeta(name=self._account, namespace=NAMESPACE)))
            status = (await self._request()).status
        now = self._clock.now()
        self._token = status.token
        lifetime = status.expirationTimestamp - now if status.expirationTimestamp else timedelta(seconds=LIFETIME)
        self._renew_at = now + lifetime * RENEWED_AFTER

    async def _request(self) -> TokenRequest:
        body = TokenRequest(spec=TokenRequestSpec(expirationSeconds=LIFETIME))
        return await self._client.post(ServiceAccount, self._account, NAMESPACE, "token", body, TokenRequest)


class AccountTransport:
    """Transport that acts under service accounts.

    A loop that has several roles has as many accounts: a request that one may not send is sent under the next.
    """

    def __init__(self, inner: Transport, tokens: Sequence[AccountToken]) -> None:
        self._inner = inner
        self._tokens = tokens

    async def request(self, request: Request) -> Response:
        """Send under the first account that may. Raises StatusError when there is no token, and ConnectionError."""
        response = Response(FORBIDDEN)
        for account in self._tokens:
            response = await self._send(request, token := await account.get())
            if response.status == UNAUTHORIZED:  # The account was deleted, or the server's keys have changed.
                response = await self._send(request, await account.get(refused=token))
            if response.status != FORBIDDEN:
                break
        return response

    async def _send(self, request: Request, token: str) -> Response:
        headers = {**request.headers, "authorization": f"Bearer {token}"}
        return await self._inner.request(Request(request.method, request.path, request.query, headers, request.body))

    async def close(self) -> None:
        """Do nothing: the connections belong to all accounts."""
