"""Objects in the states that plans look at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.machinery.base import IntOrString
from tiphys.api.meta.v1 import LabelSelector, ObjectMeta
from tiphys.client.decoding import decode
from tiphys.controllers.deployment import history
from tiphys.controllers.shared.slim import SlimPod, compact

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def whole_pod(
    name: str = "p",
    *,
    node: str = "n1",
    phase: str = "Running",
    ready: bool = True,
    since: float = 60,
    age: float = 100,
    cost: str = "",
    restarts: int = 0,
    deleting: bool = False,
    labels: dict[str, str] | None = None,
    ip: str = "",
) -> core.Pod:
    """A pod; times in seconds before NOW."""
    meta = ObjectMeta(
        name=name,
        namespace="default",
        uid=f"uid-{name}",
        labels=labels if labels is not None else {"app": "web"},
        annotations={"controller.kubernetes.io/pod-deletion-cost": cost} if cost else {},
        creationTimestamp=ago(age),
        deletionTimestamp=ago(1) if deleting else None,
    )
    status = core.PodStatus(
        phase=phase,
        podIP=ip,
        podIPs=[core.PodIP(ip=ip)] if ip else [],
        conditions=[core.PodCondition(type="Ready", status="True" if ready else "False", lastTransitionTime=ago(since))],
        containerStatuses=[core.ContainerStatus(name="main", restartCount=restarts)],
    )
    ports = [core.ContainerPort(name="http", containerPort=8080, protocol="TCP")]
    return core.Pod(metadata=meta, spec=core.PodSpec(nodeName=node, containers=[core.Container(name="main", ports=ports)]), status=status)


def slim_pod(whole: core.Pod) -> SlimPod:
    """A pod as controllers keep it."""
    return compact(decode(SlimPod, msgspec.json.encode(whole)))


def pod(name: str = "p", **state: Any) -> SlimPod:
    """A pod as controllers keep it; see `whole_pod`."""
    return slim_pod(whole_pod(name, **state))


def template(image: str = "a", labels: dict[str, str] | None = None) -> core.PodTemplateSpec:
    containers = [core.Container(name="main", image=image)]
    return core.PodTemplateSpec(metadata=ObjectMeta(labels=labels or {"app": "web"}), spec=core.PodSpec(containers=containers))


def replica_set(
    name: str = "web-1",
    *,
    replicas: int = 1,
    actual: int | None = None,
    available: int = 0,
    image: str = "a",
    revision: int = 1,
    age: float = 100,
    desired: int | None = None,
    maximum: int | None = None,
) -> apps.ReplicaSet:
    """A ReplicaSet that reports `actual` pods (by default what it is asked for)."""
    annotations = {history.REVISION: str(revision)}
    if desired is not None:
        annotations[history.DESIRED] = str(desired)
    if maximum is not None:
        annotations[history.MAXIMUM] = str(maximum)
    labels = {"app": "web", history.HASH_LABEL: name}
    meta = ObjectMeta(
        name=name, namespace="default", uid=f"uid-{name}", annotations=annotations, labels=labels, generation=1, creationTimestamp=ago(age)
    )
    spec = apps.ReplicaSetSpec(replicas=replicas, selector=LabelSelector(matchLabels=labels), template=template(image, labels))
    status = apps.ReplicaSetStatus(
        replicas=replicas if actual is None else actual, readyReplicas=available, availableReplicas=available, observedGeneration=1
    )
    return apps.ReplicaSet(metadata=meta, spec=spec, status=status)


def deployment(
    replicas: int = 3, *, image: str = "a", surge: IntOrString = "25%", unavailable: IntOrString = "25%", **spec: object
) -> apps.Deployment:
    rolling = apps.RollingUpdateDeployment(maxSurge=surge, maxUnavailable=unavailable)
    wanted: dict[str, object] = {
        "replicas": replicas,
        "selector": LabelSelector(matchLabels={"app": "web"}),
        "template": template(image),
        "strategy": apps.DeploymentStrategy(type="RollingUpdate", rollingUpdate=rolling),
        "progressDeadlineSeconds": 600,
        "revisionHistoryLimit": 10,
        **spec,
    }
    meta = ObjectMeta(name="web", namespace="default", uid="uid-web", generation=1, annotations={history.REVISION: "1"})
    return apps.Deployment(metadata=meta, spec=apps.DeploymentSpec(**wanted))  # type: ignore[arg-type]
