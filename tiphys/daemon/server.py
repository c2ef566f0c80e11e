"""The server process: API server, controllers and scheduler over one store.

Controllers and scheduler reach the API through the in-process transport, as the users that certificates would make them, so authorization
and everything else is as it would be over the network.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from importlib import import_module

from tiphys.aio.backoff import Backoff, BackoffPolicy
from tiphys.aio.clock import Clock, LoopClock
from tiphys.aio.memory import give_back
from tiphys.aio.tasks import supervise, until
from tiphys.api.well_known import LOCAL_PATH_USER
from tiphys.apiserver.admission.plugins import UnknownPlugins
from tiphys.apiserver.server import ApiServer
from tiphys.client.client import Client
from tiphys.client.inprocess import InProcessTransport
from tiphys.controllers.settings import DEFAULTS
from tiphys.daemon import compose, election, pki
from tiphys.daemon.renewal import keep_renewed
from tiphys.daemon.settings import ClusterSettings, SettingsError
from tiphys.node.settings import default_address
from tiphys.runtime.leader import LeaderElector
from tiphys.settings.leader import LeaderElectionSettings
from tiphys.store.open import open_store
from tiphys.wire.http import PeerIdentity

log = logging.getLogger(__name__)

CONTROLLER_MANAGER = PeerIdentity(common_name="system:kube-controller-manager")
SCHEDULER = PeerIdentity(common_name="system:kube-scheduler")
GRACE = 20.0
"""Seconds in which requests under way must be answered when the server stops."""
FAILED_GRACE = 1.0
"""The same when the store has failed: every write is refused, so the sooner the next process begins the better."""
RESTART = BackoffPolicy(first=0.5, cap=30.0)
SWITCH_INTERVAL = 0.001
"""Seconds after which the event loop hands the interpreter to the store's writer thread; the default lets commits wait behind requests."""

PARTS = ("apiserver", "controller-manager", "scheduler")


