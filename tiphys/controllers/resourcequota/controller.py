"""The resource quota controller: recomputes the usage of quotas from the objects in their namespaces.

Admission charges for new objects; this loop takes back what was charged for objects that have gone, have finished or were never stored.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from math import inf
from typing import Any

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import NotFound
from tiphys.api.machinery.scheme import Kind
from tiphys.api.meta.v1 import KubeObject
from tiphys.api.quota.amounts import Amounts, only, plus, rise, same
from tiphys.api.quota.evaluators import evaluator_for, evaluator_of, tracked
from tiphys.client import partial_kind
from tiphys.controllers.resourcequota.plan import counted, next_release, status
from tiphys.controllers.shared.pacing import Pace, Pacer
from tiphys.controllers.shared.slim import DEFINITIONS, PODS, SlimDefinition, SlimPod
from tiphys.runtime import DONE, ControllerContext, Declaration, Key, Result, Whole, write_status

SETTLE = 0.5
"""Seconds after which the object of a charge is stored, or never will be."""
PACE = Pace(noticeable=0.0, share=5.0, shortest=0.2, longest=inf)
"""Pause after every recount, which lists objects and so costs the server."""
UNKNOWN_KIND = 5.0
"""Seconds until a kind that is not served is looked up again."""
RESYNC = 300.0

Resource = tuple[str, str]
"""Plural and group."""


class ResourceQuotaController:
    """Recounts quotas. Keys are quotas. Objects are listed when they are counted; caches only signal changes."""

    declaration = Declaration(
        name="resourcequota",
        kind=core.ResourceQuota,
        roles=("resourcequota-controller",),
        reads=(Whole(core.ResourceQuota), PODS, Whole(core.Service), DEFINITIONS),
        follows_any=True,
    )

    def __init__(self) -> None:
        self._followed: set[Resource] = set()
        self._discovered: dict[Resource, Kind[Any]] = {}
        self._charged: dict[Key, deque[tuple[float, Amounts]]] = {}

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._pacer = Pacer(ctx.clock, PACE)
        self._quotas = ctx.read(core.ResourceQuota)
        self._quotas.subscribe(self._note_charge)
        ctx.watch(self._quotas)
        ctx.watch(ctx.read(SlimDefinition), self._counting)

    def _counting(self, definition: KubeObject) -> Iterable[Key]:
        """Return the quotas that count the objects of a definition, which may become served or unserved."""
        plural, _, group = definition.metadata.name.partition(".")
        return [Key.of(quota) for quota in self._quotas.list() if (plural, group) in tracked(quota.spec.hard)]

    def _note_charge(self, old: core.ResourceQuota | None, new: core.ResourceQuota | None) -> None:
        if new is None:
            if old is not None:
                self._charged.pop(Key.of(old), None)
                self._pacer.forget(Key.of(old))
            return
        # The first count of a resource is no charge.
        more = only(rise(new.status.used, old.status.used), old.status.used) if old is not None else {}
        if more:
            self._charged.setdefault(Key.of(new), deque()).append((self._ctx.clock.monotonic(), more))

    def _recent(self, key: Key) -> Amounts:
        """Return the amounts charged in the last `SETTLE` seconds."""
        charges = self._charged.get(key)
        if not charges:
            return {}
        while charges and charges[0][0] < self._ctx.clock.monotonic() - SETTLE:
            charges.popleft()
        total: Amounts = {}
        for _, more in charges:
            total = plus(total, more)
        return total

    async def reconcile(self, key: Key) -> Result:
        quota = self._quotas.get(key)
        if quota is None or quota.metadata.deletionTimestamp is not None:
            return DONE
        if pause := self._pacer.pause(key):
            return pause
        with self._pacer.measure(key):
            recent = self._recent(key)
            used, after = await self._count(quota)
            desired = status(quota, used, recent)
        changed = not same(desired.used, quota.status.used) or not same(desired.hard, quota.status.hard)
        if changed and await write_status(self._ctx.client, quota, desired) is None:
            return DONE
        return Result(min(after, SETTLE) if recent else after)

    async def _count(self, quota: core.ResourceQuota) -> tuple[Amounts, float]:
        """Return the quota's usage, and the seconds after which it may change by itself."""
        namespace, now = quota.metadata.namespace, self._ctx.clock.now()
        used: Amounts = {}
        after = RESYNC
        for resource in sorted(tracked(quota.spec.hard)):
            kind = await self._kind(resource)
            if kind is None:
                after = min(after, UNKNOWN_KIND)
                continue
            self._follow(resource, kind)
            evaluator = evaluator_for(*resource)
            try:
                if evaluator.reads:
                    objects = (await self._ctx.client.list(kind, namespace)).items
                else:
                    objects = [None] * await self._number(kind, namespace)
            except NotFound:
                self._discovered.pop(resource, None)
                self._followed.discard(resource)  # When it is served again, others may follow it by another informer.
                after = min(after, UNKNOWN_KIND)
                continue
            used.update(counted(quota, evaluator, objects, now))
            if kind.type is core.Pod:
                after = min(after, next_release(objects, now) or after)
        return used, after

    async def _number(self, kind: Kind[Any], namespace: str) -> int:
        """Count the objects of a kind without reading them."""
        bare = partial_kind(kind.group, kind.version, kind.plural)
        page = await self._ctx.client.list(bare, namespace, limit=1)
        return len(page.items) + (page.remaining or 0)

    # --- kinds ---

    async def _kind(self, resource: Resource) -> Kind[Any] | None:
        """Return the kind of a resource, from the scheme or the server; None when it is not served."""
        plural, group = resource
        for kind in self._ctx.client.scheme:
            if (kind.plural, kind.group) == resource:
                return kind if evaluator_of(kind) is not None else None
        if resource not in self._discovered and (discovered := await self._discover(plural, group)) is not None:
            self._discovered[resource] = discovered
        return self._discovered.get(resource)

    async def _discover(self, plural: str, group: str) -> Kind[Any] | None:
        if not group:
            return None
        try:
            preferred = msgspec.json.decode((await self._ctx.client.raw("GET", f"/apis/{group}")).body)["preferredVersion"]["version"]
            served = msgspec.json.decode((await self._ctx.client.raw("GET", f"/apis/{group}/{preferred}")).body)["resources"]
        except NotFound:
            return None
        if any(resource["name"] == plural and resource["namespaced"] and "list" in resource["verbs"] for resource in served):
            return partial_kind(group, preferred, plural)
        return None

    def _follow(self, resource: Resource, kind: Kind[Any]) -> None:
        """Subscribe to changes of a kind."""
        if resource in self._followed:
            return
        self._followed.add(resource)
        informer = self._ctx.follow(kind)

        def handler(old: KubeObject | None, new: KubeObject | None) -> None:
            if not informer.synced or (old is not None and new is not None and not _matters(resource, old, new)):
                return
            changed = new or old
            for quota in self._quotas.list(changed.metadata.namespace if changed is not None else ""):
                if resource in tracked(quota.spec.hard):
                    self._ctx.enqueue(Key.of(quota))

        informer.subscribe(handler)


def _matters(resource: Resource, old: KubeObject, new: KubeObject) -> bool:
    """Return whether a change of an object can change its usage."""
    if isinstance(old, SlimPod) and isinstance(new, SlimPod):
        return _charged_parts(old) != _charged_parts(new)
    if isinstance(old, core.Service) and isinstance(new, core.Service):
        return old.spec != new.spec
    return evaluator_for(*resource).reads


def _charged_parts(pod: SlimPod) -> object:
    resizing = [(condition.type, condition.reason) for condition in pod.status.conditions if condition.type.startswith("PodResize")]
    meta = pod.metadata
    return meta.generation, meta.deletionTimestamp, pod.status.phase in ("Failed", "Succeeded"), resizing
