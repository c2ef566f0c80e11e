"""Horizontal pod autoscaling against the real API server, in virtual time; the tests play metrics-server and an adapter."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.integration.controllers.conftest import Cluster
from tests.integration.controllers.make import deployment
from tiphys.aio.clock import VirtualClock
from tiphys.api.apps import v1 as apps
from tiphys.api.autoscaling import v2
from tiphys.api.core import v1 as core
from tiphys.api.machinery import base
from tiphys.api.machinery.base import Quantity
from tiphys.client.client import Client
from tiphys.controllers.autoscaling.controller import HorizontalPodAutoscalerController
from tiphys.controllers.autoscaling.families import COMPUTATIONS, LOOKS, Steps
from tiphys.controllers.autoscaling.settings import AutoscalingSettings
from tiphys.testing import eventually
from tiphys.testing.api_server import running_api_server
from tiphys.wire.http import Request, Response

pytestmark = pytest.mark.looptime
PERIOD = AutoscalingSettings().sync_period


class Metrics:
    """Use of each pod in thousandths, and values of custom and external metrics by path; what is not here is not found."""

    def __init__(self) -> None:
        self.cpu: dict[str, int] = {}
        self.each: int | None = None
        """CPU of every pod that `cpu` does not name."""
        self.values: dict[str, list[dict[str, Any]]] = {}
        self.items: list[dict[str, Any]] | None = None
        """Items of the list of PodMetrics, in place of those that follow from `cpu` and `each`."""
        self.refuses = ""
        """Message with which scales are not written."""

    def answer(self, request: Request, cluster: World) -> Response | None:
        if self.refuses and request.method == "PUT" and request.path.endswith("/scale"):
            return _json({"kind": "Status", "status": "Failure", "reason": "Forbidden", "message": self.refuses, "code": 403}, 403)
        if re.fullmatch(r"/apis/(custom|external)\.metrics\.k8s\.io", request.path) and self.values:
            group = request.path.removeprefix("/apis/")
            return _json({"preferredVersion": {"groupVersion": f"{group}/v1beta1", "version": "v1beta1"}})
        if request.path in self.values:
            return _json({"items": self.values[request.path]})
        if request.path.startswith("/apis/metrics.k8s.io/") and self.items is not None:
            return _json({"items": self.items})
        if not request.path.startswith("/apis/metrics.k8s.io/") or (self.each is None and not self.cpu):
            return None
        now = base.time(cluster.client.clock.now())
        items = [
            {"metadata": {"name": name}, "timestamp": now, "window": "15s", "containers": [{"name": "main", "usage": {"cpu": f"{cpu}m"}}]}
            for name in cluster.names
            if (cpu := self.cpu.get(name, self.each)) is not None
        ]
        return _json({"items": items})


def _json(body: Any, status: int = 200) -> Response:
    return Response(status, {"Content-Type": "application/json"}, msgspec.json.encode(body))


class World(Cluster):
    """A Deployment `web` whose pods the test makes, and its autoscaler."""

    names: list[str]
    metrics: Metrics

    async def prepare(self, replicas: int, **requests: str) -> None:
        made = deployment(replicas)
        made.spec.template.spec.containers[0].resources.requests = {name: Quantity(value) for name, value in requests.items()}
        await self.client.create(made)
        await self.client.create(core.ServiceAccount(metadata=_named("default")))
        await self.resize(replicas, made)

    async def resize(self, replicas: int, made: apps.Deployment | None = None) -> None:
        """Make as many ready pods as there are replicas."""
        made = made or await self.client.get(apps.Deployment, "web", "default")
        for name in self.names[replicas:]:
            await self.client.delete(core.Pod, name, "default", grace=0)
        wanted = [f"web-{number}" for number in range(replicas)]
        for name in wanted[len(self.names) :]:
            pod = core.Pod(metadata=_named(name), spec=made.spec.template.spec)
            pod.metadata.labels = made.spec.template.metadata.labels
            pod = await self.make_ready(await self.client.create(pod))
            pod.status.startTime = base.time(self.client.clock.now())
            await self.client.update_status(pod)
        self.names[:] = wanted
        found = await self.client.get(apps.Deployment, "web", "default")
        found.status.replicas = replicas
        await self.client.update_status(found)

    async def replicas(self) -> int | None:
        return (await self.client.get(apps.Deployment, "web", "default")).spec.replicas

    async def scaler(self) -> v2.HorizontalPodAutoscaler:
        return await self.client.get(v2.HorizontalPodAutoscaler, "web", "default")

    async def condition(self, type_: str) -> tuple[str, str]:
        found = {one.type: one for one in (await self.scaler()).status.conditions}
        return (found[type_].status, found[type_].reason) if type_ in found else ("", "")

    async def reasons(self) -> set[str]:
        return {event.reason for event in (await self.client.list(core.Event, "default")).items}

    async def message(self, reason: str) -> str | None:
        """Return the message of the event of a reason."""
        return next((one.message for one in (await self.client.list(core.Event, "default")).items if one.reason == reason), None)


def _named(name: str) -> Any:
    return msgspec.convert({"name": name, "namespace": "default"}, core.Pod().metadata.__class__)


class WithMetrics:
    """Transport that asks the test's metrics first, and then the server."""

    def __init__(self, world: World, inner: Any) -> None:
        self._world, self._inner = world, inner

    async def request(self, request: Request) -> Response:
        answer = self._world.metrics.answer(request, self._world)
        return answer if answer is not None else await self._inner.request(request)

    async def close(self) -> None:
        await self._inner.close()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running_api_server(tmp_path, clock=VirtualClock()) as (_, client_for):

        def with_metrics(*identity: str) -> Client:
            client = client_for(*identity)
            client.transport = WithMetrics(made, client.transport)
            return client

        made = World(client_for, tmp_path)
        made.names, made.metrics, made.client_for = [], Metrics(), with_metrics
        yield made


