"""StatefulSets and their pods in the states that plans look at."""

from __future__ import annotations

from typing import Any

from tests.unit.controllers.make import NOW, ago, slim_pod, template, whole_pod
from tiphys.api.apps import v1 as apps
from tiphys.api.apps.stateful_set import default_stateful_set
from tiphys.api.core import v1 as core
from tiphys.api.machinery.base import IntOrString, Quantity
from tiphys.api.meta.v1 import LabelSelector, ObjectMeta
from tiphys.controllers.shared.revisions import HASH_LABEL
from tiphys.controllers.shared.slim import SlimPod
from tiphys.controllers.statefulset.identity import POD_INDEX, POD_NAME
from tiphys.controllers.statefulset.plan import Plan, plan

Claims = dict[str, core.PersistentVolumeClaim]

OLD, NEW, BAD = "web-old", "web-new", "web-bad"
"""Names of revisions: the current one, the update, and one that was given up."""


def stateful_set(
    replicas: int = 3,
    *,
    parallel: bool = False,
    strategy: str = "RollingUpdate",
    partition: int | None = 0,
    unavailable: IntOrString | None = None,
    start: int = 0,
    claims: tuple[str, ...] = (),
    retention: tuple[str, str] = ("Retain", "Retain"),
    image: str = "a",
    **spec: Any,
) -> apps.StatefulSet:
    """A StatefulSet with its defaults; `retention` is (whenDeleted, whenScaled)."""
    rolling = None
    if strategy == "RollingUpdate" and partition is not None:
        rolling = apps.RollingUpdateStatefulSetStrategy(partition=partition, maxUnavailable=unavailable)
    made = apps.StatefulSet(
        metadata=ObjectMeta(name="web", namespace="default", uid="uid-web", generation=1),
        spec=apps.StatefulSetSpec(
            replicas=replicas,
            serviceName="web",
            selector=LabelSelector(matchLabels={"app": "web"}),
            template=template(image),
            podManagementPolicy="Parallel" if parallel else "OrderedReady",
            updateStrategy=apps.StatefulSetUpdateStrategy(type=strategy, rollingUpdate=rolling),
            ordinals=apps.StatefulSetOrdinals(start=start) if start else None,
            volumeClaimTemplates=[claim_template(name) for name in claims],
            persistentVolumeClaimRetentionPolicy=apps.StatefulSetPersistentVolumeClaimRetentionPolicy(
                whenDeleted=retention[0], whenScaled=retention[1]
            ),
            **spec,
        ),
        status=apps.StatefulSetStatus(currentRevision=OLD, updateRevision=NEW),
    )
    default_stateful_set(made)
    return made


def claim_template(name: str) -> core.PersistentVolumeClaim:
    """A template of claims."""
    resources = core.VolumeResourceRequirements(requests={"storage": Quantity("1Gi")})
    spec = core.PersistentVolumeClaimSpec(accessModes=["ReadWriteOnce"], resources=resources)
    return core.PersistentVolumeClaim(metadata=ObjectMeta(name=name), spec=spec)


def member(
    ordinal: int,
    revision: str = NEW,
    *,
    claims: tuple[str, ...] = (),
    started: float = 1000,
    waiting: str = "",
    labels: dict[str, str] | None = None,
    **state: Any,
) -> SlimPod:
    """A pod of `web`, with a container that waits for a reason; see `whole_pod`."""
    name = f"web-{ordinal}"
    identity = {"app": "web", POD_NAME: name, POD_INDEX: str(ordinal), HASH_LABEL: revision}
    made = whole_pod(name, labels=identity if labels is None else labels, **state)
    made.status.startTime = ago(started)
    if waiting:
        made.status.containerStatuses[0].state = core.ContainerState(waiting=core.ContainerStateWaiting(reason=waiting))
    made.spec.volumes = [
        core.Volume(name=claim, persistentVolumeClaim=core.PersistentVolumeClaimVolumeSource(claimName=f"{claim}-{name}"))
        for claim in claims
    ]
    return slim_pod(made)


def pending(ordinal: int, revision: str = NEW, **state: Any) -> SlimPod:
    """A pod that did not start yet."""
    return member(ordinal, revision, phase="Pending", ready=False, **state)


def planned(
    owner: apps.StatefulSet, *pods: SlimPod, claims: dict[str, core.PersistentVolumeClaim] | None = None, rollout: bool = True
) -> Plan:
    """The plan for the update from OLD to NEW, or for a set that has only NEW."""
    return plan(owner, OLD if rollout else NEW, NEW, pods, (claims or {}).get, NOW)


def births(step: Plan) -> list[tuple[int, str]]:
    """Ordinals and revisions of the pods to create."""
    return [(birth.ordinal, birth.revision) for birth in step.create]


def deaths(step: Plan) -> list[str]:
    """Names of the pods to delete."""
    return [removal.pod.metadata.name for removal in step.delete]
