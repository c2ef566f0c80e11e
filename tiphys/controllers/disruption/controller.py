"""The disruption controller: keeps the status of PodDisruptionBudgets, on which evictions are granted."""

from __future__ import annotations

from collections.abc import Iterable

from tiphys.api.helpers.pods import is_ready
from tiphys.api.machinery.selectors import Selector, SelectorError, from_label_selector
from tiphys.api.policy import v1 as policy
from tiphys.controllers.disruption.owners import READS, NoScale, Owners, Workload
from tiphys.controllers.disruption.plan import failed, grants, needs_scale, several, status, unmanaged
from tiphys.controllers.shared.custom import custom_kind
from tiphys.controllers.shared.pacing import Pacer
from tiphys.controllers.shared.slim import PODS, SlimDefinition, SlimPod
from tiphys.runtime import DONE, ControllerContext, Declaration, Key, Result, Whole, write_status


class DisruptionController:
    """Keys are budgets."""

    declaration = Declaration(
        name="disruption",
        kind=policy.PodDisruptionBudget,
        roles=("disruption-controller",),
        reads=(Whole(policy.PodDisruptionBudget), PODS, *READS),
    )

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._pacer = Pacer(ctx.clock)
        self._budgets = ctx.read(policy.PodDisruptionBudget)
        self._pods = ctx.read(SlimPod)
        self._owners = Owners(ctx)
        ctx.watch(self._budgets)
        ctx.watch(self._pods, self._covering, when=_matters)
        for informer in self._owners.workloads.values():
            ctx.watch(informer, self._in_namespace, when=_resized)
        ctx.watch(self._owners.definitions, self._all, when=lambda old, new: old is None or new is None or _scales(old) != _scales(new))

    def _all(self, _: SlimDefinition) -> Iterable[Key]:
        return [Key.of(budget) for budget in self._budgets.list() if needs_scale(budget)]

    def _covering(self, pod: SlimPod) -> Iterable[Key]:
        meta = pod.metadata
        budgets = self._budgets.list(meta.namespace)
        keys = [Key.of(budget) for budget in budgets if (selector := _selector(budget)) is not None and selector.matches(meta.labels)]
        if len(keys) > 1 and self._pods.get(Key.of(pod)) is not None:
            self._ctx.recorder.event(pod, "Warning", "MultiplePodDisruptionBudgets", several(pod, (key.name for key in keys)))
        return keys

    def _in_namespace(self, workload: Workload) -> Iterable[Key]:
        return [Key.of(budget) for budget in self._budgets.list(workload.metadata.namespace) if needs_scale(budget)]

    async def reconcile(self, key: Key) -> Result:
        budget = self._budgets.get(key)
        if budget is None or budget.metadata.deletionTimestamp is not None:
            self._pacer.forget(key)
            return DONE
        if pause := self._pacer.pause(key):
            return pause
        now = self._ctx.clock.now()
        selector = _selector(budget)
        with self._pacer.measure(key):
            pods = [pod for pod in self._pods.list(key.namespace) if selector is not None and selector.matches(pod.metadata.labels)]
        granted = grants(budget, pods, now)
        try:
            count = await self._owners.count(pods) if needs_scale(budget) else None
        except NoScale as error:
            self._ctx.recorder.event(
                budget, "Warning", "CalculateExpectedPodCountFailed", f"Failed to calculate the number of expected pods: {error}"
            )
            await write_status(self._ctx.client, budget, failed(budget, str(error), now))
            return Result(granted.after)
        if not pods:
            self._ctx.recorder.event(budget, "Normal", "NoPods", "No matching pods found")
        if count is not None and count.unmanaged:
            self._ctx.recorder.event(budget, "Warning", "UnmanagedPods", unmanaged(budget))
        for pod in granted.expired:
            self._ctx.recorder.event(pod, "Warning", "NotDeleted", f"Pod was expected by PDB {key} to be deleted but it wasn't")
        replicas = count.replicas if count is not None else None
        await write_status(self._ctx.client, budget, status(budget, pods, replicas, granted.pending, now))
        return Result(granted.after)


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


def _scales(definition: SlimDefinition) -> object:
    """Return what decides whether a custom kind is served with a scale."""
    return custom_kind(definition), [(one.name, one.subresources) for one in definition.spec.versions]


def _resized(old: Workload | None, new: Workload | None) -> bool:
    return old is None or new is None or old.spec.replicas != new.spec.replicas