class Daemon:
    """One server process with the parts asked for."""

    def __init__(self, settings: ClusterSettings, *, clock: Clock | None = None, rng: random.Random | None = None) -> None:
        self.settings = settings
        self.clock = clock or LoopClock()
        self.rng = rng or random.Random()
        self.server: ApiServer | None = None

    def certificates(self) -> pki.Pki:
        """Create missing parts of the PKI and those near expiry, and the kubeconfigs. Raises PkiError, OSError."""
        settings = self.settings
        address = default_address()
        names = pki.Names(
            host=socket.gethostname(),
            addresses=tuple(dict.fromkeys((address, settings.apiserver.bind))),
            service_address=settings.network.api_service_address,
            domain=settings.network.domain,
        )
        files = pki.ensure(settings.dir / "pki", self.clock.now(), names=names, nodes=[settings.node_name])
        for file, pair, user, inline in (
            ("admin.kubeconfig", "admin", "kubernetes-admin", True),
            # These run for longer than their certificates last.
            ("node.kubeconfig", "node", f"system:node:{settings.node_name}", False),
            ("local-path.kubeconfig", "local-path", f"{LOCAL_PATH_USER}{settings.node_name}", False),
            ("controller-manager.kubeconfig", "controller-manager", CONTROLLER_MANAGER.common_name, False),
            ("scheduler.kubeconfig", "scheduler", SCHEDULER.common_name, False),
        ):
            pair_files = files.pair(pair)
            pki.write_kubeconfig(settings.dir / file, server=settings.server_url, ca=files.ca, pair=pair_files, user=user, inline=inline)
        return files

    async def start(self) -> None:
        """Start the API server. Raises PkiError, SettingsError, StoreError, OSError."""
        settings = self.settings
        if settings.controllers.controllers != DEFAULTS.controllers:
            await asyncio.to_thread(self._check_controllers)
        files = await asyncio.to_thread(self.certificates)
        self.server = ApiServer(
            compose.api_server(settings, files, advertise=default_address()),
            open_store(settings.store_url, clock=self.clock),
            clock=self.clock,
            rng=self.rng,
        )
        try:
            await self.server.start()
        except UnknownPlugins as error:
            await self.server.stop(grace=0.0)
            raise SettingsError(str(error)) from error

    def _check_controllers(self) -> None:
        """Refuse unknown controllers now: later only their own loop would end, again and again. Raises SettingsError."""
        from tiphys.daemon.controllers import check_names

        check_names(self.settings)

    async def run(self, stop: asyncio.Event, *, parts: Sequence[str] = PARTS) -> None:
        """Start, serve until `stop`, and end everything in order.

        Raises StoreFailed when the store fails for good: a new process opens it again.
        """
        sys.setswitchinterval(SWITCH_INTERVAL)
        await self.start()
        assert self.server is not None
        # What start-up made lives as long as the process: keep the collector from walking over it again and again.
        gc.collect()
        gc.freeze()
        log.info("server is ready", extra={"port": self.server.port})
        tasks = [self._supervised(name, run) for name, run in self._loops() if name in parts]
        renewing = keep_renewed(self.certificates, self.clock)
        loop = asyncio.get_running_loop()
        tasks += [loop.create_task(renewing, name="certificate-renewal"), loop.create_task(give_back(self.clock), name="memory")]
        grace = GRACE
        try:
            failure = await until(stop, self.server.failed())
            self.server.retire()
            if failure is not None:
                grace = FAILED_GRACE
                raise failure
            if self.settings.apiserver.shutdown_delay:
                await self.clock.sleep(self.settings.apiserver.shutdown_delay)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.server.stop(grace)

    def _supervised(self, name: str, run: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        running = False

        async def watched() -> None:
            nonlocal running
            running = True
            try:
                await run()
            finally:
                running = False

        if self.server is not None:
            self.server.components[name] = lambda: "" if running else "it has failed and is about to be started again"
        guarded = supervise(name, watched, clock=self.clock, backoff=Backoff(RESTART, rng=self.rng))
        return asyncio.get_running_loop().create_task(guarded, name=name)

    def _loops(self) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
        return [("controller-manager", self._run_controllers), ("scheduler", self._run_scheduler)]

    def client(self, peer: PeerIdentity) -> Client:
        """Return a client in this process that acts as `peer`."""
        assert self.server is not None
        transport, name = InProcessTransport(self.server.app.handle, peer=peer), peer.common_name.removeprefix("system:")
        return Client(transport, user_agent=name, clock=self.clock, rng=self.rng)

    async def _run_controllers(self) -> None:
        # In a thread: the server has just said that it is ready, and this and the scheduler's arrays take a while to load.
        await asyncio.to_thread(import_module, "tiphys.controllers.registry")
        from tiphys.daemon.controllers import controllers_of
        from tiphys.runtime.manager import Manager

        settings, client = self.settings, self.client(CONTROLLER_MANAGER)
        manager = Manager(
            client,
            clock=self.clock,
            elector=self._elector(settings.controllers.leader_election, client, election.CONTROLLER_MANAGER),
            rng=self.rng,
        )
        chosen = controllers_of(settings, certificate=settings.dir / "pki" / "ca.crt", key=settings.dir / "pki" / "ca.key")
        manager.add_all(chosen, workers=settings.controllers.concurrency.of)
        try:
            await manager.run()
        finally:
            await client.close()

    async def _run_scheduler(self) -> None:
        await asyncio.to_thread(import_module, "tiphys.scheduler.scheduler")
        from tiphys.scheduler.scheduler import Scheduler

        client = self.client(SCHEDULER)
        settings = self.settings.scheduler
        elector = self._elector(settings.leader_election, client, election.SCHEDULER)
        scheduler = Scheduler(client, clock=self.clock, rng=self.rng, elector=elector, settings=settings)
        try:
            await scheduler.run()
        finally:
            await client.close()

    def _elector(self, settings: LeaderElectionSettings, client: Client, name: str) -> LeaderElector | None:
        """Return the elector; None for an embedded store, whose lock admits one server: a restart need not wait for a lease."""
        if not self.settings.store_url.startswith("etcd"):
            return None
        return election.elector_of(settings, client, name, clock=self.clock, rng=self.rng)
