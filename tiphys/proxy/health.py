"""Health checks of Services for load balancers ("Create an External Load Balancer": healthCheckNodePort).

A Service of type LoadBalancer with `externalTrafficPolicy: Local` has a port at which every node tells how many ready endpoints it has.
A load balancer asks there which nodes to send connections to, so a node whose endpoints are all terminating already says none.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

from tiphys.aio.clock import Clock
from tiphys.aio.tasks import TaskSet
from tiphys.api.core import v1 as core
from tiphys.api.discovery import v1 as discovery
from tiphys.api.helpers.services import needs_health_check
from tiphys.http.limits import Limits
from tiphys.http.server import Server
from tiphys.obs.logging import get_logger
from tiphys.proxy.plan import is_ipv4, is_left_alone
from tiphys.runtime.key import Key
from tiphys.runtime.recorder import EventRecorder, reference_to
from tiphys.wire.http import Request, Response

log = get_logger(__name__)

RETRY_SECONDS = 10.0
"""Seconds between attempts to listen while another program has the port."""
LIMITS = Limits(header_bytes=16 << 10, target_bytes=4 << 10, body_bytes=64 << 10, connections=256)


class Check(NamedTuple):
    """Health check of a Service on this node."""

    about: core.ObjectReference
    port: int
    endpoints: int
    """Number of ready endpoints on this node."""


def plan_check(service: core.Service, slices: Iterable[discovery.EndpointSlice], node: str) -> Check | None:
    """Return the check to serve for a Service, None for a Service without one. Pure."""
    spec = service.spec
    if not needs_health_check(spec) or not spec.healthCheckNodePort or is_left_alone(service.metadata.labels):
        return None
    pieces = [piece for piece in slices if piece.addressType == "IPv4" and piece.ports and not is_left_alone(piece.metadata.labels)]
    endpoints = [endpoint for piece in pieces for endpoint in piece.endpoints or []]
    ready = [endpoint for endpoint in endpoints if endpoint.nodeName == node and endpoint.conditions.ready is not False]
    addresses = {address for endpoint in ready for address in endpoint.addresses if is_ipv4(address)}
    return Check(reference_to(service), spec.healthCheckNodePort, len(addresses))


def answer(key: Key, check: Check | None, *, proxy_healthy: bool) -> Response:
    """Return the answer to a probe. Pure."""
    count = check.endpoints if check is not None else 0
    body = {
        "service": {"namespace": key.namespace, "name": key.name},
        "localEndpoints": count,
        "serviceProxyHealthy": proxy_healthy,
    }
    headers = {
        "content-type": "application/json",
        "x-content-type-options": "nosniff",
        "x-load-balancing-endpoint-weight": str(count),
    }
    return Response(200 if count and proxy_healthy else 503, headers, json.dumps(body, indent="\t").encode())


class HealthPorts:
    """Servers of the health checks, on every address of the node. Run it; `put` gives it its work."""

    def __init__(self, node: str, *, recorder: EventRecorder, clock: Clock, proxy_healthy: Callable[[], bool]) -> None:
        self._node = node
        self._recorder = recorder
        self._clock = clock
        self._proxy_healthy = proxy_healthy
        self._checks: dict[Key, Check] = {}
        self._servers: dict[Key, tuple[int, Server]] = {}
        self._failed: set[tuple[Key, int]] = set()
        """Ports that could not be opened, so that each is reported once."""
        self._wake = asyncio.Event()

    def put(self, key: Key, check: Check | None) -> None:
        """Set the check of a Service; None ends it."""
        old = self._checks.pop(key, None)
        if check is not None:
            self._checks[key] = check
        if (old and old.port) != (check and check.port):
            self._wake.set()

    async def run(self) -> None:
        """Keep the ports open that the checks need, until cancelled."""
        async with TaskSet() as retries:
            try:
                while True:
                    await self._wake.wait()
                    self._wake.clear()
                    await self._close_unused()
                    if not await self._open_missing() and not retries:
                        retries.spawn(self._wake_later(), name="retry of health checks")
            finally:
                await asyncio.gather(*(server.stop(grace=0.0) for _, server in self._servers.values()))
                self._servers.clear()

    async def _wake_later(self) -> None:
        await self._clock.sleep(RETRY_SECONDS)
        self._wake.set()

    async def _close_unused(self) -> None:
        for key, (port, server) in list(self._servers.items()):
            check = self._checks.get(key)
            if check is None or check.port != port:
                del self._servers[key]
                await server.stop(grace=0.0)

    async def _open_missing(self) -> bool:
        """Return whether all ports are open."""
        missing = {key: check for key, check in self._checks.items() if key not in self._servers}
        self._failed &= {(key, check.port) for key, check in missing.items()}
        for key, check in missing.items():
            server = Server(partial(self._handle, key), context=None, limits=LIMITS)
            try:
                await server.start("0.0.0.0", check.port)
            except OSError as error:
                self._report(key, check, error)
            else:
                self._servers[key] = check.port, server
        return self._checks.keys() <= self._servers.keys()

    async def _handle(self, key: Key, _: Request) -> Response:
        return answer(key, self._checks.get(key), proxy_healthy=self._proxy_healthy())

    def _report(self, key: Key, check: Check, error: OSError) -> None:
        if (key, check.port) in self._failed:
            return
        self._failed.add((key, check.port))
        message = f'node {self._node} failed to start healthcheck "{key}" on port {check.port}: {error}'
        log.error("health check is not served", extra={"service": str(key), "port": check.port, "error": str(error)})
        self._recorder.event(check.about, "Warning", "FailedToStartServiceHealthcheck", message)
