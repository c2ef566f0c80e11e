"""Connections of a component in a process of its own to the API server: credentials, accounts of the control loops, limits of the rate."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

from tiphys.aio.clock import Clock
from tiphys.client import kubeconfig
from tiphys.client.accounts import AccountToken, AccountTransport
from tiphys.client.client import Client
from tiphys.client.limited import LimitedTransport
from tiphys.client.rest import HttpTransport
from tiphys.daemon.settings import SettingsError
from tiphys.runtime.declaration import Declaration
from tiphys.settings.client import ClientSettings
from tiphys.wire.http import Transport


class Connections:
    """Connections of one component. Raises SettingsError where there is no usable kubeconfig."""

    def __init__(self, settings: ClientSettings, name: str, *, clock: Clock, rng: random.Random) -> None:
        self._settings = settings
        self._name = name
        self._clock = clock
        self._rng = rng
        self._open: list[HttpTransport] = []
        self.client = self._client(self._limited(self._transport(settings.kubeconfig)))
        """The client under the component's own name."""

    def other(self, path: Path | None) -> Client:
        """Return a client with another kubeconfig; without one, that of the component."""
        return self.client if path is None else self._client(self._transport(path))

    def by_accounts(self) -> Callable[[Declaration], Client]:
        """Return the function that gives a control loop a client under its roles' service accounts, and limits of its own."""
        anonymous = self._transport(self._settings.kubeconfig, anonymous=True)

        def client_of(declaration: Declaration) -> Client:
            tokens = [AccountToken(self.client, role, self._clock) for role in declaration.roles]
            return self._client(self._limited(AccountTransport(anonymous, tokens))) if tokens else self.client

        return client_of

    def by_limits(self) -> Callable[[Declaration], Client]:
        """Return the function that gives a control loop a client under the component's name, and limits of its own."""
        transport = self._open[0]
        return lambda _: self._client(self._limited(transport))

    async def close(self) -> None:
        """Close all connections."""
        for transport in self._open:
            await transport.close()

    def _client(self, transport: Transport) -> Client:
        return Client(transport, user_agent=self._name, clock=self._clock, rng=self._rng)

    def _limited(self, transport: Transport) -> Transport:
        settings = self._settings
        if settings.qps < 0:
            return transport
        return LimitedTransport(transport, rate=settings.qps, burst=settings.burst, clock=self._clock)

    def _transport(self, path: Path | None, *, anonymous: bool = False) -> HttpTransport:
        server = self._settings.master
        try:
            if path is None:
                transport = kubeconfig.pod_transport(os.environ, clock=self._clock, server=server, anonymous=anonymous)
            else:
                config = kubeconfig.read(path)
                transport = kubeconfig.transport(config, folder=path.parent, clock=self._clock, server=server, anonymous=anonymous)
        except OSError as error:
            source = path or "the service account"
            raise SettingsError(f"{source} cannot be read ({error.strerror}): give a kubeconfig with --kubeconfig") from error
        except ValueError as error:
            raise SettingsError(f"{error}: give a kubeconfig with --kubeconfig") from error
        self._open.append(transport)
        return transport
