"""Roles and bindings: `rbac.authorization.k8s.io`."""

from __future__ import annotations

from typing import Any

from tiphys.api.columns import other as columns
from tiphys.api.kinds.rules_other import ClusterRoleBindingRules, ClusterRoleRules, RoleBindingRules, RoleRules
from tiphys.api.machinery.scheme import Kind
from tiphys.api.rbac import v1 as rbac

GROUP = "rbac.authorization.k8s.io"

CLUSTER_ROLE_BINDINGS: Kind[rbac.ClusterRoleBinding] = Kind(
    type=rbac.ClusterRoleBinding,
    plural="clusterrolebindings",
    rules=ClusterRoleBindingRules(),
    columns=columns.BINDINGS,
    group=GROUP,
    namespaced=False,
)
CLUSTER_ROLES: Kind[rbac.ClusterRole] = Kind(
    type=rbac.ClusterRole, plural="clusterroles", rules=ClusterRoleRules(), group=GROUP, namespaced=False
)
ROLE_BINDINGS: Kind[rbac.RoleBinding] = Kind(
    type=rbac.RoleBinding, plural="rolebindings", rules=RoleBindingRules(), columns=columns.BINDINGS, group=GROUP
)
ROLES: Kind[rbac.Role] = Kind(type=rbac.Role, plural="roles", rules=RoleRules(), group=GROUP)

KINDS: tuple[Kind[Any], ...] = (CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES)
