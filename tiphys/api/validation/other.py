"""Validation of configuration, namespaces, nodes, roles, leases, budgets and priorities."""

from __future__ import annotations

import msgspec

from tiphys.api.coordination.v1 import Lease
from tiphys.api.core.v1 import ConfigMap, Namespace, Node, Secret
from tiphys.api.machinery.errors import FieldError, duplicate, forbidden, invalid, not_supported, required
from tiphys.api.machinery.names import config_key, path_segment
from tiphys.api.policy.v1 import PodDisruptionBudget
from tiphys.api.rbac.v1 import ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, Subject
from tiphys.api.rules.basics import (
    Errors,
    at_most_100_percent,
    cidr,
    dns_subdomain,
    immutable,
    int_or_percent,
    label_name,
    label_selector,
    non_negative,
    positive,
)
from tiphys.api.rules.conditions import conditions
from tiphys.api.scheduling.v1 import PriorityClass
from tiphys.api.validation import resources, scheduling

MAX_DATA = 1024 * 1024
"""Bytes that a ConfigMap or a Secret may carry."""
RBAC_GROUP = "rbac.authorization.k8s.io"
HIGHEST_USER_PRIORITY = 1_000_000_000
SYSTEM_PRIORITIES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
_FROZEN = "field is immutable when `immutable` is set"


# ---- configuration ---------------------------------------------------------------------------------------------------------------------


def _keys(errors: Errors, path: str, keys: dict[str, str] | dict[str, bytes]) -> int:
    size = 0
    for key, value in keys.items():
        if said := config_key(key):
            errors.append(invalid(f"{path}[{key}]", key, said))
        size += len(value) if isinstance(value, bytes) or value.isascii() else len(value.encode())
    return size


def validate_config_map(config: ConfigMap) -> Errors:
    errors: Errors = []
    size = _keys(errors, "data", config.data) + _keys(errors, "binaryData", config.binaryData)
    for key in config.data.keys() & config.binaryData.keys():
        errors.append(invalid(f"data[{key}]", key, "duplicate of key present in binaryData"))
    if size > MAX_DATA:
        errors.append(FieldError("FieldValueTooLong", "", f"may not be more than {MAX_DATA} bytes"))
    return errors


def validate_config_map_update(new: ConfigMap, old: ConfigMap) -> Errors:
    return _frozen(new, old, ("data", "binaryData"))


def _frozen(new: ConfigMap | Secret, old: ConfigMap | Secret, fields: tuple[str, ...]) -> Errors:
    errors: Errors = []
    if old.immutable:
        if not new.immutable:
            errors.append(forbidden("immutable", _FROZEN))
        for name in fields:
            if getattr(new, name) != getattr(old, name):
                errors.append(forbidden(name, _FROZEN))
    return errors


def validate_secret(secret: Secret) -> Errors:
    errors: Errors = []
    if _keys(errors, "data", secret.data) > MAX_DATA:
        errors.append(FieldError("FieldValueTooLong", "data", f"may not be more than {MAX_DATA} bytes"))
    data = secret.data
    match secret.type:
        case "kubernetes.io/service-account-token":
            name = "kubernetes.io/service-account.name"
            if not secret.metadata.annotations.get(name):
                errors.append(required(f"metadata.annotations[{name}]"))
        case "kubernetes.io/dockercfg":
            _json(errors, ".dockercfg", data)
        case "kubernetes.io/dockerconfigjson":
            _json(errors, ".dockerconfigjson", data)
        case "kubernetes.io/basic-auth":
            if "username" not in data and "password" not in data:
                errors += [required("data[username]"), required("data[password]")]
        case "kubernetes.io/ssh-auth":
            if not data.get("ssh-privatekey"):
                errors.append(required("data[ssh-privatekey]"))
        case "kubernetes.io/tls":
            errors += [required(f"data[{key}]") for key in ("tls.crt", "tls.key") if key not in data]
    return errors


def _json(errors: Errors, key: str, data: dict[str, bytes]) -> None:
    """Credentials of registries are a JSON object; the message never shows them."""
    if key not in data:
        errors.append(required(f"data[{key}]"))
        return
    try:
        msgspec.json.decode(data[key], type=dict[str, object])
    except msgspec.DecodeError:
        errors.append(invalid(f"data[{key}]", "<secret contents redacted>", "must be a valid JSON object"))


