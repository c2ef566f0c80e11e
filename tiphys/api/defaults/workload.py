"""Defaults of workloads."""

from __future__ import annotations

from tiphys.api.apps.v1 import (
    DaemonSet,
    Deployment,
    ReplicaSet,
    RollingUpdateDaemonSet,
    RollingUpdateDeployment,
    RollingUpdateStatefulSetStrategy,
    StatefulSet,
    StatefulSetPersistentVolumeClaimRetentionPolicy,
)
from tiphys.api.core.v1 import PersistentVolumeClaim, PodTemplate, ReplicationController
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


def default_replication_controller(controller: ReplicationController) -> None:
    """What is not said about labels is what the template's pods have."""
    spec, template = controller.spec, controller.spec.template
    if template is not None:
        default_pod_spec(template.spec)
        if template.metadata.labels:
            spec.selector = spec.selector or dict(template.metadata.labels)
            controller.metadata.labels = controller.metadata.labels or dict(template.metadata.labels)
    if spec.replicas is None:
        spec.replicas = 1


def default_stateful_set(stateful_set: StatefulSet) -> None:
    spec = stateful_set.spec
    default_pod_spec(spec.template.spec)
    for claim in spec.volumeClaimTemplates:
        default_claim_template(claim)
    spec.podManagementPolicy = spec.podManagementPolicy or "OrderedReady"
    strategy = spec.updateStrategy
    if not strategy.type:
        strategy.type = "RollingUpdate"
        strategy.rollingUpdate = strategy.rollingUpdate or RollingUpdateStatefulSetStrategy()
    if strategy.type == "RollingUpdate" and strategy.rollingUpdate is not None and strategy.rollingUpdate.partition is None:
        strategy.rollingUpdate.partition = 0
    policy = spec.persistentVolumeClaimRetentionPolicy or StatefulSetPersistentVolumeClaimRetentionPolicy()
    policy.whenDeleted = policy.whenDeleted or "Retain"
    policy.whenScaled = policy.whenScaled or "Retain"
    spec.persistentVolumeClaimRetentionPolicy = policy
    if spec.replicas is None:
        spec.replicas = 1
    if spec.revisionHistoryLimit is None:
        spec.revisionHistoryLimit = 10


def default_claim_template(claim: PersistentVolumeClaim) -> None:
    """A claim of a StatefulSet is a whole object: it names its kind, and its status says that it waits."""
    if claim.spec.volumeMode is None:
        claim.spec.volumeMode = "Filesystem"
    claim.status.phase = claim.status.phase or "Pending"


def default_daemon_set(daemon_set: DaemonSet) -> None:
    spec = daemon_set.spec
    default_pod_spec(spec.template.spec)
    strategy = spec.updateStrategy
    strategy.type = strategy.type or "RollingUpdate"
    if strategy.type == "RollingUpdate":
        rolling = strategy.rollingUpdate = strategy.rollingUpdate or RollingUpdateDaemonSet()
        if rolling.maxUnavailable is None:
            rolling.maxUnavailable = 1
        if rolling.maxSurge is None:
            rolling.maxSurge = 0
    if spec.revisionHistoryLimit is None:
        spec.revisionHistoryLimit = 10


def default_pod_template(template: PodTemplate) -> None:
    default_pod_spec(template.template.spec)
