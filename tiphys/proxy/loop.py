"""The service proxy: watches Services and EndpointSlices and keeps the kernel's rules equal to the plan.

Level-triggered: every change marks its Service as stale, and one task brings the stale ones up to date, at most every `MIN_INTERVAL`. At
the start, and when somebody else changed the table, it is rewritten in one transaction, so there is never a moment without rules.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterable

from tiphys.aio.clock import Clock
from tiphys.aio.tasks import TaskSet
from tiphys.api.core import v1 as core
from tiphys.api.discovery import v1 as discovery
from tiphys.api.well_known import SERVICE_NAME, ZONE
from tiphys.client.client import Client
from tiphys.obs.metrics import SECONDS, counter, exponential, histogram
from tiphys.proxy import conntrack, forwarding, kernel
from tiphys.proxy.contents import Contents
from tiphys.proxy.health import Check, HealthPorts, plan_check
from tiphys.proxy.notices import Notices
from tiphys.proxy.plan import Context, Endpoint, Frontend, PortPlan, plan_service
from tiphys.proxy.rules import EMPTY, Part, Ranges, base_script, change_script, part_of
from tiphys.proxy.settings import ProxySettings
from tiphys.runtime.informer import InformerFactory
from tiphys.runtime.key import Key
from tiphys.runtime.recorder import EventRecorder

log = logging.getLogger(__name__)

MIN_INTERVAL = 0.05
RETRY_SECONDS = 2.0
REPAIR_INTERVAL = 1.0
"""Seconds between two repairs: if two instances compete for a table, slowly."""
HEALTHY_SECONDS = 60.0
"""Seconds for which rules may lag behind before load balancers are sent elsewhere, as upstream."""
BY_SERVICE = "service"

SYNC_SECONDS = histogram("tiphys_proxy_sync_seconds", "Time to bring the kernel's rules up to date.", "kind", buckets=SECONDS)
SYNC = histogram(
    "kubeproxy_sync_proxy_rules_duration_seconds", "Time to bring the kernel's rules up to date, in seconds.", "ip_family",
    buckets=exponential(0.001, 2, 15),
)  # fmt: skip
REPAIRS = counter("tiphys_proxy_repairs_total", "Number of repairs of the rules after somebody else changed them.")


def _service_of(piece: discovery.EndpointSlice) -> Iterable[str]:
    return (f"{piece.metadata.namespace}/{piece.metadata.labels.get(SERVICE_NAME, '')}",)


class ServiceProxy:
    """Run it; cancelling it leaves the rules in place, so that Services answer while a new one starts."""

    def __init__(self, settings: ProxySettings, client: Client, *, clock: Clock, rng: random.Random) -> None:
        self._settings = settings
        self._clock = clock
        self._context = Context(settings.node_name, skip=frozenset((settings.dns_address,)), local_api=settings.local_api)
        self._ranges = Ranges(settings.pod_range, settings.service_range, settings.bridge, settings.dns_address)
        self._informers = InformerFactory(client, clock=clock, rng=rng)
        self._services = self._informers.of(core.Service)
        self._slices = self._informers.of(discovery.EndpointSlice)
        self._slices.add_index(BY_SERVICE, _service_of)
        self._nodes = self._informers.of(core.Node, fields=f"metadata.name={settings.node_name}")
        self._bridge = kernel.Bridge(settings.bridge)
        self._notices = Notices(
            settings.table,
            settings.bridge,
            on_table=self._table_changed,
            on_overflow=self._overflowed,
            on_routes=self._routes_changed,
            on_bridge=self._bridge_changed,
        )
        self._recorder = EventRecorder(client, "kube-proxy", clock=clock, host=settings.node_name, rng=rng)
        self._health = HealthPorts(settings.node_name, recorder=self._recorder, clock=clock, proxy_healthy=self._is_healthy)
        self._wake = asyncio.Event()
        self._checks: dict[Key, Check | None] = {}
        """Health checks that changed, until the rules that they speak of are in place."""
        self._behind_since: float | None = None
        """Moment since which the rules differ from the plan."""
        self._stale: set[Key] = set()
        self._contents = Contents()
        self._udp: dict[Key, dict[Frontend, frozenset[Endpoint]]] = {}
        self._udp_gone: set[Frontend] = set()
        """Removed UDP frontends, until their flows have ended."""
        self._is_complete = False
        self._bridged = True
        self._suspect = False
        self._routes_stale = self._bridge_stale = True
        self._repaired_at = float("-inf")
        self.synced = asyncio.Event()
        """Set once the rules have been equal to the plan."""

    async def run(self) -> None:
        """Keep the rules up to date until cancelled."""
        self._services.subscribe(self._service_changed)
        self._slices.subscribe(self._slice_changed)
        self._nodes.subscribe(self._node_changed)
        self._informers.start()
        self._notices.start()
        tasks = TaskSet()
        tasks.spawn(self._health.run(), name="health checks")
        try:
            self._bridged = await kernel.load_bridge_filter()
            await self._sync_machine()
            await self._informers.wait_synced()
            self._wake.set()
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._sync_machine()
                await self._sync()
                await self._clock.sleep(MIN_INTERVAL)
        finally:
            self._notices.stop()
            await tasks.close()
            await self._recorder.close()
            await self._informers.stop()

    # --- causes of stale rules ---

    def _service_changed(self, old: core.Service | None, new: core.Service | None) -> None:
        service = new or old
        if service is not None:
            self._mark(Key.of(service))

    def _slice_changed(self, old: discovery.EndpointSlice | None, new: discovery.EndpointSlice | None) -> None:
        for piece in (old, new):
            if piece is not None:
                self._mark(Key(piece.metadata.namespace, piece.metadata.labels.get(SERVICE_NAME, "")))

    def _node_changed(self, old: core.Node | None, new: core.Node | None) -> None:
        zone = new.metadata.labels.get(ZONE, "") if new is not None else ""
        if zone != self._context.zone:
            self._context = self._context._replace(zone=zone)
            for service in self._services.list():
                self._mark(Key.of(service))

    def _mark(self, key: Key) -> None:
        self._stale.add(key)
        self._fall_behind()
        self._wake.set()

    def _table_changed(self) -> None:
        if self._is_complete:
            log.warning("foreign change of the rules, writing them again", extra={"table": self._settings.table})
            REPAIRS.labels().inc()
            self._is_complete = False
            self._fall_behind()
        self._wake.set()

    def _overflowed(self) -> None:
        self._suspect = True
        self._wake.set()

    def _routes_changed(self) -> None:
        self._routes_stale = True
        self._wake.set()

    def _bridge_changed(self) -> None:
        self._bridge_stale = True
        self._wake.set()

    def _fall_behind(self) -> None:
        if self._behind_since is None:
            self._behind_since = self._clock.monotonic()

    def _is_healthy(self) -> bool:
        return self._behind_since is None or self._clock.monotonic() - self._behind_since < HEALTHY_SECONDS

    # --- bringing the kernel up to date ---

    async def _sync_machine(self) -> None:
        """Set up routes, the DNS address, and the switches that forwarding needs."""
        settings = self._settings
        if self._routes_stale:
            self._routes_stale = False
            try:
                await kernel.prepare_routes(pods=settings.pod_range, services=settings.service_range, dns_address=settings.dns_address)
                forwarding.allow(settings.table, record=settings.forwarding_record)
            except (kernel.KernelError, OSError):
                self._routes_stale = True
                raise
        if self._bridge_stale:
            self._bridge_stale = False
            await self._bridge.prepare()

    async def _sync(self) -> None:
        if self._suspect:
            self._suspect = False
            if self._is_complete and not await kernel.is_whole(self._settings.table):
                self._table_changed()
        if not self._is_complete:
            wait = self._repaired_at + REPAIR_INTERVAL - self._clock.monotonic()
            if wait > 0:
                await self._clock.sleep(wait)
            self._repaired_at = self._clock.monotonic()
        began = self._clock.monotonic()
        stale, self._stale = self._stale, set()
        parts, udp_changed = self._replan(stale)
        old, new = self._contents.change(parts)
        if self._is_complete:
            kind, script = "change", change_script(self._settings.table, old, new)
        else:
            base = base_script(self._settings.table, self._ranges, bridged=self._bridged)
            kind, script = "whole", base + change_script(self._settings.table, EMPTY, self._contents.whole())
        if not script:
            self._caught_up(began)
            return
        try:
            await self._apply(script)
        except kernel.KernelError as error:
            log.error("nft rejected the rules, writing the table again", extra={"error": str(error)})
            self._is_complete = False
            await self._clock.sleep(RETRY_SECONDS)
            self._wake.set()
            return
        SYNC_SECONDS.labels(kind).observe(self._clock.monotonic() - began)
        SYNC.labels("IPv4").observe(self._clock.monotonic() - began)
        if udp_changed or kind == "whole":
            await self._forget_stale()
        self._caught_up(began)

    def _caught_up(self, since: float) -> None:
        """Note that the rules are as planned at a moment; later changes may be waiting already."""
        self._behind_since = since if self._stale or not self._is_complete else None
        for key, check in self._checks.items():
            self._health.put(key, check)
        self._checks.clear()
        self.synced.set()

    async def _apply(self, script: str) -> None:
        # What others do from now on counts against the table that this script leaves behind.
        self._is_complete = True
        try:
            await kernel.apply(script, started=self._notices.own)
        finally:
            self._notices.catch_up()

    def _replan(self, keys: Iterable[Key]) -> tuple[dict[Key, Part], bool]:
        """Plan some Services again; returns their parts, and whether a UDP frontend moved."""
        parts: dict[Key, Part] = {}
        udp_changed = False
        for key in keys:
            service = self._services.get(key)
            ports: tuple[PortPlan, ...] = ()
            check = None
            if service is not None:
                slices = self._slices.by_index(BY_SERVICE, str(key))
                ports = plan_service(service, slices, self._context)
                check = plan_check(service, slices, self._settings.node_name)
            self._checks[key] = check
            parts[key] = part_of(ports, self._settings.pod_range)
            udp_changed |= self._note_udp(key, ports)
        return parts, udp_changed

    def _note_udp(self, key: Key, ports: Iterable[PortPlan]) -> bool:
        udp = [(port, frozenset((*port.reachable, *port.others))) for port in ports if port.protocol == "udp"]
        new = {frontend: endpoints for port, endpoints in udp for frontend, _ in port.frontends}
        old = self._udp.pop(key, {})
        if new:
            self._udp[key] = new
        self._udp_gone.update(frontend for frontend in old if frontend not in new)
        return old != new

    async def _forget_stale(self) -> None:
        known: dict[Frontend, frozenset[Endpoint]] = dict.fromkeys(self._udp_gone, frozenset())
        for frontends in self._udp.values():
            for frontend, endpoints in frontends.items():
                known[frontend] = known.get(frontend, frozenset()) | endpoints
        settings = self._settings
        try:
            count = await asyncio.to_thread(conntrack.forget_stale, known, services=settings.service_range, dns=settings.dns_address)
        except OSError as error:
            log.warning("UDP flows may go to removed endpoints", extra={"error": str(error)})
            return
        self._udp_gone.clear()
        if count:
            log.debug("UDP flows forgotten", extra={"count": count})
