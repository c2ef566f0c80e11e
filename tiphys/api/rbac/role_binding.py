"""RoleBindings and ClusterRoleBindings: defaults, validation, columns and registration."""

from __future__ import annotations

from tiphys.api.machinery.columns import AGE, NAME, cell
from tiphys.api.machinery.errors import invalid, not_supported, required
from tiphys.api.machinery.names import path_segment
from tiphys.api.machinery.scheme import Column, Kind, Rules
from tiphys.api.rbac import GROUP
from tiphys.api.rbac import v1 as rbac
from tiphys.api.rbac.role import Named
from tiphys.api.rbac.v1 import ClusterRoleBinding, RoleBinding, Subject
from tiphys.api.rules.basics import Errors, dns_subdomain

RBAC_GROUP = "rbac.authorization.k8s.io"


def default_binding(binding: RoleBinding | ClusterRoleBinding) -> None:
    """Default the API groups of role and subjects."""
    binding.roleRef.apiGroup = binding.roleRef.apiGroup or RBAC_GROUP
    for subject in binding.subjects:
        if not subject.apiGroup and subject.kind in ("User", "Group"):
            subject.apiGroup = RBAC_GROUP


def validate_binding(binding: RoleBinding | ClusterRoleBinding) -> Errors:
    """Return the mistakes in the role and the subjects of a binding ("Using RBAC Authorization")."""
    errors: Errors = []
    namespaced = isinstance(binding, RoleBinding)
    kinds = ("Role", "ClusterRole") if namespaced else ("ClusterRole",)
    if binding.roleRef.apiGroup != RBAC_GROUP:
        errors.append(not_supported("roleRef.apiGroup", binding.roleRef.apiGroup, (RBAC_GROUP,)))
    if binding.roleRef.kind not in kinds:
        errors.append(not_supported("roleRef.kind", binding.roleRef.kind, kinds))
    if not binding.roleRef.name:
        errors.append(required("roleRef.name"))
    elif message := path_segment(binding.roleRef.name):
        errors.append(invalid("roleRef.name", binding.roleRef.name, message))
    for index, subject in enumerate(binding.subjects):
        _subject(errors, f"subjects[{index}]", subject, namespaced=namespaced)
    return errors


def _subject(errors: Errors, path: str, subject: Subject, *, namespaced: bool) -> None:
    if not subject.name:
        errors.append(required(f"{path}.name"))
    if subject.kind == "ServiceAccount":
        if subject.name:
            dns_subdomain(errors, f"{path}.name", subject.name)
        if subject.apiGroup:
            errors.append(not_supported(f"{path}.apiGroup", subject.apiGroup, ("",)))
        if not namespaced and not subject.namespace:
            errors.append(required(f"{path}.namespace"))
    elif subject.kind in ("User", "Group"):
        if subject.apiGroup != RBAC_GROUP:
            errors.append(not_supported(f"{path}.apiGroup", subject.apiGroup, (RBAC_GROUP,)))
    else:
        errors.append(not_supported(f"{path}.kind", subject.kind, ("ServiceAccount", "User", "Group")))


def validate_binding_update(new: RoleBinding | ClusterRoleBinding, old: RoleBinding | ClusterRoleBinding) -> Errors:
    """Refuse changes of the role ("Using RBAC Authorization: RoleBinding and ClusterRoleBinding")."""
    return [] if new.roleRef == old.roleRef else [invalid("roleRef", new.roleRef, "cannot change roleRef")]


class RoleBindingRules(Named, Rules[RoleBinding]):
    create_on_update = True

    default = staticmethod(default_binding)
    validate = staticmethod(validate_binding)
    validate_update = staticmethod(validate_binding_update)


class ClusterRoleBindingRules(Named, Rules[ClusterRoleBinding]):
    create_on_update = True

    default = staticmethod(default_binding)
    validate = staticmethod(validate_binding)
    validate_update = staticmethod(validate_binding_update)


def _subjects(binding: RoleBinding | ClusterRoleBinding, kind: str) -> str:
    subjects = [subject for subject in binding.subjects if subject.kind == kind]
    if kind == "ServiceAccount":
        return ", ".join(f"{subject.namespace}/{subject.name}" if subject.namespace else subject.name for subject in subjects)
    return ", ".join(subject.name for subject in subjects)


COLUMNS = (
    NAME,
    Column("Role", cell(lambda obj: f"{obj.roleRef.kind}/{obj.roleRef.name}"), description="The role that is granted."),
    AGE,
    Column("Users", cell(lambda obj: _subjects(obj, "User")), priority=1, description="The users it is granted to."),
    Column("Groups", cell(lambda obj: _subjects(obj, "Group")), priority=1, description="The groups it is granted to."),
    Column("ServiceAccounts", cell(lambda obj: _subjects(obj, "ServiceAccount")), priority=1, description="The accounts it is granted to."),
)

CLUSTER_ROLE_BINDINGS: Kind[rbac.ClusterRoleBinding] = Kind(
    type=rbac.ClusterRoleBinding,
    plural="clusterrolebindings",
    rules=ClusterRoleBindingRules(),
    columns=COLUMNS,
    group=GROUP,
    namespaced=False,
)

ROLE_BINDINGS: Kind[rbac.RoleBinding] = Kind(
    type=rbac.RoleBinding, plural="rolebindings", rules=RoleBindingRules(), columns=COLUMNS, group=GROUP
)
