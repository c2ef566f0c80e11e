"""The shared machinery of every object, meta/v1."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from tiphys.api.machinery.base import Atomic, MapList, Patch, SetList, Struct, Time, always, field
from tiphys.api.meta.v1.options import ShardInfo


class Condition(Struct):
    """One aspect of an object's state."""

    type: str = always(str)
    """What it is about, in CamelCase or as `domain/Name`."""
    status: str = always(str)
    """`True`, `False` or `Unknown`."""
    observedGeneration: int = 0
    """The metadata.generation that the condition was derived from."""
    lastTransitionTime: Time | None = None
    """When the status changed last."""
    reason: str = always(str)
    """Why it is so, in one CamelCase word for programs."""
    message: str = always(str)
    """Why it is so, in words for people."""


class FieldSelectorRequirement(Struct):
    """A condition on a field."""

    key: str = always(str)
    """The field."""
    operator: str = always(str)
    """`In`, `NotIn`, `Exists` or `DoesNotExist`."""
    values: Annotated[list[str], Atomic()] = []
    """What to compare with."""


class LabelSelectorRequirement(Struct):
    """A condition on a label."""

    key: str = always(str)
    """The label."""
    operator: str = always(str)
    """`In`, `NotIn`, `Exists` or `DoesNotExist`."""
    values: Annotated[list[str], Atomic()] = []
    """What to compare with; none for `Exists` and `DoesNotExist`."""


class LabelSelector(Struct):
    """Objects whose labels meet all conditions. An empty one selects everything, an absent one nothing."""

    __map_type__: ClassVar[str] = "atomic"
    matchLabels: dict[str, str] = {}
    """Labels with their values."""
    matchExpressions: Annotated[list[LabelSelectorRequirement], Atomic()] = []
    """Further conditions."""


class ListMeta(Struct):
    """Metadata of a list."""

    selfLink: str = ""
    """No longer used."""
    resourceVersion: str = ""
    """The state that the list shows; a watch can start here."""
    continue_: str = field(name="continue", default="")
    """A token to ask for the next page with; empty on the last one. It expires after some minutes."""
    remainingItemCount: int | None = None
    """How many items follow, if that is known."""
    shardInfo: ShardInfo | None = None
    """The part of all objects that the list is about."""


class ManagedFieldsEntry(Struct):
    """The fields that one manager set."""

    manager: str = ""
    """The manager, usually a program."""
    operation: str = ""
    """`Apply` or `Update`."""
    apiVersion: str = ""
    """The version of the schema that the fields are in."""
    time: Time | None = None
    """When the set of fields changed last."""
    fieldsType: str = ""
    """`FieldsV1`."""
    fieldsV1: msgspec.Raw = msgspec.Raw()
    """The fields, as a tree. Left as text, since few look into it and everybody carries it."""
    subresource: str = ""
    """The subresource through which they were set."""


class OwnerReference(Struct):
    """An object without which this one makes no sense. It is deleted when all its owners are gone."""

    __map_type__: ClassVar[str] = "atomic"
    apiVersion: str = always(str)
    """The version of the owner's schema."""
    kind: str = always(str)
    """The owner's kind."""
    name: str = always(str)
    """The owner's name, in the same namespace or without one."""
    uid: str = always(str)
    """The owner's UID."""
    controller: bool | None = None
    """Whether the owner manages this object; true for one owner at most."""
    blockOwnerDeletion: bool | None = None
    """Whether an owner that is deleted in the foreground waits for this object."""


class ObjectMeta(Struct):
    """Metadata of a stored object."""

    name: str = ""
    """The name, unique among objects of the kind in the namespace. It cannot be changed."""
    generateName: str = ""
    """A prefix from which the server makes a unique name, if name is empty."""
    namespace: str = ""
    """The namespace; empty for objects that belong to the whole cluster. It cannot be changed."""
    selfLink: str = ""
    """No longer used."""
    uid: str = ""
    """An identity that no other object ever has, set by the server."""
    resourceVersion: str = ""
    """The state of the object, to compare for equality and to start watches from. An update that names it fails if the object has changed
    since."""
    generation: int = 0
    """Counts changes of the desired state, set by the server."""
    creationTimestamp: Time | None = None
    """CreationTimestamp is a timestamp of the server's clock, taken when the object was created."""
    deletionTimestamp: Time | None = None
    """When the object is to be gone. Once set, it can only come earlier."""
    deletionGracePeriodSeconds: int | None = None
    """Seconds from the call to delete it until it is gone."""
    labels: dict[str, str] = {}
    """Keys and values by which objects are selected. Values have at most 63 characters."""
    annotations: dict[str, str] = {}
    """Keys and any values, for programs to keep things in; 256 KiB in all."""
    ownerReferences: Annotated[list[OwnerReference], MapList("uid"), Patch("merge", "uid")] = []
    """Objects without which this one makes no sense."""
    finalizers: Annotated[list[str], SetList(), Patch("merge")] = []
    """Who has to agree before the object is gone, as `domain/name`. Each takes its entry off when it is done."""
    managedFields: Annotated[list[ManagedFieldsEntry], Atomic()] = []
    """Which manager set which fields, for server-side apply."""


class KubeObject(Struct):
    """Base of all kinds: type and metadata."""

    kind: str = always(str)
    """The name of the object's type, such as `Pod`."""
    apiVersion: str = always(str)
    """APIVersion defines the group and version of the object's schema, such as `apps/v1`."""
    metadata: ObjectMeta = always(ObjectMeta)
    """Identity, labels, ownership and history of the object."""
