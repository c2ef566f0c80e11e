"""The disruption controller: keeps the status of PodDisruptionBudgets, on which evictions are granted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tiphys.api.apps import v1 as apps
from tiphys.api.autoscaling.v1 import Scale
from tiphys.api.helpers.pods import is_ready
from tiphys.api.machinery.errors import NotFound
from tiphys.api.machinery.selectors import Selector, SelectorError, from_label_selector
from tiphys.api.meta.v1 import OwnerReference
from tiphys.api.policy import v1 as policy
from tiphys.controllers.disruption.plan import disrupted, failed, needs_scale, status
from tiphys.controllers.shared.pacing import Pacer
from tiphys.controllers.shared.slim import PODS, SlimPod
from tiphys.runtime import DONE, ControllerContext, Declaration, Informer, Key, Result, Whole, controller_of, write_status


class NoScale(Exception):
    """The desired number of pods cannot be determined; the message says why."""


class DisruptionController:
    """Keys are budgets."""

    declaration = Declaration(
        name="disruption",
        kind=policy.PodDisruptionBudget,
        roles=("disruption-controller",),
        reads=(Whole(policy.PodDisruptionBudget), PODS, Whole(apps.ReplicaSet), Whole(apps.Deployment)),
    )

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._pacer = Pacer(ctx.clock)
        self._budgets = ctx.read(policy.PodDisruptionBudget)
        self._pods = ctx.read(SlimPod)
        self._sets = ctx.read(apps.ReplicaSet)
        self._deployments = ctx.read(apps.Deployment)
        ctx.watch(self._budgets)
        ctx.watch(self._pods, self._covering, when=_matters)
        ctx.watch(self._deployments, self._in_namespace, when=_resized)
        ctx.watch(self._sets, self._in_namespace, when=_resized)

    def _covering(self, pod: SlimPod) -> Iterable[Key]:
        budgets = self._budgets.list(pod.metadata.namespace)
        return [
            Key.of(budget) for budget in budgets if (selector := _selector(budget)) is not None and selector.matches(pod.metadata.labels)
        ]

    def _in_namespace(self, workload: apps.Deployment | apps.ReplicaSet) -> Iterable[Key]:
        return [Key.of(budget) for budget in self._budgets.list(workload.metadata.namespace) if needs_scale(budget)]

    async def reconcile(self, key: Key) -> Result:
        budget = self._budgets.get(key)
        if budget is None or budget.metadata.deletionTimestamp is not None:
            return DONE
        if wait := self._pacer.wait(key):
            return Result(wait, early=True)
        now = self._ctx.clock.now()
        selector = _selector(budget)
        with self._pacer.measure(key):
            pods = [pod for pod in self._pods.list(key.namespace) if selector is not None and selector.matches(pod.metadata.labels)]
        granted, after = disrupted(budget, pods, now)
        try:
            scale = await self._scale(pods) if needs_scale(budget) else None
        except NoScale as error:
            self._ctx.recorder.event(
                budget, "Warning", "CalculateExpectedPodCountFailed", f"Failed to calculate the number of expected pods: {error}"
            )
            await write_status(self._ctx.client, budget, failed(budget, str(error), now))
            return Result(after)
        if not pods:
            self._ctx.recorder.event(budget, "Normal", "NoPods", "No matching pods found")
        await write_status(self._ctx.client, budget, status(budget, pods, scale, granted, now))
        return Result(after)

    async def _scale(self, pods: Sequence[SlimPod]) -> int:
        """Return the sum of the desired replicas of the pods' owners; raises NoScale."""
        owners: dict[str, tuple[str, OwnerReference]] = {}
        for pod in pods:
            owner = controller_of(pod)
            if owner is None:
                raise NoScale(f'found no controller ref for pod "{pod.metadata.name}"')
            owners[owner.uid] = (pod.metadata.namespace, owner)
        roots: dict[str, tuple[str, OwnerReference]] = {}
        for namespace, owner in owners.values():
            root = self._above(namespace, owner)
            roots[root.uid] = (namespace, root)
        return sum([await self._scale_of(namespace, root) for namespace, root in roots.values()])

    def _above(self, namespace: str, owner: OwnerReference) -> OwnerReference:
        """Return the Deployment of a ReplicaSet that has one, else the owner itself."""
        if owner.kind == "ReplicaSet" and owner.apiVersion.startswith("apps/"):
            replica_set = self._sets.get(Key(namespace, owner.name))
            above = controller_of(replica_set) if replica_set is not None else None
            if above is not None:
                return above
        return owner

    async def _scale_of(self, namespace: str, owner: OwnerReference) -> int:
        key = Key(namespace, owner.name)
        if owner.apiVersion.startswith("apps/") and owner.kind in ("Deployment", "ReplicaSet"):
            informer: Informer[apps.Deployment] | Informer[apps.ReplicaSet]
            informer = self._deployments if owner.kind == "Deployment" else self._sets
            obj = informer.get(key)
            if obj is None or obj.metadata.uid != owner.uid:
                return 0
            return 1 if obj.spec.replicas is None else obj.spec.replicas
        kind = self._ctx.client.scheme.by_gvk(owner.apiVersion, owner.kind)
        if kind is None or not any(sub.name == "scale" for sub in kind.subresources):
            raise NoScale(f"{owner.kind}.{owner.apiVersion.rpartition('/')[0]} does not implement the scale subresource")
        try:
            return (await self._ctx.client.get_subresource(kind, owner.name, namespace, "scale", Scale)).spec.replicas
        except NotFound:
            return 0


def _selector(budget: policy.PodDisruptionBudget) -> Selector | None:
    try:
        return from_label_selector(budget.spec.selector)
    except SelectorError:
        return None


def _matters(old: SlimPod | None, new: SlimPod | None) -> bool:
    """Return whether a change of a pod can change a budget's count."""
    if old is None or new is None:
        return True
    before, after = (
        (is_ready(pod), pod.metadata.labels, pod.metadata.deletionTimestamp, pod.metadata.ownerReferences) for pod in (old, new)
    )
    return before != after


def _resized(old: apps.Deployment | apps.ReplicaSet | None, new: apps.Deployment | apps.ReplicaSet | None) -> bool:
    return old is None or new is None or old.spec.replicas != new.spec.replicas
