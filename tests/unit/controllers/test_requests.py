"""Input that can never come true, and refusals that never end: no loop asks the server again and again; in virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec
import pytest

from tests.unit.controllers.cronjob.make import cron_job
from tests.unit.controllers.make import template, whole_pod
from tests.unit.controllers.statefulset.make import claim_template
from tiphys.api.apps import v1 as apps
from tiphys.api.autoscaling import v2 as autoscaling
from tiphys.api.batch import v1 as batch
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import Forbidden
from tiphys.api.meta.v1 import KubeObject, LabelSelector, ObjectMeta
from tiphys.api.policy import v1 as policy
from tiphys.controllers.registry import all_controllers
from tiphys.controllers.settings import ControllerSettings
from tiphys.runtime import Controller
from tiphys.testing.faults import Faults
from tiphys.testing.loops import running_loops
from tiphys.testing.memory_api import MemoryApi

pytestmark = pytest.mark.looptime(noop_cycles=0)

HOUR = 3600.0
FEW = 150
"""Requests in an hour that a loop may send in vain: retries grow to minutes, and some steps take several requests and an event."""
LARGEST = 2**31 - 1
SELECTOR = LabelSelector(matchLabels={"app": "web"})
EVERYTHING = LabelSelector()
OTHER = LabelSelector(matchLabels={"app": "other"})
POD = cron_job().spec.jobTemplate.spec.template


class Case(NamedTuple):
    """Objects as users create them, or, if validation lets none in, as they are put in place; and requests that are refused."""

    create: Sequence[KubeObject]
    refuse: str = ""
    add: bool = False
    most: int = FEW
    tells: str = ""
    """Reason of an event about it."""


def made(type_: type[Any], spec: type[Any], **fields: Any) -> Any:
    return type_(metadata=ObjectMeta(name="web", namespace="default"), spec=spec(**fields))


def workload(type_: type[Any], spec: type[Any], **fields: Any) -> Any:
    return made(type_, spec, **{"selector": SELECTOR, "template": template(), **fields})


replica_set = partial(workload, apps.ReplicaSet, apps.ReplicaSetSpec)
deployment = partial(workload, apps.Deployment, apps.DeploymentSpec)
daemon_set = partial(workload, apps.DaemonSet, apps.DaemonSetSpec)
stateful_set = partial(workload, apps.StatefulSet, apps.StatefulSetSpec, serviceName="web")
replication_controller = partial(made, core.ReplicationController, core.ReplicationControllerSpec)
job = partial(made, batch.Job, batch.JobSpec, template=POD)
service = partial(made, core.Service, core.ServiceSpec, ports=[core.ServicePort(name="http", port=80, protocol="TCP")])
budget = partial(made, policy.PodDisruptionBudget, policy.PodDisruptionBudgetSpec)


def tick(**spec: Any) -> batch.CronJob:
    return batch.CronJob(metadata=ObjectMeta(name="tick", namespace="default"), spec=cron_job(**spec).spec)


def autoscaler(name: str) -> autoscaling.HorizontalPodAutoscaler:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    body = {"metadata": {"name": "web", "namespace": "default"}, "spec": {"scaleTargetRef": target, "maxReplicas": 3}}
    return msgspec.convert(body, autoscaling.HorizontalPodAutoscaler)


def rolling(surge: int, unavailable: int) -> apps.DeploymentStrategy:
    rolling = apps.RollingUpdateDeployment(maxSurge=surge, maxUnavailable=unavailable)
    return apps.DeploymentStrategy(type="RollingUpdate", rollingUpdate=rolling)


REFUSED = {
    "ReplicaSet": (replica_set(replicas=3), ("create pods", "update replicasets/status")),
    "ReplicationController": (
        replication_controller(selector={"app": "web"}, template=template()),
        ("create pods", "update replicationcontrollers/status"),
    ),
    "Deployment": (deployment(replicas=3), ("create pods", "create replicasets", "update deployments/status")),
    "StatefulSet": (
        stateful_set(volumeClaimTemplates=[claim_template("data")]),
        ("create pods", "create persistentvolumeclaims", "create controllerrevisions", "update statefulsets/status"),
    ),
    "DaemonSet": (daemon_set(), ("create pods", "create controllerrevisions", "update daemonsets/status")),
    "Job": (job(completions=5, parallelism=5), ("create pods", "update jobs/status")),
    "CronJob": (tick(schedule="0 * * * *"), ("create jobs", "update cronjobs/status")),
    "Service": (service(selector={"app": "web"}), ("create endpointslices", "create endpoints")),
    "Namespace": (core.Namespace(metadata=ObjectMeta(name="new")), ("create serviceaccounts",)),
    "PodDisruptionBudget": (budget(selector=SELECTOR, minAvailable=1), ("update poddisruptionbudgets/status",)),
}

CASES = {
    "nothing": Case([], most=5),
    **{f"{name}: {what}": Case([obj], refuse=what) for name, (obj, refusals) in REFUSED.items() for what in refusals},
    # Selectors of everything and of nothing.
    "ReplicaSet of everything": Case([replica_set(selector=EVERYTHING)], add=True, most=10, tells="SelectingAll"),
    "Deployment of everything": Case([deployment(selector=EVERYTHING)], add=True, most=10, tells="SelectingAll"),
    "StatefulSet of everything": Case([stateful_set(selector=EVERYTHING)], add=True, most=10, tells="SelectingAll"),
    "DaemonSet of everything": Case([daemon_set(selector=EVERYTHING)], add=True, most=10, tells="SelectingAll"),
    "Job of everything": Case([job(manualSelector=True, selector=EVERYTHING)], most=10, tells="SelectingAll"),
    "StatefulSet that does not match its template": Case([stateful_set(selector=OTHER)], add=True, most=10),
    "Service of nothing": Case([service(selector={"app": "web"})], most=10),
    "budget of everything": Case([budget(selector=EVERYTHING, maxUnavailable=0)], most=30),
    "budget of nothing": Case([budget(selector=OTHER, maxUnavailable=0)], most=30),
    # Strategies that allow no step, and numbers at their limits.
    "Deployment that must not move": Case([deployment(replicas=3, strategy=rolling(0, 0))], add=True),
    "DaemonSet that must not move": Case(
        [
            daemon_set(
                updateStrategy=apps.DaemonSetUpdateStrategy(
                    type="RollingUpdate", rollingUpdate=apps.RollingUpdateDaemonSet(maxSurge=0, maxUnavailable=0)
                )
            )
        ],
        add=True,
    ),
    "huge ReplicaSet": Case([replica_set(replicas=LARGEST, minReadySeconds=LARGEST)], refuse="create pods"),
    "huge Deployment": Case(
        [deployment(replicas=LARGEST, progressDeadlineSeconds=LARGEST - 1, minReadySeconds=LARGEST - 2)], refuse="create pods"
    ),
    "huge StatefulSet": Case([stateful_set(replicas=LARGEST, minReadySeconds=LARGEST)], refuse="create pods"),
    "huge DaemonSet": Case([daemon_set(minReadySeconds=LARGEST)], refuse="create pods"),
    "huge Job": Case(
        [job(completions=100_000, parallelism=LARGEST, backoffLimit=LARGEST, ttlSecondsAfterFinished=LARGEST)], refuse="create pods"
    ),
    # Times that never come, or that nobody can tell.
    "day that never comes": Case([tick(schedule="0 0 30 2 *")], most=10),
    "deadline without end": Case([tick(schedule="0 * * * *", startingDeadlineSeconds=2**63 - 1)], refuse="create jobs"),
    "deadline that has always passed": Case([tick(schedule="0 * * * *", startingDeadlineSeconds=0)], most=20),
    "unknown zone": Case([tick(timeZone="Mars/Olympus")], add=True, most=10),
    "schedule that is none": Case([tick(schedule="now and then")], add=True, most=10),
    # What is missing.
    "ReplicationController without a template": Case([replication_controller(selector={"app": "web"})], add=True),
    # Autoscalers look every 15 seconds, and may ask for the scale, the pods, and metrics.
    "autoscaler of nothing": Case([autoscaler("nothing")], most=700),
    "autoscaler without metrics": Case([deployment(replicas=1), autoscaler("web")], most=1500),
}


def loops() -> list[Callable[[], Controller]]:
    """Return all control loops but those that act on nodes whose kubelets are silent."""
    silent = ("node", "taint-eviction-controller")
    return [partial(_same, one) for one in all_controllers(ControllerSettings()) if one.declaration.name not in silent]


def _same(controller: Controller) -> Controller:
    return controller


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_hopeless_input_costs_few_requests(api: MemoryApi, case: Case) -> None:
    api.add(core.Node(metadata=ObjectMeta(name="n1")), whole_pod("alone", labels={"app": "lonely"}))
    faults = Faults(clock=api.clock)
    async with running_loops(api.client(faults=faults), *loops()):
        await asyncio.sleep(60)
        refusal = faults.fail(case.refuse, Forbidden("exceeded quota"), times=None) if case.refuse else None
        before = len(faults.calls)
        for obj in case.create:
            if case.add:
                api.add(obj)
            else:
                await api.client().create(obj)
        await asyncio.sleep(HOUR)
        # Watches are renewed now and then.
        calls = Counter(str(call) for call in faults.calls[before:] if call.verb != "watch")
        assert calls.total() <= case.most, calls.most_common(5)
        assert refusal is None or refusal.count > 0
        # Events are forgotten after an hour.
        assert not case.tells or case.tells in {change.object.reason for change in api.changes(core.Event)}
