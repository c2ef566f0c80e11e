"""Workloads, apps/v1: stateful set."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.core.v1.persistent_volume import PersistentVolumeClaim
from tiphys.api.core.v1.pod import PodTemplateSpec
from tiphys.api.machinery.base import Atomic, IntOrString, MapList, Patch, Struct, Time, always, constant, null
from tiphys.api.meta.v1.meta import KubeObject, LabelSelector


class RollingUpdateStatefulSetStrategy(Struct):
    """Parameters of a rolling update."""

    partition: int | None = None
    """Pods with a lower number stay as they are. 0 by default."""
    maxUnavailable: IntOrString | None = None
    """Maximum number of pods that may be missing meanwhile, as a number or a percentage. 1 by default."""


class StatefulSetCondition(Struct):
    """One aspect of a StatefulSet's state."""

    type: str = always(str)
    """Type of the condition."""
    status: str = always(str)
    """`True`, `False` or `Unknown`."""
    lastTransitionTime: Time | None = null()
    """Time of the last change of the status."""
    reason: str = ""
    """Reason for the status, in one CamelCase word."""
    message: str = ""
    """Explanation of the status, for people."""


class StatefulSetStatus(Struct):
    """Observed numbers of pods."""

    observedGeneration: int = 0
    """The metadata.generation that the status is about."""
    replicas: int = always(int)
    """Pods that were made."""
    readyReplicas: int = 0
    """Pods that are ready."""
    currentReplicas: int = 0
    """Pods of currentRevision."""
    updatedReplicas: int = 0
    """Pods of updateRevision."""
    currentRevision: str = ""
    """The revision of the pods that are not updated yet."""
    updateRevision: str = ""
    """The revision of the pods that are updated."""
    collisionCount: int | None = None
    """Number of collisions of the name of a new revision; part of the next name."""
    conditions: Annotated[list[StatefulSetCondition], MapList("type"), Patch("merge", "type")] = []
    """Aspects of the state, one of each type."""
    availableReplicas: int = always(int)
    """Pods that have been ready for minReadySeconds."""


class StatefulSetOrdinals(Struct):
    """Numbering of pods."""

    start: int = always(int)
    """The first number. 0 by default."""


class StatefulSetUpdateStrategy(Struct):
    """Strategy for replacing old pods by new ones."""

    type: str = ""
    """`RollingUpdate` (default), or `OnDelete` to wait until somebody deletes them."""
    rollingUpdate: RollingUpdateStatefulSetStrategy | None = None
    """Details of a rolling update."""


class StatefulSetPersistentVolumeClaimRetentionPolicy(Struct):
    """Retention of the pods' claims."""

    whenDeleted: str = ""
    """Retention when the set is deleted: `Retain` (default) or `Delete`."""
    whenScaled: str = ""
    """Retention when there are fewer replicas: `Retain` (default) or `Delete`."""


class StatefulSetSpec(Struct):
    """Pods with names and storage of their own."""

    replicas: int | None = None
    """Desired number of pods. 1 by default."""
    selector: LabelSelector | None = None
    """The labels of the pods; those of the template must match. It cannot be changed."""
    template: PodTemplateSpec = always(PodTemplateSpec)
    """The pods. Each is named after the set and its number."""
    volumeClaimTemplates: Annotated[list[PersistentVolumeClaim], Atomic()] = []
    """Claims that every pod gets for itself."""
    serviceName: str = always(str)
    """The headless Service that gives the pods their names on the network."""
    podManagementPolicy: str = ""
    """`OrderedReady` (default) makes pods one after the other, `Parallel` all at once. It cannot be changed."""
    updateStrategy: StatefulSetUpdateStrategy = always(StatefulSetUpdateStrategy)
    """Strategy for replacing old pods by new ones."""
    revisionHistoryLimit: int | None = None
    """Number of old revisions that are kept for rollbacks. 10 by default."""
    minReadySeconds: int = 0
    """Seconds that a pod must be ready to count as available. 0 by default."""
    persistentVolumeClaimRetentionPolicy: StatefulSetPersistentVolumeClaimRetentionPolicy | None = None
    """Retention of the pods' claims. They are kept by default."""
    ordinals: StatefulSetOrdinals | None = None
    """Numbering of the pods."""


class StatefulSet(KubeObject):
    """Pods that keep their name and their storage when they are replaced."""

    apiVersion: str = constant("apps/v1")
    kind: str = constant("StatefulSet")
    spec: StatefulSetSpec = always(StatefulSetSpec)
    """Desired state of the pods."""
    status: StatefulSetStatus = always(StatefulSetStatus)
    """Observed numbers of pods."""
