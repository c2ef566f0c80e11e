"""Roles and ClusterRoles: defaults, validation and registration."""

from __future__ import annotations

from tiphys.api.machinery.errors import invalid, required
from tiphys.api.machinery.names import path_segment
from tiphys.api.machinery.scheme import Kind, Rules
from tiphys.api.rbac import GROUP
from tiphys.api.rbac import v1 as rbac
from tiphys.api.rbac.v1 import ClusterRole, PolicyRule, Role
from tiphys.api.rules.basics import Errors, label_selector


def validate_role(role: Role | ClusterRole) -> Errors:
    """Return the mistakes in the rules of a role ("Using RBAC Authorization")."""
    errors: Errors = []
    for index, rule in enumerate(role.rules or []):
        _rule(errors, f"rules[{index}]", rule, namespaced=isinstance(role, Role))
    if isinstance(role, ClusterRole) and role.aggregationRule is not None:
        selectors = role.aggregationRule.clusterRoleSelectors
        if not selectors:
            message = "at least one clusterRoleSelector required if aggregationRule is non-nil"
            errors.append(required("aggregationRule.clusterRoleSelectors", message))
        for index, selector in enumerate(selectors):
            label_selector(errors, f"aggregationRule.clusterRoleSelectors[{index}]", selector)
    return errors


def _rule(errors: Errors, path: str, rule: PolicyRule, *, namespaced: bool) -> None:
    if not rule.verbs:
        errors.append(required(f"{path}.verbs", "verbs must contain at least one value"))
    if rule.nonResourceURLs:
        if namespaced:
            message = "namespaced rules cannot apply to non-resource URLs"
            errors.append(invalid(f"{path}.nonResourceURLs", rule.nonResourceURLs, message))
        if rule.apiGroups or rule.resources or rule.resourceNames:
            message = "rules cannot apply to both regular resources and non-resource URLs"
            errors.append(invalid(f"{path}.nonResourceURLs", rule.nonResourceURLs, message))
        return
    if not rule.apiGroups:
        errors.append(required(f"{path}.apiGroups", "resource rules must supply at least one api group"))
    if not rule.resources:
        errors.append(required(f"{path}.resources", "resource rules must supply at least one resource"))


class Named:
    """Roles and bindings may have any name that a URL can hold."""

    validate_name = staticmethod(path_segment)


class RoleRules(Named, Rules[Role]):
    create_on_update = True

    validate = staticmethod(validate_role)


class ClusterRoleRules(Named, Rules[ClusterRole]):
    create_on_update = True

    validate = staticmethod(validate_role)


CLUSTER_ROLES: Kind[rbac.ClusterRole] = Kind(
    type=rbac.ClusterRole, plural="clusterroles", rules=ClusterRoleRules(), group=GROUP, namespaced=False
)

ROLES: Kind[rbac.Role] = Kind(type=rbac.Role, plural="roles", rules=RoleRules(), group=GROUP)
