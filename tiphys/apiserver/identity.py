"""Leases of API servers: each shows that it is there, and removes those of servers that have not been for an hour.

See "API server identity" in the Kubernetes documentation ("Leases").
"""

from __future__ import annotations

import base64
import hashlib
import logging
import random
import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import msgspec

from tiphys.aio.clock import Clock
from tiphys.api.coordination.v1 import Lease, LeaseSpec
from tiphys.api.machinery.base import micro_time, parse_micro_time
from tiphys.api.meta.v1 import KubeObject, ObjectMeta
from tiphys.apiserver.cache.typed_source import TypedSource

log = logging.getLogger(__name__)

NAMESPACE = "kube-system"
IDENTITY = "apiserver.kubernetes.io/identity"
COMPONENT = "kube-apiserver"
DURATION = 3600
"""Seconds for which a lease holds."""
RENEW_SECONDS = 600.0
"""Time between renewals. Upstream's ten seconds would be most of an idle cluster's writes, for a lease that holds an hour."""
Write = Callable[[str, KubeObject, str], Awaitable[None]]


def lease_name(host: str, port: int) -> str:
    """Return the name of a server's lease, which outlives its restarts."""
    digest = hashlib.sha256(f"{host}:{port}".encode()).digest()[:16]
    return f"apiserver-{base64.b32encode(digest).decode().rstrip('=').lower()}"


def is_expired(lease: Lease, now: datetime) -> bool:
    """True if nobody renews a lease any more."""
    spec = lease.spec
    if spec.renewTime is None or spec.leaseDurationSeconds is None:
        return True
    return now - parse_micro_time(spec.renewTime) > timedelta(seconds=spec.leaseDurationSeconds)


class Identity:
    """Keeper of a server's lease."""

    def __init__(self, source: TypedSource, write: Write, *, host: str, port: int, clock: Clock, rng: random.Random) -> None:
        self._source = source
        self._write = write
        self._host = host
        self._name = lease_name(host, port)
        self._holder = f"{self._name}_{uuid.UUID(int=rng.getrandbits(128), version=4)}"
        self._clock = clock

    async def renew(self) -> None:
        """Create or renew the lease; raises the errors of `write`."""
        now = self._clock.now()
        known = self._source.get(Lease, NAMESPACE, self._name)
        labels = {IDENTITY: COMPONENT, "kubernetes.io/hostname": self._host}
        if known is None:
            known = Lease(metadata=ObjectMeta(name=self._name, namespace=NAMESPACE, labels=labels))
            method = "POST"
        else:
            known = msgspec.structs.replace(known, metadata=msgspec.structs.replace(known.metadata, labels=known.metadata.labels | labels))
            method = "PUT"
        known.spec = LeaseSpec(holderIdentity=self._holder, leaseDurationSeconds=DURATION, renewTime=micro_time(now))
        await self._write(method, known, "")

    async def collect(self) -> None:
        """Delete the leases of servers that are gone; raises the errors of `write`."""
        now = self._clock.now()
        for lease in self._source.objects(Lease):
            meta = lease.metadata
            if meta.namespace == NAMESPACE and meta.labels.get(IDENTITY) == COMPONENT and is_expired(lease, now):
                await self._write("DELETE", lease, "")

    async def run(self) -> None:
        """Keep the lease until cancelled, from a time after its first renewal on."""
        while True:
            await self._clock.sleep(RENEW_SECONDS)
            try:
                await self.renew()
                await self.collect()
            except Exception:
                log.exception("keeping the server's lease failed")
