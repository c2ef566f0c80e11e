"""The sidecar of a driver in a process of its own: one connection to the driver, one to the API server, a manager for each part.

With leader election, each part is elected by itself and keeps caches of its own. A process that loses one lease ends, as a component that
runs alone does.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
from pathlib import Path
from typing import Any

from tiphys.aio.clock import Clock, LoopClock
from tiphys.aio.tasks import until
from tiphys.api.machinery.errors import StatusError
from tiphys.api.machinery.scheme import Kind
from tiphys.client.client import Client
from tiphys.client.kubeconfig import IN_CLUSTER
from tiphys.csi.client import CsiClient
from tiphys.daemon.connection import Connections
from tiphys.daemon.pages import checks_of
from tiphys.daemon.settings import ClusterSettings, SettingsError
from tiphys.obs import health
from tiphys.obs.logging import get_logger
from tiphys.runtime.leader import LeaderElector, Timing, new_identity
from tiphys.runtime.manager import Manager
from tiphys.settings.option import replaced
from tiphys.sidecar.bounded import BoundedDriver
from tiphys.sidecar.facts import DriverFacts, learn
from tiphys.sidecar.pages import SidecarPages
from tiphys.sidecar.parts import Part, parts
from tiphys.sidecar.registration import Registration
from tiphys.sidecar.settings import SidecarSettings
from tiphys.sidecar.snapshot.kinds import CLASSES, CONTENTS, SNAPSHOTS, with_snapshots

log = get_logger(__name__)

NAME = "tiphys-csi-sidecar"
PROBE_SECONDS = 1.0
"""Time that the driver has to answer the health check, as upstream's livenessprobe grants it."""
_KINDS: tuple[Kind[Any], ...] = (SNAPSHOTS, CONTENTS, CLASSES)
CRD_SECONDS = 10.0
"""Pause between looks whether snapshots are served."""


class Sidecar:
    """Process of one driver's sidecar."""

    def __init__(self, settings: ClusterSettings, *, clock: Clock | None = None, rng: random.Random | None = None) -> None:
        self.settings = self._with_node(settings.sidecar)
        self.clock = clock or LoopClock()
        self.rng = rng or random.Random()
        self.port: int | None = None
        """Port of the health checks, once they are served."""
        self._checks: dict[str, health.Check] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop`. Raises SettingsError, OSError, LeadershipLost and RegistrationFailed."""
        settings = self.settings
        connections = Connections(settings.client, NAME, clock=self.clock, rng=self.rng)
        driver = CsiClient(settings.csi_address, timeout=settings.provision.timeout)
        probe = BoundedDriver(driver, "", timeout=PROBE_SECONDS)
        try:
            async with SidecarPages(settings.http_endpoint, settings.metrics_path, probe, self._checks) as pages:
                self.port = pages.port
                await until(stop, self._run(driver, connections.client))
        finally:
            await driver.close()
            await connections.close()

    async def _run(self, driver: CsiClient, client: Client) -> None:
        facts = await learn(BoundedDriver(driver, "", timeout=self.settings.provision.timeout), clock=self.clock)
        if not self.settings.topology:
            facts = facts._replace(services=facts.services - {"VOLUME_ACCESSIBILITY_CONSTRAINTS"})
        log.info("the driver is ready", extra={"driver": facts.name, "offers": sorted(facts.verbs)})
        try:
            async with asyncio.TaskGroup() as group:
                self._start(group, driver, facts, client, await asyncio.to_thread(own_namespace))
        except* Exception as errors:
            # All parts fail together, and the first to fail says why.
            raise _first(errors) from None

    def _start(self, group: asyncio.TaskGroup, driver: CsiClient, facts: DriverFacts, client: Client, namespace: str) -> None:
        settings = self.settings
        if settings.registration.socket:
            registration = Registration(facts.name, settings.registration.socket, Path(settings.registration.directory))
            group.create_task(registration.run(), name="registration")
        known = parts(driver, facts, settings, namespace=namespace)
        if not settings.election.enabled or settings.node_deployment:
            known = merged(known)
        for part in known:
            group.create_task(self._lead(part, client, namespace), name=part.lease)

    async def _lead(self, part: Part, client: Client, namespace: str) -> None:
        """Run a part, under its Lease if that is desired, as soon as the kinds that it needs are served."""
        settings = self.settings
        if part.needs_snapshots:
            client = with_snapshots(client)
            await self._snapshots_served(client)
        elector = None
        if settings.election.enabled and not settings.node_deployment:
            elector = LeaderElector(
                client,
                part.lease,
                new_identity(socket.gethostname(), self.rng),
                clock=self.clock,
                namespace=settings.election.namespace or namespace,
                timing=Timing(settings.election.lease_duration, settings.election.renew_deadline, settings.election.retry_period),
                rng=self.rng,
            )
            self._checks[part.lease] = checks_of(elector, self.clock)["leaderElection"]
        manager = Manager(client, clock=self.clock, name=NAME, elector=elector, rng=self.rng)
        manager.add_all(part.loops, workers=lambda name: settings.worker_threads)
        await manager.run()

    async def _snapshots_served(self, client: Client) -> None:
        reason = ""
        while True:
            try:
                for kind in _KINDS:
                    await client.list(kind, limit=1)
            except (StatusError, ConnectionError) as error:
                if str(error) != reason:
                    log.info("snapshots are not served", extra={"error": (reason := str(error))})
                await self.clock.sleep(CRD_SECONDS)
            else:
                return

    def _with_node(self, settings: SidecarSettings) -> SidecarSettings:
        if not settings.node_deployment:
            return settings
        node = os.environ.get("NODE_NAME", "")
        if not node:
            raise SettingsError("--node-deployment needs the name of this node: set the environment variable NODE_NAME")
        return replaced(settings, provision=replaced(settings.provision, node=node))


def merged(known: list[Part]) -> list[Part]:
    """Return the parts as few: without elections, those that need the same kinds share their caches."""
    return [
        Part("-".join(sorted({part.lease for part in same})), [loop for part in same for loop in part.loops], needs_snapshots=snapshots)
        for snapshots in (False, True)
        if (same := [part for part in known if part.needs_snapshots is snapshots])
    ]


def own_namespace() -> str:
    """Return the namespace of the pod that this process is in, or that of the environment variable NAMESPACE; `default` outside of pods."""
    named = os.environ.get("NAMESPACE", "")
    if named:
        return named
    try:
        return (IN_CLUSTER / "namespace").read_text().strip() or "default"
    except OSError:
        return "default"


def _first(errors: BaseExceptionGroup[Exception]) -> Exception:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, Exception)
    return error
