"""ResourceQuota: a write that uses more of a quota is charged to the quota's status before it is stored, or refused.

The charge is an update of the quota that fails when anybody else changed it, on this server or another; then the write is judged again. So
what was admitted never exceeds a quota. Writes that come while a charge is being stored wait for it and share the next one. A charge whose
write then fails is taken back by the controller, which recounts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection, Sequence
from datetime import datetime
from typing import Any

from tiphys.aio.clock import Clock
from tiphys.api.core.v1 import ResourceQuota
from tiphys.api.machinery.errors import Conflict
from tiphys.api.machinery.scheme import Kind
from tiphys.api.quota.evaluators import Evaluator, evaluator_of
from tiphys.api.quota.judge import Refused, charges
from tiphys.apiserver.admission.chain import AdmissionPlugin, AdmissionRequest, Operation
from tiphys.apiserver.cache.entry import Entry
from tiphys.apiserver.cache.storage import Storage
from tiphys.store.contract import KeyMissing, RevisionMismatch

MAX_RACES = 32
"""Times that a charge may lose against other servers before the client must try again."""


class _Waiter:
    """One write that waits for its charge."""

    def __init__(self, request: AdmissionRequest, evaluator: Evaluator, *, free: bool) -> None:
        self.request = request
        self.evaluator = evaluator
        self.free = free
        self.settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def refuse(self, error: Exception) -> None:
        if not self.settled.done():
            self.settled.set_exception(error)

    def allow(self) -> None:
        if not self.settled.done():
            self.settled.set_result(None)


class ResourceQuotas(AdmissionPlugin):
    """See the module. In a namespace without quotas a write costs one look-up."""

    name = "ResourceQuota"

    def __init__(self, storage: Storage, *, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self._kind = storage.scheme.of(ResourceQuota)
        self._cache = storage.cache(self._kind)
        self._waiting: dict[str, list[_Waiter]] = {}
        self._working: dict[str, asyncio.Task[None]] = {}

    def handles(self, kind: Kind[Any], operation: Operation, subresource: str) -> bool:
        evaluator = evaluator_of(kind)
        return evaluator is not None and evaluator.concerns(operation, subresource)

    def settle(self, request: AdmissionRequest) -> Awaitable[None] | None:
        if not self._cache.entries(request.namespace):
            return None
        evaluator = evaluator_of(request.kind)
        if evaluator is None:
            return None
        creates = request.operation == "CREATE"
        if not creates and not evaluator.changes(request.subresource, request.object, request.old_object):
            return None
        # An existing object will not be created: the write is checked, but nothing is charged for it.
        exists = creates and self._storage.cache(request.kind).get(request.namespace, request.name) is not None
        return self._charge(_Waiter(request, evaluator, free=request.dry_run or exists))

    async def _charge(self, waiter: _Waiter) -> None:
        namespace = waiter.request.namespace
        self._waiting.setdefault(namespace, []).append(waiter)
        if namespace not in self._working:
            work = asyncio.get_running_loop().create_task(self._work(namespace), name=f"quotas of {namespace}")
            self._working[namespace] = work
        await waiter.settled

    async def _work(self, namespace: str) -> None:
        """Settle what waits in a namespace, all at once, until nothing does. A task of its own: it serves many requests."""
        try:
            while waiters := self._waiting.pop(namespace, None):
                try:
                    await self._settle_all(namespace, waiters)
                except Exception as error:
                    for waiter in waiters:
                        waiter.refuse(error)
        finally:
            del self._working[namespace]

    async def _settle_all(self, namespace: str, waiters: Sequence[_Waiter]) -> None:
        names: Collection[str] | None = None
        for _ in range(MAX_RACES):
            entries = {entry.name: entry for entry in self._cache.entries(namespace) if names is None or entry.name in names}
            quotas = {name: self._cache.codec.decode(entry.data) for name, entry in entries.items()}
            charged = self._judge_all(list(quotas.values()), waiters, self._clock.now())
            changed = sorted(set().union(*charged.values()))
            stored = await asyncio.gather(*(self._store(entries[name], quotas[name]) for name in changed))
            names = {name for name, done in zip(changed, stored, strict=True) if not done}
            for waiter, touched in charged.items():
                if not names.intersection(touched):
                    waiter.allow()
            # Those that lost a race are checked again, against the quotas that they lost it for.
            waiters = [waiter for waiter, touched in charged.items() if names.intersection(touched)]
            if not waiters:
                return
        raise Conflict.modified("resourcequotas", min(names or [""]))

    @staticmethod
    def _judge_all(quotas: Sequence[ResourceQuota], waiters: Sequence[_Waiter], now: datetime) -> dict[_Waiter, set[str]]:
        """Charge the writes in turn to the quotas, in place; return those that changed any, and the names of the changed ones."""
        charged: dict[_Waiter, set[str]] = {}
        for waiter in waiters:
            if waiter.settled.done():
                continue  # The caller has gone.
            request = waiter.request
            enforce = request.subresource != "status"
            try:
                used = charges(quotas, waiter.evaluator, request.object, request.old_object, now, enforce=enforce)
            except Refused as refused:
                waiter.refuse(request.forbidden(str(refused)))
                continue
            if waiter.free or not used:
                waiter.allow()
                continue
            for quota in quotas:
                if quota.metadata.name in used:
                    quota.status.used = used[quota.metadata.name]
            charged[waiter] = set(used)
        return charged

    async def _store(self, entry: Entry, quota: ResourceQuota) -> bool:
        """Store the charge; return True if that is done, or if the quota is gone and there is nothing to charge."""
        try:
            await self._storage.update(self._kind, quota, expected=entry)
        except RevisionMismatch as lost:
            await self._storage.wait_for(lost.current.mod_revision)
            return False
        except KeyMissing:
            return True
        return True