def scaler(
    least: int = 1, most: int = 10, metrics: list[dict[str, Any]] | None = None, target: str = "Deployment", **more: Any
) -> v2.HorizontalPodAutoscaler:
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": target, "name": "web"},
        "minReplicas": least,
        "maxReplicas": most,
        "metrics": metrics or [CPU_HALF],
        **more,
    }
    return msgspec.convert({"metadata": {"name": "web", "namespace": "default"}, "spec": spec}, v2.HorizontalPodAutoscaler)


CPU_HALF = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}
CUSTOM = "/apis/custom.metrics.k8s.io/v1beta1/namespaces/default"
EXTERNAL = "/apis/external.metrics.k8s.io/v1beta1/namespaces/default"
JOBS = {"type": "External", "external": {"metric": {"name": "jobs"}, "target": {"type": "AverageValue", "averageValue": "5"}}}
HITS = {"type": "Pods", "pods": {"metric": {"name": "hits"}, "target": {"type": "AverageValue", "averageValue": "10"}}}
RATE = {"type": "Object", "object": {"describedObject": {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "main"},
                                     "metric": {"name": "rate"}, "target": {"type": "Value", "value": "100"}}}  # fmt: skip


def loop() -> HorizontalPodAutoscalerController:
    return HorizontalPodAutoscalerController(AutoscalingSettings())


async def test_grows_with_the_load_and_shrinks_after_the_window(world: World) -> None:
    await world.prepare(2, cpu="1")
    await world.client.clock.sleep(600.0)
    world.metrics.each = 1000
    async with world.controllers(loop()):
        await world.client.create(scaler())
        await eventually(lambda: _is(world, 4))
        await world.resize(4)
        found = await world.scaler()
        assert (found.status.currentReplicas, found.status.desiredReplicas) == (2, 4)
        assert found.status.lastScaleTime is not None
        assert found.status.currentMetrics is not None
        assert found.status.currentMetrics[0].resource is not None
        assert found.status.currentMetrics[0].resource.current == v2.MetricValueStatus(averageValue=Quantity("1"), averageUtilization=100)
        assert await world.condition("ScalingActive") == ("True", "ValidMetricFound")
        await eventually(lambda: _has(world, "SuccessfulRescale"))

        world.metrics.each = 100
        await world.client.clock.sleep(270.0)
        assert await world.replicas() == 4
        assert await world.condition("AbleToScale") == ("True", "ScaleDownStabilized")
        await world.client.clock.sleep(60.0)
        assert await world.replicas() == 1


async def _is(world: World, replicas: int) -> bool:
    return await world.replicas() == replicas


async def _has(world: World, reason: str) -> bool:
    return reason in await world.reasons()


async def test_keeps_within_its_bounds_without_any_metrics(world: World) -> None:
    await world.prepare(2, cpu="1")
    async with world.controllers(loop()):
        await world.client.create(scaler(least=5))
        await eventually(lambda: _is(world, 5))
        await world.client.delete(v2.HorizontalPodAutoscaler, "web", "default")
        await world.client.create(scaler(most=3))
        await eventually(lambda: _is(world, 3))


