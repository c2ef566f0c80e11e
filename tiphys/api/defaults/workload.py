"""Defaults of workloads."""

from __future__ import annotations

from tiphys.api.apps.v1 import Deployment, ReplicaSet, RollingUpdateDeployment
from tiphys.api.core.v1 import PodTemplate
from tiphys.api.defaults.pod import default_pod_spec


def default_deployment(deployment: Deployment) -> None:
    spec = deployment.spec
    default_pod_spec(spec.template.spec)
    if spec.replicas is None:
        spec.replicas = 1
    strategy = spec.strategy
    strategy.type = strategy.type or "RollingUpdate"
    if strategy.type == "RollingUpdate":
        rolling = strategy.rollingUpdate = strategy.rollingUpdate or RollingUpdateDeployment()
        if rolling.maxUnavailable is None:
            rolling.maxUnavailable = "25%"
        if rolling.maxSurge is None:
            rolling.maxSurge = "25%"
    if spec.revisionHistoryLimit is None:
        spec.revisionHistoryLimit = 10
    if spec.progressDeadlineSeconds is None:
        spec.progressDeadlineSeconds = 600


def default_replica_set(replica_set: ReplicaSet) -> None:
    default_pod_spec(replica_set.spec.template.spec)
    if replica_set.spec.replicas is None:
        replica_set.spec.replicas = 1


def default_pod_template(template: PodTemplate) -> None:
    default_pod_spec(template.template.spec)
