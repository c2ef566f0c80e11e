"""The disruption controller: keeps the status of PodDisruptionBudgets, on which evictions are granted."""

from __future__ import annotations

from collections.abc import Iterable

from tiphys.api.apps import v1 as apps
from tiphys.api.helpers.pods import is_ready
from tiphys.api.machinery.errors import StatusError
from tiphys.api.machinery.selectors import Selector, SelectorError, from_label_selector
from tiphys.api.policy import v1 as policy
from tiphys.controllers.disruption.owners import NoOwner, NoScale, Owners
from tiphys.controllers.disruption.plan import disrupted, failed, needs_scale, status, unmanaged
from tiphys.controllers.shared.pacing import Pacer
from tiphys.controllers.shared.slim import DEFINITIONS, PODS, SlimDefinition, SlimPod
from tiphys.runtime import DONE, ControllerContext, Declaration, Key, Result, Whole, write_status

RECHECK_SECONDS = 2.0
"""Seconds until owners that do not exist are looked for again."""


class DisruptionController:
    """Keys are budgets."""

    declaration = Declaration(
        name="disruption",
        kind=policy.PodDisruptionBudget,
        roles=("disruption-controller",),
        reads=(Whole(policy.PodDisruptionBudget), PODS, Whole(apps.ReplicaSet), Whole(apps.Deployment), DEFINITIONS),
    )

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._pacer = Pacer(ctx.clock)
        self._budgets = ctx.read(policy.PodDisruptionBudget)
        self._pods = ctx.read(SlimPod)
        sets, deployments = ctx.read(apps.ReplicaSet), ctx.read(apps.Deployment)
        definitions = ctx.read(SlimDefinition)
        self._owners = Owners(ctx.client, sets, deployments, definitions)
        ctx.watch(self._budgets)
        ctx.watch(self._pods, self._covering, when=_matters)
        ctx.watch(deployments, self._in_namespace, when=_resized)
        ctx.watch(sets, self._in_namespace, when=_resized)
        # A kind may get its scale after the pods of its objects.
        ctx.watch(definitions, lambda _: [Key.of(budget) for budget in self._budgets.list() if needs_scale(budget)], when=_redefined)

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
            return Result(wait)
        now = self._ctx.clock.now()
        selector = _selector(budget)
        with self._pacer.measure(key):
            pods = [pod for pod in self._pods.list(key.namespace) if selector is not None and selector.matches(pod.metadata.labels)]
        granted, after = disrupted(budget, pods, now)
        try:
            scale, complete = await self._owners.scale(pods) if needs_scale(budget) else (None, True)
        except (NoScale, StatusError) as error:
            self._ctx.recorder.event(
                budget, "Warning", "CalculateExpectedPodCountFailed", f"Failed to calculate the number of expected pods: {error}"
            )
            await write_status(self._ctx.client, budget, failed(budget, str(error), now))
            if isinstance(error, StatusError):
                raise
            if isinstance(error, NoOwner):
                return Result(RECHECK_SECONDS if after is None else min(after, RECHECK_SECONDS))
            return Result(after)
        if not complete:
            self._ctx.recorder.event(budget, "Warning", "UnmanagedPods", unmanaged(budget))
        if not pods:
            self._ctx.recorder.event(budget, "Normal", "NoPods", "No matching pods found")
        await write_status(self._ctx.client, budget, status(budget, pods, scale, granted, now))
        return Result(after)


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


def _redefined(old: SlimDefinition | None, new: SlimDefinition | None) -> bool:
    return old is None or new is None or (old.spec, old.status) != (new.spec, new.status)
