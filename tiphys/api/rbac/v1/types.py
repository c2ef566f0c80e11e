"""Roles and bindings, rbac/v1."""

from __future__ import annotations

from typing import Annotated, ClassVar

from tiphys.api.base import Atomic, Struct, always, constant
from tiphys.api.meta.v1.meta import KubeObject, LabelSelector


class AggregationRule(Struct):
    clusterRoleSelectors: Annotated[list[LabelSelector], Atomic()] = []


class PolicyRule(Struct):
    verbs: Annotated[list[str], Atomic()] = always(list)
    apiGroups: Annotated[list[str], Atomic()] = []
    resources: Annotated[list[str], Atomic()] = []
    resourceNames: Annotated[list[str], Atomic()] = []
    nonResourceURLs: Annotated[list[str], Atomic()] = []


class ClusterRole(KubeObject):
    apiVersion: str = constant("rbac.authorization.k8s.io/v1")
    kind: str = constant("ClusterRole")
    rules: Annotated[list[PolicyRule], Atomic()] = always(list)
    aggregationRule: AggregationRule | None = None


class Subject(Struct):
    __map_type__: ClassVar[str] = "atomic"
    kind: str = always(str)
    apiGroup: str = ""
    name: str = always(str)
    namespace: str = ""


class RoleRef(Struct):
    __map_type__: ClassVar[str] = "atomic"
    apiGroup: str = always(str)
    kind: str = always(str)
    name: str = always(str)


class ClusterRoleBinding(KubeObject):
    apiVersion: str = constant("rbac.authorization.k8s.io/v1")
    kind: str = constant("ClusterRoleBinding")
    subjects: Annotated[list[Subject], Atomic()] = []
    roleRef: RoleRef = always(RoleRef)


class Role(KubeObject):
    apiVersion: str = constant("rbac.authorization.k8s.io/v1")
    kind: str = constant("Role")
    rules: Annotated[list[PolicyRule], Atomic()] = always(list)


class RoleBinding(KubeObject):
    apiVersion: str = constant("rbac.authorization.k8s.io/v1")
    kind: str = constant("RoleBinding")
    subjects: Annotated[list[Subject], Atomic()] = []
    roleRef: RoleRef = always(RoleRef)
