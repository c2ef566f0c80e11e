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
    """How many pods may be missing meanwhile, as a number or a percentage. 1 by default."""


class StatefulSetCondition(Struct):
    """One aspect of a StatefulSet's state."""

    type: str = always(str)
    """What it is about."""
    status: str = always(str)
    """`True`, `False` or `Unknown`."""
    lastTransitionTime: Time | None = null()
    """When the status changed last."""
    reason: str = ""
    """Why it is so, in one word."""
    message: str = ""
    """Why it is so, in words."""


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
    """How often the name of a new revision was taken; part of the next name."""
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
    """When the set is deleted: `Retain` (default) or `Delete`."""
    whenScaled: str = ""
    """When there are fewer replicas: `Retain` (default) or `Delete`."""


class StatefulSetSpec(Struct):
    """Pods with names and storage of their own."""

    replicas: int | None = None
    """How many pods. 1 by default."""
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
    """How old pods are replaced by new ones."""
    revisionHistoryLimit: int | None = None
    """How many old revisions are kept to go back to. 10 by default."""
    minReadySeconds: int = 0
    """Seconds that a pod must be ready to count as available. 0 by default."""
    persistentVolumeClaimRetentionPolicy: StatefulSetPersistentVolumeClaimRetentionPolicy | None = None
    """What becomes of the pods' claims. They are kept by default."""
    ordinals: StatefulSetOrdinals | None = None
    """How pods are numbered."""


class StatefulSet(KubeObject):
    """Pods that keep their name and their storage when they are replaced."""

    apiVersion: str = constant("apps/v1")
    kind: str = constant("StatefulSet")
    spec: StatefulSetSpec = always(StatefulSetSpec)
    """What pods there are to be."""
    status: StatefulSetStatus = always(StatefulSetStatus)
    """How many there are."""
