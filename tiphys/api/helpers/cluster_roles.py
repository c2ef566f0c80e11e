"""Rules of cluster roles that are put together from others ("Using RBAC Authorization": aggregated ClusterRoles)."""

from __future__ import annotations

from collections.abc import Iterable

from tiphys.api.machinery.selectors import from_label_selector
from tiphys.api.rbac.v1 import ClusterRole, PolicyRule


def aggregated_rules(role: ClusterRole, roles: Iterable[ClusterRole]) -> list[PolicyRule]:
    """Return the rules of the roles that the role's aggregationRule selects, by selector and name, each rule once.

    Raises SelectorError for a selector that cannot be understood.
    """
    selectors = role.aggregationRule.clusterRoleSelectors if role.aggregationRule is not None else ()
    others = sorted((other for other in roles if other.metadata.name != role.metadata.name), key=lambda other: other.metadata.name)
    rules: list[PolicyRule] = []
    for selector in selectors:
        matcher = from_label_selector(selector)
        for other in others:
            if matcher.matches(other.metadata.labels):
                rules.extend(rule for rule in other.rules or [] if rule not in rules)
    return rules
