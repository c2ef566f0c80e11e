"""The core group, v1: reference."""

from __future__ import annotations

from typing import Annotated, ClassVar

from tiphys.api.base import Atomic, Quantity, Struct, always, constant
from tiphys.api.meta.v1.meta import KubeObject


class ObjectReference(Struct):
    __map_type__: ClassVar[str] = "atomic"
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    apiVersion: str = ""
    resourceVersion: str = ""
    fieldPath: str = ""


class Binding(KubeObject):
    apiVersion: str = constant("v1")
    kind: str = constant("Binding")
    target: ObjectReference = always(ObjectReference)


class ConfigMapKeySelector(Struct):
    __map_type__: ClassVar[str] = "atomic"
    key: str = always(str)
    optional: bool | None = None
    name: str = ""


class FileKeySelector(Struct):
    __map_type__: ClassVar[str] = "atomic"
    volumeName: str = always(str)
    path: str = always(str)
    key: str = always(str)
    optional: bool | None = None


class LocalObjectReference(Struct):
    __map_type__: ClassVar[str] = "atomic"
    name: str = ""


class NodeSelectorRequirement(Struct):
    key: str = always(str)
    operator: str = always(str)
    values: Annotated[list[str], Atomic()] = []


class NodeSelectorTerm(Struct):
    __map_type__: ClassVar[str] = "atomic"
    matchExpressions: Annotated[list[NodeSelectorRequirement], Atomic()] = []
    matchFields: Annotated[list[NodeSelectorRequirement], Atomic()] = []


class NodeSelector(Struct):
    __map_type__: ClassVar[str] = "atomic"
    nodeSelectorTerms: Annotated[list[NodeSelectorTerm], Atomic()] = always(list)


class ObjectFieldSelector(Struct):
    __map_type__: ClassVar[str] = "atomic"
    apiVersion: str = ""
    fieldPath: str = always(str)


class ResourceFieldSelector(Struct):
    __map_type__: ClassVar[str] = "atomic"
    containerName: str = ""
    resource: str = always(str)
    divisor: Quantity | None = None


class SecretKeySelector(Struct):
    __map_type__: ClassVar[str] = "atomic"
    key: str = always(str)
    optional: bool | None = None
    name: str = ""


class SecretReference(Struct):
    __map_type__: ClassVar[str] = "atomic"
    name: str = ""
    namespace: str = ""


class TopologySelectorLabelRequirement(Struct):
    key: str = always(str)
    values: Annotated[list[str], Atomic()] = always(list)


class TopologySelectorTerm(Struct):
    __map_type__: ClassVar[str] = "atomic"
    matchLabelExpressions: Annotated[list[TopologySelectorLabelRequirement], Atomic()] = []