def validate_secret_update(new: Secret, old: Secret) -> Errors:
    errors: Errors = []
    immutable(errors, "type", new.type, old.type)
    return errors + _frozen(new, old, ("data",))


# ---- namespaces and nodes --------------------------------------------------------------------------------------------------------------


def validate_namespace(namespace: Namespace) -> Errors:
    errors: Errors = []
    for finalizer in namespace.spec.finalizers:
        label_name(errors, "spec.finalizers", finalizer)
        if "/" not in finalizer and finalizer not in ("kubernetes", "orphan", "foregroundDeletion"):
            errors.append(invalid("spec.finalizers", finalizer, "name is neither a standard finalizer name nor is it fully qualified"))
    return errors


def validate_namespace_status(new: Namespace) -> Errors:
    errors: Errors = []
    expected = "Terminating" if new.metadata.deletionTimestamp else "Active"
    if new.status.phase != expected:
        said = "may only be 'Active' if `deletionTimestamp` is empty"
        if new.metadata.deletionTimestamp:
            said = "may only be 'Terminating' if `deletionTimestamp` is not empty"
        errors.append(invalid("status.Phase", new.status.phase, said))
    return errors


def validate_node(node: Node) -> Errors:
    errors: Errors = []
    scheduling.taints(errors, "metadata.taints", node.spec.taints)
    resources.amounts(errors, "status.capacity", node.status.capacity)
    resources.amounts(errors, "status.allocatable", node.status.allocatable)
    for index, block in enumerate(node.spec.podCIDRs):
        cidr(errors, f"spec.podCIDRs[{index}]", block)
    families = {":" in block for block in node.spec.podCIDRs}
    if len(families) < len(node.spec.podCIDRs):
        errors.append(invalid("spec.podCIDRs", node.spec.podCIDRs, "may specify no more than one CIDR for each IP family"))
    return errors


def validate_node_update(new: Node, old: Node) -> Errors:
    errors: Errors = []
    seen: set[tuple[str, str]] = set()
    for index, address in enumerate(new.status.addresses):
        if (address.type, address.address) in seen:
            errors.append(duplicate(f"status.addresses[{index}]", address))
        seen.add((address.type, address.address))
    if old.spec.podCIDRs and new.spec.podCIDRs != old.spec.podCIDRs:
        errors.append(forbidden("spec.podCIDRs", 'node updates may not change podCIDR except from "" to valid'))
    if old.spec.providerID and new.spec.providerID != old.spec.providerID:
        errors.append(forbidden("spec.providerID", 'node updates may not change providerID except from "" to valid'))
    if new.spec.externalID != old.spec.externalID:
        errors.append(forbidden("spec.externalID", "may not be updated"))
    return errors


# ---- access ----------------------------------------------------------------------------------------------------------------------------


def validate_role(role: Role | ClusterRole) -> Errors:
    errors: Errors = []
    for index, rule in enumerate(role.rules or []):
        _rule(errors, f"rules[{index}]", rule, namespaced=isinstance(role, Role))
    if isinstance(role, ClusterRole) and role.aggregationRule is not None:
        selectors = role.aggregationRule.clusterRoleSelectors
        if not selectors:
            said = "at least one clusterRoleSelector required if aggregationRule is non-nil"
            errors.append(required("aggregationRule.clusterRoleSelectors", said))
        for index, selector in enumerate(selectors):
            label_selector(errors, f"aggregationRule.clusterRoleSelectors[{index}]", selector)
    return errors


def _rule(errors: Errors, path: str, rule: PolicyRule, *, namespaced: bool) -> None:
    if not rule.verbs:
        errors.append(required(f"{path}.verbs", "verbs must contain at least one value"))
    if rule.nonResourceURLs:
        if namespaced:
            said = "namespaced rules cannot apply to non-resource URLs"
            errors.append(invalid(f"{path}.nonResourceURLs", rule.nonResourceURLs, said))
        if rule.apiGroups or rule.resources or rule.resourceNames:
            said = "rules cannot apply to both regular resources and non-resource URLs"
            errors.append(invalid(f"{path}.nonResourceURLs", rule.nonResourceURLs, said))
        return
    if not rule.apiGroups:
        errors.append(required(f"{path}.apiGroups", "resource rules must supply at least one api group"))
    if not rule.resources:
        errors.append(required(f"{path}.resources", "resource rules must supply at least one resource"))


