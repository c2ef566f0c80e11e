"""The service proxy: watches Services and EndpointSlices and keeps the kernel's rules equal to the plan.

Level-triggered: every change marks the rules as stale, and one task brings them up to date, at most every `MIN_INTERVAL`. At the start the
table is made anew in one transaction, so a restart never leaves a moment without rules.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from dataclasses import dataclass

from tiphys.aio.clock import Clock
from tiphys.api.core import v1 as core
from tiphys.api.discovery import v1 as discovery
from tiphys.client.client import Client
from tiphys.proxy import kernel
from tiphys.proxy.plan import Endpoint, plan
from tiphys.proxy.rules import EMPTY, Ranges, State, base_script, change_script, state_of
from tiphys.runtime.informer import InformerFactory

log = logging.getLogger(__name__)

MIN_INTERVAL = 0.05
RETRY_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySettings:
    """What the proxy needs to know of the cluster and of this node."""

    table: str
    bridge: str
    pod_range: str
    service_range: str
    node_name: str
    node_address: str
    dns_address: str
    local_api: Endpoint | None = None
    """Where the API server listens if only this machine can reach it; its Service leads there instead of to its endpoints."""


class ServiceProxy:
    """Run it; cancelling it leaves the rules in place, so that Services answer while a new one starts."""

    def __init__(self, settings: ProxySettings, client: Client, *, clock: Clock, rng: random.Random) -> None:
        self._settings = settings
        self._clock = clock
        self._informers = InformerFactory(client, clock=clock, rng=rng)
        self._services = self._informers.of(core.Service)
        self._slices = self._informers.of(discovery.EndpointSlice)
        self._stale = asyncio.Event()
        self._applied: State | None = None
        self.synced = asyncio.Event()
        """Set once the rules have been equal to the plan."""

    async def run(self) -> None:
        """Keep the rules up to date until cancelled."""
        settings = self._settings
        self._services.subscribe(self._changed)
        self._slices.subscribe(self._changed)
        self._informers.start()
        try:
            await kernel.prepare_routes(
                pods=settings.pod_range, services=settings.service_range, dns_address=settings.dns_address, source=settings.node_address
            )
            await self._informers.wait_synced()
            self._stale.set()
            while True:
                await self._stale.wait()
                self._stale.clear()
                await self._sync()
                await self._clock.sleep(MIN_INTERVAL)
        finally:
            await self._informers.stop()

    def _changed(self, old: object, new: object) -> None:
        self._stale.set()

    async def _sync(self) -> None:
        settings = self._settings
        wanted = state_of(
            plan(
                self._services.list(),
                self._slices.list(),
                node=settings.node_name,
                skip=frozenset((settings.dns_address,)),
                local_api=settings.local_api,
            )
        )
        if self._applied is None:
            ranges = Ranges(settings.pod_range, settings.service_range, settings.bridge)
            script = base_script(settings.table, ranges) + change_script(settings.table, EMPTY, wanted)
        else:
            script = change_script(settings.table, self._applied, wanted)
        with contextlib.suppress(OSError):
            kernel.allow_forwarding(settings.bridge)
        try:
            await kernel.apply(script)
        except kernel.KernelError as error:
            # Somebody may have changed our table: start again from nothing.
            log.error("nft refused the rules, making the table anew", extra={"error": str(error)})
            self._applied = None
            await self._clock.sleep(RETRY_SECONDS)
            self._stale.set()
        else:
            self._applied = wanted
            self.synced.set()