async def test_a_workload_that_was_scaled_to_zero_is_left_alone(world: World) -> None:
    await world.prepare(0, cpu="1")
    world.metrics.each = 1000
    async with world.controllers(loop()):
        await world.client.create(scaler())
        await eventually(lambda: _condition_is(world, "ScalingActive", ("False", "ScalingDisabled")))
        await world.client.clock.sleep(3 * PERIOD)
        assert await world.replicas() == 0


async def _condition_is(world: World, type_: str, value: tuple[str, str]) -> bool:
    return await world.condition(type_) == value


@pytest.mark.parametrize(
    ("change", "type_", "reason"),
    [
        ({"target": "Nothing"}, "AbleToScale", "FailedGetScale"),
        ({}, "ScalingActive", "FailedGetResourceMetric"),
        ({"metrics": [{"type": "Pods", "pods": {"metric": {"name": "hits"}, "target": {"type": "AverageValue", "averageValue": "10"}}}]},
         "ScalingActive", "FailedGetPodsMetric"),
        ({"metrics": [{"type": "External", "external": {"metric": {"name": "jobs"}, "target": {"type": "Value", "value": "10"}}}]},
         "ScalingActive", "FailedGetExternalMetric"),
    ],
    ids=["target", "cpu", "pods", "external"],
)  # fmt: skip
async def test_missing_metrics_are_reported_and_asked_for_once_a_period(
    world: World, change: dict[str, Any], type_: str, reason: str
) -> None:
    await world.prepare(2, cpu="1")
    async with world.controllers(loop()):
        await world.client.create(scaler(**change))
        await eventually(lambda: _condition_is(world, type_, ("False", reason)))
        await eventually(lambda: _has(world, reason))
        version = (await world.scaler()).metadata.resourceVersion
        await world.client.clock.sleep(10 * PERIOD)
        assert (await world.scaler()).metadata.resourceVersion == version, "nothing is written while nothing changes"
        assert await world.replicas() == 2


@pytest.mark.parametrize(
    ("metric", "whole", "reason", "own"),
    [
        (CPU_HALF, "failed to get cpu resource metric value: ", "FailedGetResourceMetric",
         "failed to get cpu utilization: unable to get metrics for resource cpu: no metrics returned from resource metrics API"),
        (HITS, "failed to get pods metric value: ", "FailedGetPodsMetric", "unable to get metric hits: "),
        (RATE, "failed to get object metric value: ", "FailedGetObjectMetric", "unable to get metric rate: "),
        (JOBS, "failed to get jobs external metric value: failed to get jobs external metric: ", "FailedGetExternalMetric",
         "unable to get external metric default/jobs/nil: "),
    ],
    ids=["cpu", "pods", "object", "external"],
)  # fmt: skip
async def test_failures_name_the_metric(world: World, metric: dict[str, Any], whole: str, reason: str, own: str) -> None:
    await world.prepare(2, cpu="1")
    async with world.controllers(loop()):
        await world.client.create(scaler(metrics=[metric]))
        message = await eventually(lambda: world.message(reason))
        assert message.startswith(own)
        summary = await eventually(lambda: world.message("FailedComputeMetricsReplicas"))
        assert summary == f"invalid metrics (1 invalid out of 1), first error is: {whole}{message}"


async def test_a_failing_metric_lets_replicas_come_but_not_go(world: World) -> None:
    await world.prepare(2, cpu="1")
    await world.client.clock.sleep(600.0)
    world.metrics.each = 10
    async with world.controllers(loop()):
        await world.client.create(scaler(metrics=[CPU_HALF, HITS]))
        await eventually(lambda: _condition_is(world, "ScalingActive", ("False", "FailedGetPodsMetric")))
        await world.client.clock.sleep(600.0)
        assert await world.replicas() == 2
        world.metrics.each = 1000
        await eventually(lambda: _is(world, 4))


async def test_a_failing_metric_leaves_its_place_in_the_status_empty(world: World) -> None:
    await world.prepare(2, cpu="1")
    await world.client.clock.sleep(600.0)
    world.metrics.each = 1000
    async with world.controllers(loop()):
        await world.client.create(scaler(metrics=[HITS, CPU_HALF]))
        await eventually(lambda: _is(world, 4))
        statuses = (await world.scaler()).status.currentMetrics
        assert statuses is not None
        none, cpu = statuses
        assert none == v2.MetricStatus()
        assert cpu.resource is not None
        assert cpu.resource.current.averageUtilization == 100


