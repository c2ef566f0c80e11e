"""Nobody gives away more than they have: checks on writes of roles and bindings ("Privilege escalation prevention and bootstrapping").

`EscalationGuard` knows what callers hold through the RBAC authorizer, and asks the whole chain about the verbs `escalate` and `bind`, which
lift the rule.
"""

from __future__ import annotations

from collections.abc import Sequence

from tiphys.api.machinery.errors import Forbidden, NotFound
from tiphys.api.rbac.v1 import ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding
from tiphys.apiserver.auth.attributes import Attributes
from tiphys.apiserver.auth.authorizer import Authorizer
from tiphys.apiserver.auth.rbac import RbacAuthorizer
from tiphys.apiserver.auth.rules import compact, describe, quoted, uncovered
from tiphys.apiserver.auth.user import MASTERS, User

GROUP = "rbac.authorization.k8s.io"
_EVERYTHING = (
    PolicyRule(verbs=["*"], apiGroups=["*"], resources=["*"]),
    PolicyRule(verbs=["*"], nonResourceURLs=["*"]),
)


class EscalationGuard:
    """The checks that run on every create and update of a role or binding. All raise Forbidden."""

    def __init__(self, rbac: RbacAuthorizer, authorizer: Authorizer) -> None:
        self._rbac = rbac
        self._authorizer = authorizer

    def check_role(self, user: User, role: Role | ClusterRole, old: Role | ClusterRole | None = None) -> None:
        """The caller holds every rule of the role, or may `escalate`. An update that leaves the rules alone passes."""
        resource = "clusterroles" if isinstance(role, ClusterRole) else "roles"
        name, namespace = role.metadata.name, role.metadata.namespace if isinstance(role, Role) else ""
        same_aggregation = _aggregation(old) == _aggregation(role)
        if old is not None and old.rules == role.rules and same_aggregation:
            return
        if self._allowed(user, "escalate", resource, namespace, name):
            return
        # An aggregated role may come to hold anything.
        if not same_aggregation and _aggregation(role) is not None and uncovered(self._rbac.rules_for(user, ""), _EVERYTHING):
            raise _forbidden(resource, name, "must have cluster-admin privileges to use the aggregationRule")
        self._check(user, namespace, role.rules or [], resource, name)

    def check_binding(
        self, user: User, binding: RoleBinding | ClusterRoleBinding, old: RoleBinding | ClusterRoleBinding | None = None
    ) -> None:
        """The caller holds every rule of the role bound, or may `bind` it. An update that adds no subject passes.

        Raises NotFound when the role does not exist and the caller could not bind it blindly.
        """
        ref = binding.roleRef
        namespace = binding.metadata.namespace if isinstance(binding, RoleBinding) else ""
        if old is not None and old.roleRef == ref and all(subject in old.subjects for subject in binding.subjects):
            return
        resource = "roles" if ref.kind == "Role" else "clusterroles"
        if self._allowed(user, "bind", resource, namespace, ref.name):
            return
        rules = self._rbac.role_rules(namespace if ref.kind == "Role" else "", ref.name)
        if rules is None:
            raise NotFound.object(resource, ref.name, group=GROUP)
        bindings = "rolebindings" if isinstance(binding, RoleBinding) else "clusterrolebindings"
        self._check(user, namespace, rules, bindings, binding.metadata.name)

    def check_escalation(self, user: User, rules: Sequence[PolicyRule], namespace: str = "") -> str:
        """Return the reason why the caller may not grant the rules, or ""."""
        missing = uncovered(self._rbac.rules_for(user, namespace), rules)
        if not missing:
            return ""
        listed = "\n".join(sorted(describe(rule) for rule in compact(missing)))
        return f'user "{user.name}" (groups={quoted(user.groups)}) is attempting to grant RBAC permissions not currently held:\n{listed}'

    def _check(self, user: User, namespace: str, rules: Sequence[PolicyRule], resource: str, name: str) -> None:
        why = self.check_escalation(user, rules, namespace)
        if why:
            raise _forbidden(resource, name, why)

    def _allowed(self, user: User, verb: str, resource: str, namespace: str, name: str) -> bool:
        if MASTERS in user.groups:
            return True
        return self._authorizer.authorize(Attributes(user, verb, GROUP, "v1", resource, namespace=namespace, name=name)).allowed


def _aggregation(role: Role | ClusterRole | None) -> object:
    return role.aggregationRule if isinstance(role, ClusterRole) else None


def _forbidden(resource: str, name: str, why: str) -> Forbidden:
    return Forbidden.resource(resource, name, why, group=GROUP)
