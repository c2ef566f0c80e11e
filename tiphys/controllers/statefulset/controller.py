"""The StatefulSet controller."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from tiphys.api.apps import v1 as apps
from tiphys.api.apps.stateful_set import default_stateful_set
from tiphys.api.core import v1 as core
from tiphys.api.machinery.base import time
from tiphys.api.machinery.errors import NotFound
from tiphys.controllers.shared.claim import claim, index_orphans
from tiphys.controllers.shared.history import Recorded, forget, record
from tiphys.controllers.shared.pacing import Pacer
from tiphys.controllers.shared.revisions import choose, excess, revision_data
from tiphys.controllers.shared.selecting import report_everything, selects, workload_selector
from tiphys.controllers.shared.slim import PODS, SlimPod
from tiphys.controllers.statefulset.identity import LABEL_LENGTH, is_member, parse_pod_name, revision_of
from tiphys.controllers.statefulset.members import BURST, is_terminating
from tiphys.controllers.statefulset.plan import FindClaim, Plan, plan
from tiphys.controllers.statefulset.status import status
from tiphys.controllers.statefulset.steps import Steps
from tiphys.runtime import (
    DONE,
    ControllerContext,
    Declaration,
    Key,
    Result,
    Terminal,
    Whole,
    controller_of,
    index_owners,
    to_owner,
    write_status,
)

_to_owner = to_owner("StatefulSet", "apps")


class StatefulSetController:
    """Keeps numbered pods with names and storage of their own, and rolls out new templates one pod after the other.

    A pod is never created twice, since its ordinal is its name. Deletions answer with no version to wait for, so the uids that were
    deleted are remembered until the cache shows it: those pods count as terminating. Where the answer was an error, the server is asked
    before the next step.
    """

    declaration = Declaration(
        name="statefulset",
        kind=apps.StatefulSet,
        roles=("statefulset-controller",),
        reads=(Whole(apps.StatefulSet), Whole(apps.ControllerRevision), Whole(core.PersistentVolumeClaim), PODS),
    )

    def __init__(self) -> None:
        self._deleted: dict[Key, set[str]] = {}
        self._doubtful: dict[Key, set[str]] = {}

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._pacer = Pacer(ctx.clock)
        self._sets = ctx.read(apps.StatefulSet)
        self._revisions = index_orphans(index_owners(ctx.read(apps.ControllerRevision)))
        self._claims = ctx.read(core.PersistentVolumeClaim)
        self._pods = index_orphans(index_owners(ctx.read(SlimPod)))
        ctx.watch(self._sets)
        ctx.watch(self._pods, self._keys_of_pod)
        # Of revisions and claims, what others do to them: the loop's own creations need no second look.
        ctx.watch(self._revisions, self._keys_of_revision, when=lambda old, new: old is not None or (new and controller_of(new)) is None)
        ctx.watch(self._claims, self._keys_of_claim, when=lambda old, new: old is not None)

    def _keys_of_pod(self, pod: SlimPod) -> Iterable[Key]:
        if controller_of(pod) is not None:
            return _to_owner(pod)
        parsed = parse_pod_name(pod.metadata.name)
        owner = self._sets.get(Key(pod.metadata.namespace, parsed[0])) if parsed is not None else None
        return [Key.of(owner)] if owner is not None and selects(owner.spec.selector, pod) else []

    def _keys_of_revision(self, revision: apps.ControllerRevision) -> Iterable[Key]:
        if controller_of(revision) is not None:
            return _to_owner(revision)
        return [Key.of(owner) for owner in self._sets.list(revision.metadata.namespace) if selects(owner.spec.selector, revision)]

    def _keys_of_claim(self, claim: core.PersistentVolumeClaim) -> Iterable[Key]:
        """Return the StatefulSets whose claim has this name: TEMPLATE-SET-ORDINAL, in which both names may have dashes."""
        meta = claim.metadata
        parsed = parse_pod_name(meta.name)
        parts = parsed[0].split("-") if parsed is not None else []
        for cut in range(1, len(parts)):
            owner = self._sets.get(Key(meta.namespace, "-".join(parts[cut:])))
            template = "-".join(parts[:cut])
            if owner is not None and any(one.metadata.name == template for one in owner.spec.volumeClaimTemplates):
                yield Key.of(owner)

    async def reconcile(self, key: Key) -> Result:
        owner = self._sets.get(key)
        if owner is None:
            self._deleted.pop(key, None)
            self._doubtful.pop(key, None)
            self._pacer.forget(key)
            return DONE
        if pause := self._pacer.pause(key):
            return pause
        selector = workload_selector(owner.spec.selector)
        if selector.nothing:
            report_everything(self._ctx.recorder, owner, "stateful set")
            return DONE
        if not selector.matches(owner.spec.template.metadata.labels):
            # Validation lets none in. What the loop creates would not be its own, and it would create it again and again.
            raise Terminal("the selector does not match the labels of the template")
        try:
            revisions = await claim(self._ctx.client, owner, selector, self._revisions)
            pods = await claim(self._ctx.client, owner, selector, self._pods, member=lambda pod: is_member(owner, pod))
        except NotFound:
            return DONE
        self._forget_deleted(key, pods)
        await self._settle_doubts(key, pods)
        pods = self._with_deleted(key, pods)
        if owner.metadata.deletionTimestamp is not None:
            await self._report(owner, owner.status.currentRevision, owner.status.updateRevision, owner.status.collisionCount or 0, pods)
            return DONE
        data = revision_data(owner)
        recorded = await record(self._ctx.client, owner, choose(owner, revisions, data, default_stateful_set), data, longest=LABEL_LENGTH)
        known = {one.metadata.name: one for one in (*revisions, recorded.revision)}
        step = await self._advance(key, owner, recorded, known, pods)
        return Result(0.0) if max(len(step.create), len(step.delete)) == BURST else Result(step.after)

    async def _advance(
        self, key: Key, owner: apps.StatefulSet, recorded: Recorded, known: dict[str, apps.ControllerRevision], pods: list[SlimPod]
    ) -> Plan:
        """Take the next step, report on it whether or not it succeeds, and forget revisions that nobody needs any more."""
        update = recorded.revision.metadata.name
        current = owner.status.currentRevision if owner.status.currentRevision in known else update
        with self._pacer.measure(key):
            step = plan(owner, current, update, pods, self._find_claim(owner), self._ctx.clock.now())
        steps = Steps(self._ctx.client, self._ctx.recorder, owner, known, self._pods)
        error: Exception | None = None
        try:
            await steps.take(step)
        except Exception as raised:
            error = raised
        self._remember(key, steps)
        after: list[SlimPod | core.Pod] = [*self._with_deleted(key, pods), *steps.created]
        try:
            await self._report(owner, current, update, recorded.collisions, after)
        except Exception:
            if error is None:
                raise
        if error is not None:
            raise error
        live = {current, update, *(revision_of(pod) for pod in after)}
        await forget(self._ctx.client, excess(known.values(), live, owner.spec.revisionHistoryLimit))
        return step

    def _find_claim(self, owner: apps.StatefulSet) -> FindClaim:
        return lambda name: self._claims.get(Key(owner.metadata.namespace, name))

    async def _report(
        self, owner: apps.StatefulSet, current: str, update: str, collisions: int, pods: Sequence[SlimPod | core.Pod]
    ) -> None:
        await write_status(self._ctx.client, owner, status(owner, current, update, collisions, pods, self._ctx.clock.now()))

    def _remember(self, key: Key, steps: Steps) -> None:
        if steps.deleted:
            self._deleted.setdefault(key, set()).update(steps.deleted)
        if steps.doubtful:
            self._doubtful.setdefault(key, set()).update(steps.doubtful)

    async def _settle_doubts(self, key: Key, pods: list[SlimPod]) -> None:
        """Find out about deletions whose answer was an error: the cache may be behind, and to take such a pod for alive would be wrong."""
        doubtful = self._doubtful.get(key, set())
        for pod in pods:
            meta = pod.metadata
            if meta.uid in doubtful and not is_terminating(pod):
                try:
                    current = await self._ctx.client.get(self._pods.kind, meta.name, meta.namespace)
                except NotFound:
                    current = None
                if current is None or current.metadata.uid != meta.uid or is_terminating(current):
                    self._deleted.setdefault(key, set()).add(meta.uid)
        self._doubtful.pop(key, None)

    def _forget_deleted(self, key: Key, pods: list[SlimPod]) -> None:
        """Forget deletions that the cache shows; `pods` are as it has them."""
        deleted = self._deleted.get(key, set())
        deleted &= {pod.metadata.uid for pod in pods if not is_terminating(pod)}
        if not deleted:
            self._deleted.pop(key, None)

    def _with_deleted(self, key: Key, pods: list[SlimPod]) -> list[SlimPod]:
        """Mark pods as terminating that were deleted and that the cache may still show as they were before."""
        deleted = self._deleted.get(key, set())
        now = time(self._ctx.clock.now())
        return [_terminating(pod, now) if pod.metadata.uid in deleted else pod for pod in pods]


def _terminating(pod: SlimPod, now: datetime) -> SlimPod:
    return msgspec.structs.replace(pod, metadata=msgspec.structs.replace(pod.metadata, deletionTimestamp=now))
