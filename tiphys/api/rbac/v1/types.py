"""Roles and bindings, rbac/v1."""

from __future__ import annotations

from typing import Annotated, ClassVar

from tiphys.api.machinery.base import Atomic, Struct, always, constant, null
from tiphys.api.meta.v1.meta import KubeObject, LabelSelector


class AggregationRule(Struct):
    """Selection of the ClusterRoles whose rules are combined."""

    clusterRoleSelectors: Annotated[list[LabelSelector], Atomic()] = []
    """Labels of the cluster roles whose rules are taken over."""


class PolicyRule(Struct):
    """Verbs that are granted on resources or URLs. No rule denies anything."""

    verbs: Annotated[list[str], Atomic()] = always(list)
    """Verbs such as `get` and `list`, or `*`."""
    apiGroups: Annotated[list[str], Atomic()] = []
    """API groups of the resources; empty text is the core group, `*` all."""
    resources: Annotated[list[str], Atomic()] = []
    """Resources such as `pods` and `pods/log`, or `*`."""
    resourceNames: Annotated[list[str], Atomic()] = []
    """Names of the objects; all if empty. Creating and listing cannot be limited in this way."""
    nonResourceURLs: Annotated[list[str], Atomic()] = []
    """Paths such as `/healthz`, in cluster roles; `*` as the last step matches all below. Not together with resources."""


class ClusterRole(KubeObject):
    """Rights in the whole cluster, or for role bindings to grant in one namespace."""

    apiVersion: str = constant("rbac.authorization.k8s.io/v1")
    kind: str = constant("ClusterRole")
    rules: Annotated[list[PolicyRule], Atomic()] | None = null()
    """Rules that grant rights."""
    aggregationRule: AggregationRule | None = None
    """Roles that this one is put together from; then rules are overwritten."""


class Subject(Struct):
    """Somebody who gets rights."""

    __map_type__: ClassVar[str] = "atomic"
    kind: str = always(str)
    """`User`, `Group` or `ServiceAccount`."""
    apiGroup: str = ""
    """`rbac.authorization.k8s.io` for users and groups, empty for service accounts; filled in."""
    name: str = always(str)
    """The name."""
    namespace: str = ""
    """The namespace of a service account."""


class RoleRef(Struct):
    """The role that is granted."""

    __map_type__: ClassVar[str] = "atomic"
    apiGroup: str = always(str)
    """`rbac.authorization.k8s.io`."""
    kind: str = always(str)
    """`Role` or `ClusterRole`."""
    name: str = always(str)
    """The name."""


class ClusterRoleBinding(KubeObject):
    """Grants a cluster role in the whole cluster."""

    apiVersion: str = constant("rbac.authorization.k8s.io/v1")
    kind: str = constant("ClusterRoleBinding")
    subjects: Annotated[list[Subject], Atomic()] = []
    """Subjects that the role is granted to."""
    roleRef: RoleRef = always(RoleRef)
    """The role. It cannot be changed."""


class Role(KubeObject):
    """Rights in one namespace."""

    apiVersion: str = constant("rbac.authorization.k8s.io/v1")
    kind: str = constant("Role")
    rules: Annotated[list[PolicyRule], Atomic()] | None = null()
    """Rules that grant rights."""


class RoleBinding(KubeObject):
    """Grants a role in one namespace."""

    apiVersion: str = constant("rbac.authorization.k8s.io/v1")
    kind: str = constant("RoleBinding")
    subjects: Annotated[list[Subject], Atomic()] = []
    """Subjects that the role is granted to."""
    roleRef: RoleRef = always(RoleRef)
    """A role of the namespace, or a cluster role, whose rights then count here only. It cannot be changed."""
