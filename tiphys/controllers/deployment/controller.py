"""The Deployment controller."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tiphys.api.apps import v1 as apps
from tiphys.api.helpers.pods import is_finished
from tiphys.api.machinery.errors import AlreadyExists, Conflict, NotFound
from tiphys.controllers.deployment import history, status
from tiphys.controllers.deployment.plan import Plan, plan
from tiphys.controllers.deployment.rollout import is_behind
from tiphys.controllers.shared.claim import claim, index_orphans, reference
from tiphys.controllers.shared.doubts import Doubts
from tiphys.controllers.shared.refusal import namespace_ends
from tiphys.controllers.shared.selecting import report_everything, selects, workload_selector
from tiphys.controllers.shared.slim import PODS, SlimPod
from tiphys.runtime import (
    DONE,
    OWNER,
    ControllerContext,
    Declaration,
    Key,
    Result,
    Whole,
    controller_of,
    copied,
    delete_exact,
    index_owners,
    to_owner,
    update_present,
)


class DeploymentController:
    """Rolls out pod templates over ReplicaSets.

    After a write without an answer the server is asked for the ReplicaSets: one that has grown leaves no room for that of a next template.
    """

    declaration = Declaration(
        name="deployment",
        kind=apps.Deployment,
        roles=("deployment-controller",),
        reads=(Whole(apps.Deployment), Whole(apps.ReplicaSet), PODS),
    )

    def __init__(self) -> None:
        self._doubts = Doubts()

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._deployments = ctx.read(apps.Deployment)
        self._sets = index_orphans(index_owners(ctx.read(apps.ReplicaSet)))
        self._pods = index_owners(ctx.read(SlimPod))
        ctx.watch(self._deployments)
        ctx.watch(self._sets, self._keys)
        # Recreate waits until the last old pod is gone, which no ReplicaSet's status shows.
        ctx.watch(self._pods, self._recreating, when=lambda old, new: new is None or (is_finished(new) and not (old and is_finished(old))))

    def _keys(self, replica_set: apps.ReplicaSet) -> Iterable[Key]:
        if controller_of(replica_set) is not None:
            return to_owner("Deployment", "apps")(replica_set)
        deployments = self._deployments.list(replica_set.metadata.namespace)
        return [Key.of(deployment) for deployment in deployments if selects(deployment.spec.selector, replica_set)]

    def _recreating(self, pod: SlimPod) -> Iterable[Key]:
        for key in to_owner("ReplicaSet", "apps")(pod):
            replica_set = self._sets.get(key)
            for owner in to_owner("Deployment", "apps")(replica_set) if replica_set is not None else ():
                deployment = self._deployments.get(owner)
                if deployment is not None and deployment.spec.strategy.type == "Recreate":
                    yield owner

    async def reconcile(self, key: Key) -> Result:
        deployment = self._deployments.get(key)
        if deployment is None:
            self._doubts.forget(key)
            return DONE
        selector = workload_selector(deployment.spec.selector)
        if selector.nothing:
            report_everything(self._ctx.recorder, deployment, "deployment")
            return DONE
        try:
            sets = await claim(self._ctx.client, deployment, selector, self._sets)
            sets = await self._doubts.settle(self._ctx.client, deployment, selector, self._sets, sets)
        except NotFound:
            return DONE
        step = plan(deployment, sets, old_pods_running=self._old_pods_run(deployment, sets), now=self._ctx.clock.now())
        try:
            await self._apply(deployment, step)
        except Exception as error:
            self._doubts.note(key, error)
            raise
        return Result(step.after)

    def _old_pods_run(self, deployment: apps.Deployment, sets: list[apps.ReplicaSet]) -> bool:
        new = history.find_new(deployment, sets)
        for replica_set in sets:
            if replica_set is new:
                continue
            pods = self._pods.by_index(OWNER, replica_set.metadata.uid)
            if is_behind(replica_set) or replica_set.status.replicas or any(not is_finished(pod) for pod in pods):
                return True
        return False

    async def _apply(self, deployment: apps.Deployment, step: Plan) -> None:
        client, events = self._ctx.client, self._ctx.recorder
        if step.create is not None:
            await self._create(deployment, step)
        for change in step.updates:
            await client.update(change.replica_set)
            if change.event:
                events.event(deployment, "Normal", "ScalingReplicaSet", change.event)
        for replica_set in step.deletes:
            await delete_exact(client, apps.ReplicaSet, replica_set.metadata, unchanged=True)
        await self._write_status(deployment, step.status, step.revision)

    async def _create(self, deployment: apps.Deployment, step: Plan) -> None:
        assert step.create is not None
        replica_set = step.create.replica_set
        replica_set.metadata.ownerReferences = [reference(deployment)]
        try:
            await self._ctx.client.create(replica_set)
        except AlreadyExists:
            await self._collide(deployment, replica_set)
            raise
        except Exception as error:
            if not namespace_ends(error) and not isinstance(error, ConnectionError):
                await self._report_failure(deployment, step, f'Failed to create new replica set "{replica_set.metadata.name}": {error}')
            raise
        if step.create.event:
            self._ctx.recorder.event(deployment, "Normal", "ScalingReplicaSet", step.create.event)

    async def _collide(self, deployment: apps.Deployment, replica_set: apps.ReplicaSet) -> None:
        """Handle a taken name: by our own ReplicaSet that the cache does not show yet, or by a stranger; then choose another name."""
        existing = await self._ctx.client.get(apps.ReplicaSet, replica_set.metadata.name, replica_set.metadata.namespace)
        owner = controller_of(existing)
        ours = owner is not None and owner.uid == deployment.metadata.uid
        if ours and history.same_template(existing.spec.template, deployment.spec.template):
            return
        changed = copied(deployment)
        changed.status.collisionCount = (changed.status.collisionCount or 0) + 1
        await self._ctx.client.update_status(changed)

    async def _report_failure(self, deployment: apps.Deployment, step: Plan, message: str) -> None:
        self._ctx.recorder.event(deployment, "Warning", "ReplicaSetCreateError", message)
        if status.deadline(deployment) is None:
            return
        status.set_condition(step.status, status.PROGRESSING, "False", "ReplicaSetCreateError", message, self._ctx.clock.now())
        try:
            await self._write_status(deployment, step.status, "")
        except Conflict:
            # The next try will say it again.
            return

    async def _write_status(self, deployment: apps.Deployment, desired: apps.DeploymentStatus, revision: str) -> None:
        annotations = dict(deployment.metadata.annotations)
        if revision:
            annotations[history.REVISION] = revision
        if desired == deployment.status and annotations == deployment.metadata.annotations:
            return
        meta = msgspec.structs.replace(deployment.metadata, annotations=annotations)
        changed = msgspec.structs.replace(deployment, metadata=meta, status=desired)
        await update_present(self._ctx.client, changed, subresource="status")
