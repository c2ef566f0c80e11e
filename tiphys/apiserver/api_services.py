"""API services: one for every group version that is served here, kept up to date while custom resources come and go. Others get a
condition that nothing is routed to them ("Kubernetes API Aggregation Layer").

This is where aggregation will begin: what has a `spec.service` would be proxied there instead of being marked.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime

import msgspec

from tiphys.api.apiregistration.v1 import APIService, APIServiceStatus
from tiphys.api.helpers.api_services import AVAILABLE, MANAGED, available, local_service
from tiphys.api.machinery.scheme import Scheme
from tiphys.api.meta.v1 import KubeObject
from tiphys.apiserver.cache.typed_source import TypedSource

log = logging.getLogger(__name__)

OWN_GROUP = "apiregistration.k8s.io"
"""Served by what keeps the others, and not listed among them."""
RETRY_SECONDS = 1.0
Write = Callable[[str, KubeObject, str], Awaitable[None]]


def due(scheme: Scheme, existing: dict[str, APIService], now: datetime) -> Iterator[tuple[str, APIService, str]]:
    """Return the writes that are due: method, object and subresource."""
    served = {(kind.group, kind.version) for kind in scheme if kind.group != OWN_GROUP}
    desired = {service.metadata.name: service for service in (local_service(*pair) for pair in sorted(served))}
    for name, service in desired.items():
        known = existing.get(name)
        if known is None:
            yield "POST", service, ""
        elif known.metadata.labels.get(MANAGED) and known.spec != service.spec:
            yield "PUT", msgspec.structs.replace(known, spec=service.spec), ""
    for name, service in existing.items():
        if service.metadata.labels.get(MANAGED) and name not in desired:
            yield "DELETE", service, ""
            continue
        condition = available(service, now)
        state = next((known for known in service.status.conditions if known.type == AVAILABLE), None)
        if state is None or (state.status, state.reason, state.message) != (condition.status, condition.reason, condition.message):
            others = [known for known in service.status.conditions if known.type != AVAILABLE]
            yield "PUT", msgspec.structs.replace(service, status=APIServiceStatus(conditions=[*others, condition])), "status"


class ApiServiceKeeper:
    """Makes the due writes whenever kinds or API services change."""

    def __init__(self, scheme: Scheme, source: TypedSource, write: Write, now: Callable[[], datetime]) -> None:
        self._scheme = scheme
        self._source = source
        self._write = write
        self._now = now
        self._changed = asyncio.Event()

    async def ensure(self) -> None:
        """Make the writes that are due now; raises the errors of `write`."""
        existing = {service.metadata.name: service for service in self._source.objects(APIService)}
        await asyncio.gather(*(self._write(*write) for write in due(self._scheme, existing, self._now())))

    async def run(self) -> None:
        """Keep them until cancelled."""
        self._source.on_change(APIService, lambda old, new: self._changed.set())
        self._changed.set()
        with self._scheme.followed(self._changed.set):
            while True:
                await self._changed.wait()
                self._changed.clear()
                try:
                    await self.ensure()
                except Exception:
                    log.exception("keeping API services failed")
                    await asyncio.sleep(RETRY_SECONDS)
                    self._changed.set()
