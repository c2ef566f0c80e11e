"""Measurer: from one metric of an autoscaler to the replicas it asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tiphys.aio.clock import Clock
from tiphys.api.autoscaling import v2
from tiphys.api.machinery.errors import StatusError
from tiphys.api.machinery.quantity import milli
from tiphys.api.machinery.scheme import Kind
from tiphys.client.client import Client
from tiphys.controllers.autoscaling import replicas
from tiphys.controllers.autoscaling.metrics import MetricsReader
from tiphys.controllers.autoscaling.pods import Sample, count_ready, grouped, request_of
from tiphys.controllers.autoscaling.replicas import NoMetrics, Tolerance, Use
from tiphys.controllers.autoscaling.settings import AutoscalingSettings
from tiphys.controllers.autoscaling.slim import SCALED_PODS, ScaledPod
from tiphys.controllers.shared.selecting import shown


class Workload(NamedTuple):
    """Workload as it is scaled now."""

    namespace: str
    selector: str
    """Selector of its pods, as query parameters take it."""
    desired: int
    """Desired number of replicas."""
    counted: int
    """Number of replicas that its controller counts."""


FindKind = Callable[[str, str], Kind[Any] | None]
"""Find the kind that a reference names by apiVersion and kind."""


class Measurer:
    """Reads the metrics of autoscalers, and the pods they are about."""

    def __init__(self, client: Client, clock: Clock, settings: AutoscalingSettings, kind: FindKind) -> None:
        self._client = client
        self._metrics = MetricsReader(client)
        self._clock = clock
        self._settings = settings
        self._kind = kind

    async def use(self, metric: v2.MetricSpec, workload: Workload, tolerance: Tolerance) -> Use:
        """Return the replicas that a metric asks for. Raises NoMetrics."""
        if metric.resource is not None:
            return await self._resource(metric.resource.name, "", metric.resource.target, workload, tolerance)
        if metric.containerResource is not None:
            source = metric.containerResource
            return await self._resource(source.name, source.container, source.target, workload, tolerance)
        if metric.pods is not None:
            try:
                samples = await self._metrics.of_pods(metric.pods.metric, workload.namespace, workload.selector)
            except NoMetrics as error:
                raise NoMetrics(f"unable to get metric {metric.pods.metric.name}: {error}") from error
            return self._average(samples, await self._pods(workload), "", metric.pods.target, workload, tolerance)
        if metric.object is not None:
            value = await self._object(metric.object, workload.namespace)
            return await self._value(value, metric.object.target, workload, tolerance)
        if metric.external is not None:
            value = await self._external(metric.external.metric, workload.namespace)
            return await self._value(value, metric.external.target, workload, tolerance)
        raise NoMetrics(f'unknown metric source type "{metric.type}"')

    async def _resource(self, name: str, container: str, target: v2.MetricTarget, workload: Workload, tolerance: Tolerance) -> Use:
        what = "utilization" if target.averageValue is None else "usage"
        try:
            samples = await self._metrics.of_resource(name, workload.namespace, workload.selector, container)
        except NoMetrics as error:
            raise NoMetrics(f"failed to get {name} {what}: unable to get metrics for resource {name}: {error}") from error
        try:
            pods = await self._pods(workload)
            if target.averageValue is not None:
                return self._average(samples, pods, name, target, workload, tolerance)
            if target.averageUtilization is None:
                raise NoMetrics("neither an average utilization nor an average value is the target")
            groups = grouped(pods, samples, name, self._clock.now(), self._settings)
            requests = {pod.metadata.name: request_of(pod, name, container) for pod in pods}
            share = target.averageUtilization
            return replicas.of_utilization(samples, groups, requests, target=share, current=workload.desired, tolerance=tolerance)
        except (NoMetrics, LookupError) as error:
            raise NoMetrics(f"failed to get {name} {what}: {error}") from error

    def _average(
        self,
        samples: dict[str, Sample],
        pods: Sequence[ScaledPod],
        resource: str,
        target: v2.MetricTarget,
        workload: Workload,
        tolerance: Tolerance,
    ) -> Use:
        average = milli(target.averageValue) if target.averageValue is not None else 0
        if average <= 0:
            raise NoMetrics("the average value of the target is not above 0")
        groups = grouped(pods, samples, resource, self._clock.now(), self._settings)
        return replicas.of_average(samples, groups, target=average, current=workload.desired, tolerance=tolerance)

    async def _object(self, source: v2.ObjectMetricSource, namespace: str) -> int:
        described = source.describedObject
        kind = self._kind(described.apiVersion, described.kind)
        if kind is None:
            raise NoMetrics(f'no matches for kind "{described.kind}" in group "{described.apiVersion.rpartition("/")[0]}"')
        try:
            return await self._metrics.of_object(source.metric, namespace, kind.resource, described.name)
        except NoMetrics as error:
            where = f"{described.kind} {namespace}/{described.name}"
            raise NoMetrics(f"unable to get metric {source.metric.name}: {error} on {where}") from error

    async def _external(self, metric: v2.MetricIdentifier, namespace: str) -> int:
        try:
            return await self._metrics.of_external(metric, namespace)
        except NoMetrics as error:
            raise NoMetrics(f"unable to get external metric {namespace}/{metric.name}/{shown(metric.selector)}: {error}") from error

    async def _value(self, value: int, target: v2.MetricTarget, workload: Workload, tolerance: Tolerance) -> Use:
        goal = target.value if target.type == "Value" else target.averageValue
        if goal is None or milli(goal) <= 0:
            raise NoMetrics("neither a value nor an average value above 0 is the target")
        if target.type != "Value":
            return replicas.of_value_per_pod(value, target=milli(goal), counted=workload.counted, tolerance=tolerance)
        try:
            ready = count_ready(await self._pods(workload)) if workload.desired else 0
        except NoMetrics as error:
            raise NoMetrics(f"unable to calculate ready pods: {error}") from error
        return replicas.of_value(value, target=milli(goal), current=workload.desired, ready=ready, tolerance=tolerance)

    async def _pods(self, workload: Workload) -> Sequence[ScaledPod]:
        try:
            kind = SCALED_PODS.kind(self._client.scheme)
            pods = (await self._client.list(kind, workload.namespace, labels=workload.selector)).items
        except (StatusError, ConnectionError) as error:
            raise NoMetrics(f"unable to get pods while calculating replica count: {error}") from error
        if not pods:
            raise NoMetrics("no pods returned by selector while calculating replica count")
        return pods
