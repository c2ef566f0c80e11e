"""The controllers or the scheduler in a process of their own, against any API server, as one of several of which one works.

A process that loses its lease ends, and is started again as a candidate by whoever keeps it: nothing of its work can go on beside that of
the next leader.
"""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

from tiphys.aio.clock import Clock, LoopClock
from tiphys.aio.tasks import until
from tiphys.client import kubeconfig
from tiphys.client.client import Client
from tiphys.daemon.election import CONTROLLER_MANAGER, SCHEDULER, elector_of
from tiphys.daemon.pages import Pages, checks_of
from tiphys.daemon.settings import ClusterSettings, SettingsError
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
        client = self._client(settings.client, CONTROLLER_MANAGER)
        elector = elector_of(settings.leader_election, client, CONTROLLER_MANAGER, clock=self.clock, rng=self.rng)
        try:
            manager = Manager(client, clock=self.clock, elector=elector, rng=self.rng)
            manager.add_all(chosen, workers=settings.concurrency.of)
            async with self._pages(settings.serving, client, elector):
                await until(stop, manager.run())
        finally:
            await client.close()

    async def run_scheduler(self, stop: asyncio.Event) -> None:
        """Run the scheduler until `stop`. Raises SettingsError, OSError, and LeadershipLost."""
        from tiphys.scheduler.scheduler import Scheduler

        settings = self.settings.scheduler
        client = self._client(settings.client, SCHEDULER)
        elector = elector_of(settings.leader_election, client, SCHEDULER, clock=self.clock, rng=self.rng)
        try:
            scheduler = Scheduler(client, clock=self.clock, rng=self.rng, elector=elector, settings=settings)
            async with self._pages(settings.serving, client, elector):
                await until(stop, scheduler.run())
        finally:
            await client.close()

    def _pages(self, serving: ServingSettings, client: Client, elector: LeaderElector | None) -> Pages:
        return Pages(serving, client, checks_of(elector, self.clock), clock=self.clock)

    def _client(self, settings: ClientSettings, name: str) -> Client:
        """Return the client; raises SettingsError when there is no usable kubeconfig."""
        path = settings.kubeconfig
        try:
            if path is None:
                return kubeconfig.in_cluster(os.environ, user_agent=name, clock=self.clock)
            return kubeconfig.load(Path(path), user_agent=name, clock=self.clock, rng=self.rng)
        except OSError as error:
            source = path or "the service account"
            raise SettingsError(f"{source} cannot be read ({error.strerror}): give a kubeconfig with --kubeconfig") from error
        except ValueError as error:
            raise SettingsError(f"{error}: give a kubeconfig with --kubeconfig") from error
