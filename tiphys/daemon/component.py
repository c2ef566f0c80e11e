"""The controllers or the scheduler in a process of their own, against any API server, as one of several of which one works.

A process that loses its lease ends, and is started again as a candidate by whoever keeps it: nothing of its work can go on beside that of
the next leader.
"""

from __future__ import annotations

import asyncio
import random

from tiphys.aio.clock import Clock, LoopClock
from tiphys.aio.tasks import until
from tiphys.daemon.connection import Connections
from tiphys.daemon.election import CONTROLLER_MANAGER, SCHEDULER, elector_of
from tiphys.daemon.pages import Pages, checks_of
from tiphys.daemon.settings import ClusterSettings
from tiphys.runtime.delegated import Reviews
from tiphys.runtime.leader import LeaderElector
from tiphys.settings.client import ClientSettings
from tiphys.settings.serving import ServingSettings


class Component:
    """Process of one component, with its own connection to the API server."""

    def __init__(self, settings: ClusterSettings, *, clock: Clock | None = None, rng: random.Random | None = None) -> None:
        self.settings = settings
        self.clock = clock or LoopClock()
        self.rng = rng or random.Random()

    async def run_controllers(self, stop: asyncio.Event) -> None:
        """Run the controllers until `stop`. Raises SettingsError, OSError, and LeadershipLost."""
        from tiphys.daemon.controllers import controllers_of
        from tiphys.runtime.manager import Manager

        settings = self.settings.controllers
        chosen = controllers_of(self.settings)
        connections = self._connections(settings.client, CONTROLLER_MANAGER)
        client = connections.client
        elector = elector_of(settings.leader_election, client, CONTROLLER_MANAGER, clock=self.clock, rng=self.rng)
        client_of = connections.by_accounts() if settings.client.service_accounts else connections.by_limits()
        try:
            manager = Manager(client, clock=self.clock, elector=elector, rng=self.rng, client_of=client_of)
            manager.add_all(chosen, workers=settings.concurrency.of)
            async with self._pages(settings.serving, connections, elector):
                await until(stop, manager.run())
        finally:
            await connections.close()

    async def run_scheduler(self, stop: asyncio.Event) -> None:
        """Run the scheduler until `stop`. Raises SettingsError, OSError, and LeadershipLost."""
        from tiphys.scheduler.scheduler import Scheduler

        settings = self.settings.scheduler
        connections = self._connections(settings.client, SCHEDULER)
        client = connections.client
        elector = elector_of(settings.leader_election, client, SCHEDULER, clock=self.clock, rng=self.rng)
        try:
            scheduler = Scheduler(client, clock=self.clock, rng=self.rng, elector=elector, settings=settings)
            async with self._pages(settings.serving, connections, elector):
                await until(stop, scheduler.run())
        finally:
            await connections.close()

    def _pages(self, serving: ServingSettings, connections: Connections, elector: LeaderElector | None) -> Pages:
        reviews = Reviews(
            connections.other(serving.authentication_kubeconfig),
            self.clock,
            authorizing=connections.other(serving.authorization_kubeconfig),
        )
        return Pages(serving, reviews, checks_of(elector, self.clock), clock=self.clock)

    def _connections(self, settings: ClientSettings, name: str) -> Connections:
        return Connections(settings, name, clock=self.clock, rng=self.rng)
