"""The node process of a cluster without containers: hollow nodes, over HTTPS to the API server."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from tiphys.aio.backoff import Backoff, BackoffPolicy
from tiphys.aio.clock import Clock, LoopClock
from tiphys.aio.tasks import cancel_and_wait, supervise, until
from tiphys.client.client import Client
from tiphys.daemon import compose
from tiphys.daemon.credentials import wait_for_client
from tiphys.daemon.local_storage import provision_hollow
from tiphys.daemon.settings import ClusterSettings, SettingsError
from tiphys.node.hollow.behavior import BehaviorError
from tiphys.node.hollow.fleet import Fleet
from tiphys.node.hollow.rules import read_rules

RESTART = BackoffPolicy(first=0.5, cap=30.0)


def count_rules(path: Path) -> int:
    """Return the number of rules in a file. Raises SettingsError that lists everything that is wrong with it."""
    try:
        return len(read_rules(path))
    except BehaviorError as error:
        raise SettingsError(str(error)) from error


class HollowDaemon:
    """Daemon of hollow nodes. Their pods' statuses are all its state, so the next one goes on from there."""

    def __init__(self, settings: ClusterSettings, *, clock: Clock | None = None, rng: random.Random | None = None) -> None:
        self.settings = settings
        self.clock = clock or LoopClock()
        self.rng = rng or random.Random()

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop`. Raises SettingsError when the file of rules is wrong."""
        await until(stop, self._run())

    async def _run(self) -> None:
        client = await wait_for_client(self.settings.admin_kubeconfig, clock=self.clock, rng=self.rng)
        try:
            fleet = self._fleet(client)
            provisioner = asyncio.create_task(self._provision(client), name="local storage")
            try:
                await fleet.run()
            finally:
                await cancel_and_wait(provisioner)
        finally:
            await client.close()

    async def _provision(self, client: Client) -> None:
        if not self.settings.local_storage.enabled:
            return
        backoff = Backoff(RESTART, rng=self.rng)
        await supervise(
            "local storage", lambda: provision_hollow(client, clock=self.clock, rng=self.rng), clock=self.clock, backoff=backoff
        )

    def _fleet(self, client: Client) -> Fleet:
        try:
            return Fleet(compose.hollow(self.settings), client, clock=self.clock, rng=self.rng)
        except BehaviorError as error:
            raise SettingsError(str(error)) from error