async def test_the_status_follows_replicas_when_metrics_are_gone(world: World) -> None:
    await world.prepare(2, cpu="1")
    await world.client.clock.sleep(600.0)
    world.metrics.each = 500
    async with world.controllers(loop()):
        await world.client.create(scaler())
        await eventually(lambda: _condition_is(world, "ScalingActive", ("True", "ValidMetricFound")))
        assert (await world.scaler()).status.currentMetrics != [v2.MetricStatus()]
        world.metrics.each = None
        await world.client.patch(apps.Deployment, "web", "default", body={"spec": {"replicas": 6}})
        await eventually(lambda: _condition_is(world, "ScalingActive", ("False", "FailedGetResourceMetric")))
        status = (await world.scaler()).status
        assert (status.currentReplicas, status.desiredReplicas, status.currentMetrics) == (6, 2, [v2.MetricStatus()])


async def test_the_status_tells_what_was_measured_when_the_scale_is_refused(world: World) -> None:
    await world.prepare(2, cpu="1")
    await world.client.clock.sleep(600.0)
    world.metrics.each, world.metrics.refuses = 1000, "no more"
    async with world.controllers(loop()):
        await world.client.create(scaler())
        await eventually(lambda: _condition_is(world, "AbleToScale", ("False", "FailedUpdateScale")))
        status = (await world.scaler()).status
        assert (status.currentReplicas, status.desiredReplicas, status.lastScaleTime) == (2, 0, None)
        assert status.currentMetrics is not None
        assert status.currentMetrics[0].resource is not None
        await eventually(lambda: _has(world, "FailedRescale"))
        world.metrics.refuses = ""
        await eventually(lambda: _is(world, 4))


def use(cpu: str = "1", window: str = "15s", timestamp: str = "2026-01-01T00:00:00Z") -> dict[str, Any]:
    containers = [{"name": "main", "usage": {"cpu": cpu}}]
    return {"metadata": {"name": "web-0"}, "timestamp": timestamp, "window": window, "containers": containers}


@pytest.mark.parametrize("item", [use("much"), use(window="soon"), use(timestamp="never"), {"containers": 3}])
async def test_use_that_makes_no_sense_is_reported_and_asked_for_again(world: World, item: dict[str, Any]) -> None:
    await world.prepare(1, cpu="1")
    await world.client.clock.sleep(600.0)
    world.metrics.items = [item]
    async with world.controllers(loop()):
        await world.client.create(scaler())
        await eventually(lambda: _condition_is(world, "ScalingActive", ("False", "FailedGetResourceMetric")))
        await eventually(lambda: _has(world, "FailedGetResourceMetric"))
        world.metrics.items = [use()]
        await world.client.clock.sleep(PERIOD + 1.0)
        assert await world.replicas() == 2


@pytest.mark.parametrize(
    ("metric", "path", "reason"),
    [
        (JOBS, f"{EXTERNAL}/jobs", "FailedGetExternalMetric"),
        (HITS, f"{CUSTOM}/pods/*/hits", "FailedGetPodsMetric"),
        (RATE, f"{CUSTOM}/ingresses.networking.k8s.io/main/rate", "FailedGetObjectMetric"),
    ],
    ids=["external", "pods", "object"],
)
async def test_values_that_make_no_sense_are_reported(world: World, metric: dict[str, Any], path: str, reason: str) -> None:
    await world.prepare(1, cpu="1")
    world.metrics.values = {path: [{"describedObject": {"name": "web-0"}, "value": "much"}]}
    async with world.controllers(loop()):
        await world.client.create(scaler(metrics=[metric]))
        await eventually(lambda: _condition_is(world, "ScalingActive", ("False", reason)))
        await eventually(lambda: _has(world, reason))


