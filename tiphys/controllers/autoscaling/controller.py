"""Horizontal pod autoscaling: reads metrics, and writes the scale of workloads ("Horizontal Pod Autoscaling")."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from tiphys.api.autoscaling import v1, v2
from tiphys.api.machinery import base
from tiphys.api.machinery.errors import Conflict, StatusError
from tiphys.api.machinery.quantity import parse
from tiphys.api.machinery.scheme import Kind
from tiphys.api.machinery.selectors import Selector, SelectorError, parse_labels
from tiphys.controllers.autoscaling.families import COMPUTATIONS, LOOKS, Outcome, observed
from tiphys.controllers.autoscaling.history import History, Verdict, plainly_limited
from tiphys.controllers.autoscaling.measure import Measurer, Workload
from tiphys.controllers.autoscaling.replicas import NoMetrics, Tolerance, Use
from tiphys.controllers.autoscaling.settings import AutoscalingSettings
from tiphys.controllers.autoscaling.status import ABLE, ACTIVE, LIMITED, Conditions, described, failure, metric_status
from tiphys.controllers.shared.scales import named_kind
from tiphys.controllers.shared.slim import DEFINITIONS, PODS, SlimDefinition, SlimPod
from tiphys.runtime import DONE, ControllerContext, Declaration, Key, Result, Whole, write_status

_ABOVE, _BELOW = "Current number of replicas above Spec.MaxReplicas", "Current number of replicas below Spec.MinReplicas"
FAILURES = {
    "Resource": "FailedGetResourceMetric",
    "ContainerResource": "FailedGetContainerResourceMetric",
    "Pods": "FailedGetPodsMetric",
    "Object": "FailedGetObjectMetric",
    "External": "FailedGetExternalMetric",
}
"""Reason of events and conditions for metrics that cannot be had, by type."""


class _Unable(Exception):
    """Nothing can be decided now; the reason is in the conditions and in events."""


class _Look(NamedTuple):
    """One look at an autoscaler."""

    key: Key
    autoscaler: v2.HorizontalPodAutoscaler
    status: v2.HorizontalPodAutoscalerStatus
    """The status as it will be written; a copy."""
    conditions: Conditions
    outcome: Outcome


class HorizontalPodAutoscalerController:
    """Keys are autoscalers. Each is looked at when it changes, and every sync period."""

    declaration = Declaration(
        name="horizontal-pod-autoscaler",
        kind=v2.HorizontalPodAutoscaler,
        roles=("horizontal-pod-autoscaler",),
        reads=(Whole(v2.HorizontalPodAutoscaler), DEFINITIONS, PODS),
        settings=AutoscalingSettings,
    )

    def __init__(self, settings: AutoscalingSettings) -> None:
        self._settings = settings
        self._histories: dict[Key, History] = {}
        self._selectors: dict[Key, Selector] = {}

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._autoscalers = ctx.read(v2.HorizontalPodAutoscaler)
        self._definitions = ctx.read(SlimDefinition)
        self._pods = ctx.read(SlimPod)
        self._measurer = Measurer(ctx.client, ctx.clock, self._settings, self._kind)
        ctx.watch(self._autoscalers, when=_differs)

    async def reconcile(self, key: Key) -> Result:
        autoscaler = self._autoscalers.get(key)
        if autoscaler is None:
            self._histories.pop(key, None)
            self._selectors.pop(key, None)
            return DONE
        conditions = Conditions(autoscaler.status.conditions, self._ctx.clock.now())
        with observed(LOOKS, self._ctx.clock) as outcome:
            look = _Look(key, autoscaler, msgspec.structs.replace(autoscaler.status), conditions, outcome)
            try:
                await self._scale(look)
            except _Unable:
                outcome.error = "internal"
            look.status.conditions = conditions.listed()
            await write_status(self._ctx.client, autoscaler, look.status)
        return Result(self._settings.sync_period)

    async def _scale(self, look: _Look) -> None:
        """Scale the target as its metrics ask, and enter into the status what is known on the way. Raises _Unable."""
        kind, scale = await self._read_scale(look)
        current, spec, status = scale.spec.replicas, look.autoscaler.spec, look.status
        status.currentReplicas, status.currentMetrics = current, None
        history = self._histories.setdefault(look.key, History())
        history.begin(self._ctx.clock.monotonic(), current)
        least = 1 if spec.minReplicas is None else spec.minReplicas
        if current == 0:
            look.conditions.set(ACTIVE, False, "ScalingDisabled", "scaling is disabled since the replica count of the target is zero")
            desired, why = 0, ""
        elif current > spec.maxReplicas:
            desired, why = spec.maxReplicas, _ABOVE
        elif current < least:
            desired, why = least, _BELOW
        else:
            proposal, metric = await self._proposal(look, scale)
            desired = self._bounded(look, history, current, least, proposal)
            why = f"{metric} above target" if proposal > current else "All metrics below target"
        if desired != current:
            await self._write_scale(look, kind, scale, desired, why)
            look.outcome.note(current, desired)
            history.note_change(self._ctx.clock.monotonic(), desired - current)
            status.lastScaleTime = base.time(self._ctx.clock.now())
        status.desiredReplicas = desired

    # -- the target

    def _kind(self, api_version: str, kind: str) -> Kind[Any] | None:
        return named_kind(self._ctx.client.scheme, self._definitions.list(), api_version, kind)

    async def _read_scale(self, look: _Look) -> tuple[Kind[Any], v1.Scale]:
        target = look.autoscaler.spec.scaleTargetRef
        kind = self._kind(target.apiVersion, target.kind)
        try:
            if kind is None:
                raise LookupError(f'no matches for kind "{target.kind}" in group "{target.apiVersion.rpartition("/")[0]}"')
            scale = await self._ctx.client.get_subresource(kind, target.name, look.key.namespace, "scale", v1.Scale)
        except (StatusError, LookupError) as error:
            self._warn(look, "FailedGetScale", str(error))
            look.conditions.set(ABLE, False, "FailedGetScale", f"the HPA controller was unable to get the target's current scale: {error}")
            raise _Unable from error
        look.conditions.set(ABLE, True, "SucceededGetScale", "the HPA controller was able to get the target's current scale")
        return kind, scale

    async def _write_scale(self, look: _Look, kind: Kind[Any], scale: v1.Scale, desired: int, why: str) -> None:
        scale.spec.replicas = desired
        try:
            await self._ctx.client.put_subresource(kind, look.autoscaler.spec.scaleTargetRef.name, look.key.namespace, "scale", scale)
        except Conflict:
            raise
        except StatusError as error:
            self._warn(look, "FailedRescale", f"New size: {desired}; reason: {why}; error: {error}")
            look.conditions.set(ABLE, False, "FailedUpdateScale", f"the HPA controller was unable to update the target scale: {error}")
            raise _Unable from error
        message = f"the HPA controller was able to update the target scale to {desired}"
        look.conditions.set(ABLE, True, "SucceededRescale", message)
        self._ctx.recorder.event(look.autoscaler, "Normal", "SuccessfulRescale", f"New size: {desired}; reason: {why}")

    # -- the metrics

    async def _proposal(self, look: _Look, scale: v1.Scale) -> tuple[int, str]:
        """Return the replicas that the metric asks for that asks for most, and its name. Raises _Unable.

        Metrics that cannot be had never let replicas go. They leave an empty place in the status, where metrics are found by their number.
        """
        selector = self._selector(look, scale.status.selector)
        workload = Workload(look.key.namespace, selector, scale.spec.replicas, scale.status.replicas)
        metrics, uses, failed = look.autoscaler.spec.metrics, [], []
        statuses = look.status.currentMetrics = [v2.MetricStatus() for _ in metrics]
        for index, metric in enumerate(metrics):
            try:
                with observed(COMPUTATIONS, self._ctx.clock, metric.type) as outcome:
                    use = await self._measurer.use(metric, workload, self._tolerance(look.autoscaler))
                    outcome.note(look.autoscaler.status.currentReplicas, use.replicas)
            except NoMetrics as error:
                look.outcome.error = "internal"
                failed.append((metric, str(error)))
                self._warn(look, _reason(metric), str(error))
            else:
                uses.append((metric, use))
                statuses[index] = metric_status(metric, use)
        best, most = max(uses, key=lambda pair: pair[1].replicas, default=(None, Use(0, 0)))
        if failed and (best is None or most.replicas < scale.spec.replicas):
            metric, message = failed[0]
            look.conditions.set(ACTIVE, False, _reason(metric), f"the HPA was unable to compute the replica count: {message}")
            summary = f"invalid metrics ({len(failed)} invalid out of {len(metrics)}), first error is: {failure(metric, message)}"
            self._warn(look, "FailedComputeMetricsReplicas", summary)
            raise _Unable
        assert best is not None
        name = described(best)
        look.conditions.set(ACTIVE, True, "ValidMetricFound", f"the HPA was able to successfully calculate a replica count from {name}")
        return most.replicas, name

    def _tolerance(self, autoscaler: v2.HorizontalPodAutoscaler) -> Tolerance:
        behavior, usual = autoscaler.spec.behavior, self._settings.tolerance
        rules = (behavior.scaleDown, behavior.scaleUp) if behavior is not None else (None, None)
        below, above = (float(parse(one.tolerance)) if one is not None and one.tolerance is not None else usual for one in rules)
        return Tolerance(below, above)

    def _selector(self, look: _Look, text: str) -> str:
        """Return the selector of the target's pods, once no other autoscaler selects one of them. Raises _Unable."""
        if not text:
            raise self._unselected(look, "SelectorRequired", "selector is required")
        try:
            selector = parse_labels(text)
        except SelectorError as error:
            message = f"couldn't convert selector into a corresponding internal selector object: {error}"
            raise self._unselected(look, "InvalidSelector", message) from error
        self._selectors[look.key] = selector
        rivals = self._rivals(look.key, selector)
        if rivals:
            listed = " ".join(str(rival) for rival in sorted([look.key, *rivals]))
            message = f"pods by selector {text} are controlled by multiple HPAs: [{listed}]"
            raise self._unselected(look, "AmbiguousSelector", message)
        return text

    def _unselected(self, look: _Look, reason: str, message: str) -> _Unable:
        """Report that it is not known which pods to measure."""
        self._warn(look, reason, message)
        if reason == "SelectorRequired":
            look.conditions.set(ACTIVE, False, "InvalidSelector", "the HPA target's scale is missing a selector")
        else:
            look.conditions.set(ACTIVE, False, reason, message)
        self._warn(look, "FailedComputeMetricsReplicas", message)
        return _Unable()

    def _rivals(self, key: Key, selector: Selector) -> list[Key]:
        """Return the other autoscalers that select a pod of this selector."""
        others = {other: known for other, known in self._selectors.items() if other.namespace == key.namespace and other != key}
        if not others:
            return []
        pods = [pod.metadata.labels for pod in self._pods.list(key.namespace) if selector.matches(pod.metadata.labels)]
        return [other for other, known in others.items() if any(known.matches(labels) for labels in pods)]

    # -- the bounds

    def _bounded(self, look: _Look, history: History, current: int, least: int, proposal: int) -> int:
        """Return how far to go towards what metrics ask for, given what was asked for and done lately."""
        spec = look.autoscaler.spec
        now, most, behavior = self._ctx.clock.monotonic(), spec.maxReplicas, spec.behavior
        usual = self._settings.downscale_stabilization
        limited: Verdict
        if behavior is None:
            steady = history.held_up(now, proposal, window=usual)
            limited = plainly_limited(steady.replicas, current, least=least, most=most)
        else:
            up, down = (_window(rules) for rules in (behavior.scaleUp, behavior.scaleDown))
            steady = history.stabilized(now, proposal, current, up=up or 0.0, down=usual if down is None else down)
            limited = history.limited(now, steady.replicas, current, least=least, most=most, behavior=behavior)
        look.conditions.set(ABLE, True, steady.reason, steady.message)
        look.conditions.set(LIMITED, limited.replicas != steady.replicas, limited.reason, limited.message)
        return limited.replicas

    def _warn(self, look: _Look, reason: str, message: str) -> None:
        self._ctx.recorder.event(look.autoscaler, "Warning", reason, message)


def _reason(metric: v2.MetricSpec) -> str:
    return FAILURES.get(metric.type, "InvalidMetricSourceType")


def _window(rules: v2.HPAScalingRules | None) -> float | None:
    return None if rules is None or rules.stabilizationWindowSeconds is None else float(rules.stabilizationWindowSeconds)


def _differs(old: v2.HorizontalPodAutoscaler | None, new: v2.HorizontalPodAutoscaler | None) -> bool:
    """Return whether more than the status of an autoscaler changed."""
    return old is None or new is None or old.spec != new.spec or old.metadata.uid != new.metadata.uid
