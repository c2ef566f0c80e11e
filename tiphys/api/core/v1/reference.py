"""The core group, v1: reference."""

from __future__ import annotations

from typing import Annotated, ClassVar

from tiphys.api.machinery.base import Atomic, Quantity, Struct, always, constant
from tiphys.api.meta.v1.meta import KubeObject


class ObjectReference(Struct):
    """Names an object or a part of one."""

    __map_type__: ClassVar[str] = "atomic"
    kind: str = ""
    """Its kind."""
    namespace: str = ""
    """Its namespace."""
    name: str = ""
    """Its name."""
    uid: str = ""
    """Its UID."""
    apiVersion: str = ""
    """The version of its schema."""
    resourceVersion: str = ""
    """The state of it that is meant."""
    fieldPath: str = ""
    """The part of it that is meant, such as `spec.containers{web}`."""


class Binding(KubeObject):
    """Puts a pod on a node."""

    apiVersion: str = constant("v1")
    kind: str = constant("Binding")
    target: ObjectReference = always(ObjectReference)
    """The node."""


class ConfigMapKeySelector(Struct):
    """One key of a ConfigMap."""

    __map_type__: ClassVar[str] = "atomic"
    key: str = always(str)
    """The key."""
    optional: bool | None = None
    """True if it may be missing."""
    name: str = ""
    """The ConfigMap in the same namespace."""


class FileKeySelector(Struct):
    """One variable in a file of a volume."""

    __map_type__: ClassVar[str] = "atomic"
    volumeName: str = always(str)
    """The emptyDir volume."""
    path: str = always(str)
    """The file in it."""
    key: str = always(str)
    """The variable."""
    optional: bool | None = None
    """True if it may be missing."""


class LocalObjectReference(Struct):
    """Names an object in the same namespace."""

    __map_type__: ClassVar[str] = "atomic"
    name: str = ""
    """Its name."""


class NodeSelectorRequirement(Struct):
    """A condition on a label or field of nodes."""

    key: str = always(str)
    """The label or field."""
    operator: str = always(str)
    """`In`, `NotIn`, `Exists`, `DoesNotExist`, `Gt` or `Lt`."""
    values: Annotated[list[str], Atomic()] = []
    """Values to compare with: none for `Exists` and `DoesNotExist`, one number for `Gt` and `Lt`."""


class NodeSelectorTerm(Struct):
    """Conditions that must all hold. Without any, no node fits."""

    __map_type__: ClassVar[str] = "atomic"
    matchExpressions: Annotated[list[NodeSelectorRequirement], Atomic()] = []
    """Conditions on labels."""
    matchFields: Annotated[list[NodeSelectorRequirement], Atomic()] = []
    """Conditions on fields; only metadata.name is known."""


class NodeSelector(Struct):
    """Nodes that fit at least one term."""

    __map_type__: ClassVar[str] = "atomic"
    nodeSelectorTerms: Annotated[list[NodeSelectorTerm], Atomic()] = always(list)
    """The terms, at least one."""


class ObjectFieldSelector(Struct):
    """A field of the object itself."""

    __map_type__: ClassVar[str] = "atomic"
    apiVersion: str = ""
    """The version of the schema that the path is in; `v1` by default."""
    fieldPath: str = always(str)
    """The path, such as `metadata.name`."""


class ResourceFieldSelector(Struct):
    """A request or limit of a container."""

    __map_type__: ClassVar[str] = "atomic"
    containerName: str = ""
    """The container; needed in volumes, by default the one the variable is for."""
    resource: str = always(str)
    """Name of the resource, such as `limits.cpu`."""
    divisor: Quantity | None = None
    """The unit of the answer; 1 by default."""


class SecretKeySelector(Struct):
    """One key of a Secret."""

    __map_type__: ClassVar[str] = "atomic"
    key: str = always(str)
    """The key."""
    optional: bool | None = None
    """True if it may be missing."""
    name: str = ""
    """The Secret in the same namespace."""


class SecretReference(Struct):
    """Names a Secret anywhere."""

    __map_type__: ClassVar[str] = "atomic"
    name: str = ""
    """Its name."""
    namespace: str = ""
    """Its namespace."""


class TopologySelectorLabelRequirement(Struct):
    """Values of a label that fit."""

    key: str = always(str)
    """The label."""
    values: Annotated[list[str], Atomic()] = always(list)
    """The values."""


class TopologySelectorTerm(Struct):
    """Conditions on the labels of a place."""

    __map_type__: ClassVar[str] = "atomic"
    matchLabelExpressions: Annotated[list[TopologySelectorLabelRequirement], Atomic()] = []
    """The conditions, all of which must hold."""