async def test_use_beyond_all_numbers_is_as_much_as_the_status_can_hold(world: World) -> None:
    await world.prepare(1, cpu="1")
    await world.client.clock.sleep(600.0)
    world.metrics.items = [use("9e99")]
    world.metrics.values = {f"{EXTERNAL}/jobs": [{"value": "9e99"}, {"value": "9e99"}]}
    by_value = {"type": "External", "external": {"metric": {"name": "jobs"}, "target": {"type": "Value", "value": "5"}}}
    async with world.controllers(loop()):
        await world.client.create(scaler(metrics=[CPU_HALF, JOBS, by_value]))
        await eventually(lambda: _is(world, 4))
        await eventually(lambda: _condition_is(world, "ScalingActive", ("True", "ValidMetricFound")))
        statuses = (await world.scaler()).status.currentMetrics
        assert statuses is not None
        cpu, share, value = statuses
        most = Quantity(f"{2**63 - 1}m")
        assert cpu.resource is not None
        assert cpu.resource.current == v2.MetricValueStatus(averageValue=most, averageUtilization=2**31 - 1)
        assert share.external is not None
        assert value.external is not None
        assert (share.external.current.averageValue, value.external.current.value) == (most, most)


async def test_custom_and_external_metrics(world: World) -> None:
    await world.prepare(2)
    world.metrics.values = {
        f"{CUSTOM}/pods/*/hits": [{"describedObject": {"name": name}, "value": "15"} for name in ("web-0", "web-1")],
        f"{CUSTOM}/ingresses.networking.k8s.io/main/rate": [{"value": "150"}],
        f"{EXTERNAL}/jobs": [{"value": "12"}, {"value": "8"}],
    }
    async with world.controllers(loop()):
        await world.client.create(scaler(metrics=[JOBS, HITS, RATE]))
        await eventually(lambda: _is(world, 4))
        assert await eventually(lambda: world.message("SuccessfulRescale")) == "New size: 4; reason: external metric jobs(nil) above target"
        found = await world.scaler()
        assert found.status.currentMetrics is not None
        jobs, pods, obj = found.status.currentMetrics
        assert pods.pods is not None
        assert obj.object is not None
        assert jobs.external is not None
        assert (pods.pods.current.averageValue, obj.object.current.value, jobs.external.current.averageValue) == ("15", "150", "10")


async def test_two_autoscalers_of_the_same_pods_do_nothing(world: World) -> None:
    await world.prepare(2, cpu="1")
    await world.client.clock.sleep(600.0)
    world.metrics.each = 500
    async with world.controllers(loop()):
        await world.client.create(scaler())
        await eventually(lambda: _condition_is(world, "ScalingActive", ("True", "ValidMetricFound")))
        other = scaler()
        other.metadata.name = "other"
        await world.client.create(other)
        await eventually(lambda: _condition_is(world, "ScalingActive", ("False", "AmbiguousSelector")))
        message = await eventually(lambda: world.message("FailedComputeMetricsReplicas"))
        assert message == "pods by selector app=web are controlled by multiple HPAs: [default/other default/web]"


async def test_policies_pace_the_growth(world: World) -> None:
    await world.prepare(2, cpu="1")
    await world.client.clock.sleep(600.0)
    world.metrics.each = 2000
    policies = {"scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}}
    async with world.controllers(loop()):
        await world.client.create(scaler(behavior=policies))
        await eventually(lambda: _is(world, 3))
        await world.resize(3)
        assert await world.condition("ScalingLimited") == ("True", "ScaleUpLimit")
        await world.client.clock.sleep(40.0)
        assert await world.replicas() == 3
        await world.client.clock.sleep(40.0)
        assert await world.replicas() == 4


def counted(steps: Steps, *labels: str) -> float:
    return steps.total.labels(*labels).value


async def test_looks_and_computations_are_counted_by_outcome(world: World) -> None:
    up, looks_up = ("scale_up", "none", "Resource"), ("scale_up", "none")
    failing, looks_failing = ("none", "internal", "Pods"), ("none", "internal")
    before = [counted(COMPUTATIONS, *up), counted(LOOKS, *looks_up), counted(COMPUTATIONS, *failing), counted(LOOKS, *looks_failing)]
    await world.prepare(2, cpu="1")
    await world.client.clock.sleep(600.0)
    world.metrics.each = 1000
    async with world.controllers(loop()):
        await world.client.create(scaler(most=4))
        await eventually(lambda: _is(world, 4))
        await eventually(lambda: counted(LOOKS, *looks_up) == before[1] + 1)
        assert counted(COMPUTATIONS, *up) == before[0] + 1
        await world.client.patch(v2.HorizontalPodAutoscaler, "web", "default", body={"spec": {"metrics": [HITS]}}, kind="merge")
        await eventually(lambda: counted(LOOKS, *looks_failing) > before[3])
        assert counted(COMPUTATIONS, *failing) > before[2]
