"""Controllers of ReplicaSets and of their predecessors, ReplicationControllers: one mechanism, two kinds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.helpers.pods import PodLike, is_active
from tiphys.api.machinery.errors import NotFound
from tiphys.api.machinery.selectors import Selector
from tiphys.controllers.replicaset.plan import BURST, Failure, Plan, Replicator, plan, status, template_pod
from tiphys.controllers.shared.batches import Outcome, all_at_once, slow_start
from tiphys.controllers.shared.claim import claim, index_orphans
from tiphys.controllers.shared.doubts import Doubts
from tiphys.controllers.shared.pacing import Pacer
from tiphys.controllers.shared.pods import Deletions, create_owned, delete_owned
from tiphys.controllers.shared.refusal import namespace_ends
from tiphys.controllers.shared.selecting import map_selector, report_everything, workload_selector
from tiphys.controllers.shared.slim import PODS, SlimPod
from tiphys.runtime import (
    DONE,
    OWNER,
    ControllerContext,
    Declaration,
    Informer,
    Key,
    Result,
    Whole,
    controller_of,
    index_owners,
    to_owner,
    write_status,
)

OwnerT = TypeVar("OwnerT", bound=Replicator)


class ReplicaController(Generic[OwnerT]):
    """Keeps the desired number of pods of a template.

    Creations are never doubled: the loop waits until the cache shows what the last step wrote, and asks the server where an answer was
    lost. Deletions answer with no version to wait for, so the uids that were deleted are remembered until the cache shows it.
    """

    declaration: Declaration
    _type: type[OwnerT]
    _noun: str
    """Name of the kind in messages."""

    def __init__(self) -> None:
        self._deletions = Deletions()
        self._doubts = Doubts()

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._pacer = Pacer(ctx.clock)
        self._sets: Informer[OwnerT] = index_owners(ctx.read(self._type))
        kind = ctx.client.kind_of(self._type)
        self._to_owner = to_owner(kind.kind, kind.group)
        self._pods = index_orphans(index_owners(ctx.read(SlimPod)))
        ctx.watch(self._sets)
        ctx.watch(self._pods, self._keys)

    def _keys(self, pod: SlimPod) -> Iterable[Key]:
        if controller_of(pod) is not None:
            return self._to_owner(pod)
        if not pod.metadata.labels:
            return ()
        sets = self._sets.list(pod.metadata.namespace)
        return [Key.of(candidate) for candidate in sets if self._selector(candidate).matches(pod.metadata.labels)]

    def _selector(self, owner: OwnerT) -> Selector:
        """Return the selector of its pods: NOTHING for one that is invalid or selects everything."""
        raise NotImplementedError

    async def reconcile(self, key: Key) -> Result:
        owner = self._sets.get(key)
        if owner is None:
            self._deletions.forget(key)
            self._doubts.forget(key)
            self._pacer.forget(key)
            return DONE
        if pause := self._pacer.pause(key):
            return pause
        if self._selector(owner).nothing:
            report_everything(self._ctx.recorder, owner, self._noun)
            return DONE
        now = self._ctx.clock.now()
        try:
            pods = await self._claim(owner)
        except NotFound:
            return DONE
        with self._pacer.measure(key):
            deleted = self._deletions.unseen(key, pods)
            pods = [pod for pod in pods if pod.metadata.uid not in deleted]
            step = plan(owner, pods, lambda: self._related(owner), now)
        active, outcome, failure = await self._apply(key, owner, step)
        desired = status(owner, active, step.terminating, failure, now)
        await write_status(self._ctx.client, owner, desired)
        if failure is not None and outcome.error is not None:
            raise outcome.error
        if outcome.error is None and max(step.create, len(step.delete)) == BURST:
            return Result(0.0)
        return Result(step.after)

    async def _claim(self, owner: OwnerT) -> list[SlimPod]:
        selector = self._selector(owner)
        pods = await claim(self._ctx.client, owner, selector, self._pods, adoptable=is_active)
        return await self._doubts.settle(self._ctx.client, owner, selector, self._pods, pods)

    def _related(self, owner: OwnerT) -> list[SlimPod]:
        above = controller_of(owner)
        siblings = [owner] if above is None else self._sets.by_index(OWNER, above.uid)
        return [pod for sibling in siblings for pod in self._pods.by_index(OWNER, sibling.metadata.uid)]

    async def _apply(self, key: Key, owner: OwnerT, step: Plan) -> tuple[list[PodLike], Outcome, Failure | None]:
        """Take the step; returns the pods that are active after it, among them those whose deletion failed: a rollout counts on them."""
        active: list[PodLike] = [*step.keep]

        async def create() -> None:
            try:
                active.append(await create_owned(self._ctx, owner, template_pod(owner)))
            except Exception as error:
                self._doubts.note(key, error)
                raise

        async def delete(pod: SlimPod) -> None:
            try:
                await self._delete(key, owner, pod)
            except Exception:
                active.append(pod)
                raise

        if step.create:
            outcome, reason = await slow_start(step.create, create), "FailedCreate"
        else:
            outcome, reason = await all_at_once(step.delete, delete), "FailedDelete"
        if outcome.error is None or namespace_ends(outcome.error):
            return active, outcome, None
        return active, outcome, Failure(reason, str(outcome.error))

    async def _delete(self, key: Key, owner: OwnerT, pod: SlimPod) -> None:
        await delete_owned(self._ctx, owner, pod.metadata)
        self._deletions.add(key, pod.metadata.uid)


class ReplicaSetController(ReplicaController[apps.ReplicaSet]):
    declaration = Declaration(
        name="replicaset",
        kind=apps.ReplicaSet,
        roles=("replicaset-controller",),
        reads=(Whole(apps.ReplicaSet), PODS),
    )
    _type = apps.ReplicaSet
    _noun = "replica set"

    def _selector(self, owner: apps.ReplicaSet) -> Selector:
        return workload_selector(owner.spec.selector)


class ReplicationController(ReplicaController[core.ReplicationController]):
    declaration = Declaration(
        name="replication",
        kind=core.ReplicationController,
        roles=("replication-controller",),
        reads=(Whole(core.ReplicationController), PODS),
    )
    _type = core.ReplicationController
    _noun = "replication controller"

    def _selector(self, owner: core.ReplicationController) -> Selector:
        return map_selector(owner.spec.selector)
