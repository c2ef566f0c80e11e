"""Objects for these tests."""

from __future__ import annotations

from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.machinery.base import IntOrString
from tiphys.api.meta.v1 import LabelSelector, ObjectMeta


def template(name: str = "web", image: str = "busybox:1") -> core.PodTemplateSpec:
    containers = [core.Container(name="main", image=image, ports=[core.ContainerPort(name="http", containerPort=8080)])]
    return core.PodTemplateSpec(metadata=ObjectMeta(labels={"app": name}), spec=core.PodSpec(containers=containers))


def deployment(
    replicas: int = 3,
    name: str = "web",
    *,
    surge: IntOrString = "25%",
    unavailable: IntOrString = "25%",
    strategy: str = "RollingUpdate",
    **spec: object,
) -> apps.Deployment:
    rolling = apps.RollingUpdateDeployment(maxSurge=surge, maxUnavailable=unavailable) if strategy == "RollingUpdate" else None
    wanted = apps.DeploymentSpec(
        replicas=replicas,
        selector=LabelSelector(matchLabels={"app": name}),
        template=template(name),
        strategy=apps.DeploymentStrategy(type=strategy, rollingUpdate=rolling),
        **spec,  # type: ignore[arg-type]
    )
    return apps.Deployment(metadata=ObjectMeta(name=name, namespace="default"), spec=wanted)


def service(name: str = "web", **spec: object) -> core.Service:
    ports = [core.ServicePort(name="http", port=80, targetPort="http", protocol="TCP")]
    wanted = core.ServiceSpec(**{"selector": {"app": name}, "ports": ports, **spec})  # type: ignore[arg-type]
    return core.Service(metadata=ObjectMeta(name=name, namespace="default"), spec=wanted)