def validate_binding(binding: RoleBinding | ClusterRoleBinding) -> Errors:
    errors: Errors = []
    namespaced = isinstance(binding, RoleBinding)
    kinds = ("Role", "ClusterRole") if namespaced else ("ClusterRole",)
    if binding.roleRef.apiGroup != RBAC_GROUP:
        errors.append(not_supported("roleRef.apiGroup", binding.roleRef.apiGroup, (RBAC_GROUP,)))
    if binding.roleRef.kind not in kinds:
        errors.append(not_supported("roleRef.kind", binding.roleRef.kind, kinds))
    if not binding.roleRef.name:
        errors.append(required("roleRef.name"))
    elif said := path_segment(binding.roleRef.name):
        errors.append(invalid("roleRef.name", binding.roleRef.name, said))
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
    return [] if new.roleRef == old.roleRef else [invalid("roleRef", new.roleRef, "cannot change roleRef")]


# ---- the rest --------------------------------------------------------------------------------------------------------------------------


def validate_lease(lease: Lease) -> Errors:
    errors: Errors = []
    spec = lease.spec
    if spec.leaseDurationSeconds is not None:
        positive(errors, "spec.leaseDurationSeconds", spec.leaseDurationSeconds)
    non_negative(errors, "spec.leaseTransitions", spec.leaseTransitions)
    if spec.strategy:
        label_name(errors, "spec.strategy", spec.strategy)
    elif spec.preferredHolder:
        errors.append(forbidden("spec.preferredHolder", "may only be specified if `strategy` is defined"))
    return errors


def validate_budget(budget: PodDisruptionBudget) -> Errors:
    errors: Errors = []
    spec = budget.spec
    if spec.minAvailable is not None and spec.maxUnavailable is not None:
        errors.append(invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set"))
    for name, value in (("minAvailable", spec.minAvailable), ("maxUnavailable", spec.maxUnavailable)):
        int_or_percent(errors, f"spec.{name}", value)
        at_most_100_percent(errors, f"spec.{name}", value)
    label_selector(errors, "spec.selector", spec.selector)
    policy = spec.unhealthyPodEvictionPolicy
    if policy is not None and policy not in ("AlwaysAllow", "IfHealthyBudget"):
        errors.append(not_supported("spec.unhealthyPodEvictionPolicy", policy, ("AlwaysAllow", "IfHealthyBudget")))
    return errors


def validate_budget_status(budget: PodDisruptionBudget) -> Errors:
    errors: Errors = []
    conditions(errors, "status.conditions", budget.status.conditions)
    for name in ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"):
        non_negative(errors, f"status.{name}", getattr(budget.status, name))
    return errors


def validate_priority_class(value: PriorityClass) -> Errors:
    errors: Errors = []
    name = value.metadata.name
    if name.startswith("system-"):
        if said := _system_class(value):
            prefix = "priority class names with 'system-' prefix are reserved for system use only. error: "
            errors.append(forbidden("metadata.name", prefix + said))
    elif value.value > HIGHEST_USER_PRIORITY:
        errors.append(forbidden("value", f"maximum allowed value of a user defined priority is {HIGHEST_USER_PRIORITY}"))
    if value.preemptionPolicy == "":
        errors.append(required("preemptionPolicy"))
    elif value.preemptionPolicy not in (None, "PreemptLowerPriority", "Never"):
        errors.append(not_supported("preemptionPolicy", value.preemptionPolicy, ("PreemptLowerPriority", "Never")))
    return errors


def _system_class(value: PriorityClass) -> str:
    """What tells a class from the system's own of that name, or ""."""
    name = value.metadata.name
    if name not in SYSTEM_PRIORITIES:
        return f"{name} is not a known system priority class"
    if value.value != SYSTEM_PRIORITIES[name]:
        return f"value of {name} PriorityClass must be {SYSTEM_PRIORITIES[name]}"
    return f"globalDefault of {name} PriorityClass must be false" if value.globalDefault else ""


def validate_priority_class_update(new: PriorityClass, old: PriorityClass) -> Errors:
    errors: Errors = []
    if new.value != old.value:
        errors.append(forbidden("value", "may not be changed in an update."))
    immutable(errors, "preemptionPolicy", new.preemptionPolicy, old.preemptionPolicy)
    return errors
