"""The shared machinery of every object, meta/v1."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from tiphys.api.base import Atomic, MapList, Patch, SetList, Struct, Time, always, field
from tiphys.api.meta.v1.options import ShardInfo


class Condition(Struct):
    type: str = always(str)
    status: str = always(str)
    observedGeneration: int = 0
    lastTransitionTime: Time | None = None
    reason: str = always(str)
    message: str = always(str)


class FieldSelectorRequirement(Struct):
    key: str = always(str)
    operator: str = always(str)
    values: Annotated[list[str], Atomic()] = []


class LabelSelectorRequirement(Struct):
    key: str = always(str)
    operator: str = always(str)
    values: Annotated[list[str], Atomic()] = []


class LabelSelector(Struct):
    __map_type__: ClassVar[str] = "atomic"
    matchLabels: dict[str, str] = {}
    matchExpressions: Annotated[list[LabelSelectorRequirement], Atomic()] = []


class ListMeta(Struct):
    selfLink: str = ""
    resourceVersion: str = ""
    continue_: str = field(name="continue", default="")
    remainingItemCount: int | None = None
    shardInfo: ShardInfo | None = None


class ManagedFieldsEntry(Struct):
    manager: str = ""
    operation: str = ""
    apiVersion: str = ""
    time: Time | None = None
    fieldsType: str = ""
    fieldsV1: dict[str, Any] = {}
    subresource: str = ""


class OwnerReference(Struct):
    __map_type__: ClassVar[str] = "atomic"
    apiVersion: str = always(str)
    kind: str = always(str)
    name: str = always(str)
    uid: str = always(str)
    controller: bool | None = None
    blockOwnerDeletion: bool | None = None


class ObjectMeta(Struct):
    name: str = ""
    generateName: str = ""
    namespace: str = ""
    selfLink: str = ""
    uid: str = ""
    resourceVersion: str = ""
    generation: int = 0
    creationTimestamp: Time | None = None
    deletionTimestamp: Time | None = None
    deletionGracePeriodSeconds: int | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    ownerReferences: Annotated[list[OwnerReference], MapList("uid"), Patch("merge", "uid")] = []
    finalizers: Annotated[list[str], SetList(), Patch("merge")] = []
    managedFields: Annotated[list[ManagedFieldsEntry], Atomic()] = []


class KubeObject(Struct):
    """What every kind of object has: its type and its metadata."""

    apiVersion: str = always(str)
    """The group and version of the object's schema, such as `apps/v1`."""
    kind: str = always(str)
    """The name of the object's type, such as `Pod`."""
    metadata: ObjectMeta = always(ObjectMeta)
    """Identity, labels, ownership and history of the object."""
