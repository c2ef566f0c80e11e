"""Validation of what steers a pod to its node: selectors, affinity, tolerations, spreading."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tiphys.api.core.v1 import (
    Affinity,
    NodeAffinity,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    PodAffinity,
    PodAffinityTerm,
    PodAntiAffinity,
    Taint,
    Toleration,
    TopologySpreadConstraint,
)
from tiphys.api.machinery.errors import FieldError, duplicate, forbidden, invalid, not_supported, required
from tiphys.api.machinery.names import dns_subdomain_messages, label_value, label_value_messages
from tiphys.api.rules.basics import Errors, dns_label, label_name, label_selector, text

TAINT_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_DECIMAL = re.compile(r"0|-?[1-9][0-9]*").fullmatch


def affinity(errors: Errors, path: str, value: Affinity) -> None:
    """Node affinity, pod affinity and anti-affinity ("Assigning Pods to Nodes")."""
    if value.nodeAffinity is not None:
        _node_affinity(errors, f"{path}.nodeAffinity", value.nodeAffinity)
    if value.podAffinity is not None:
        _pod_affinity(errors, f"{path}.podAffinity", value.podAffinity)
    if value.podAntiAffinity is not None:
        _pod_affinity(errors, f"{path}.podAntiAffinity", value.podAntiAffinity)


def _node_affinity(errors: Errors, path: str, value: NodeAffinity) -> None:
    if value.requiredDuringSchedulingIgnoredDuringExecution is not None:
        node_selector(errors, f"{path}.{_REQUIRED}", value.requiredDuringSchedulingIgnoredDuringExecution)
    for index, term in enumerate(value.preferredDuringSchedulingIgnoredDuringExecution):
        here = f"{path}.{_PREFERRED}[{index}]"
        if not 1 <= term.weight <= 100:
            errors.append(invalid(f"{here}.weight", term.weight, "must be in the range 1-100"))
        _node_term(errors, f"{here}.preference", term.preference, values=False)


def node_selector(errors: Errors, path: str, selector: NodeSelector) -> None:
    """One term or more, each of valid requirements ("Assigning Pods to Nodes")."""
    if not selector.nodeSelectorTerms:
        errors.append(required(f"{path}.nodeSelectorTerms", "must have at least one node selector term"))
    for index, term in enumerate(selector.nodeSelectorTerms):
        _node_term(errors, f"{path}.nodeSelectorTerms[{index}]", term, values=True)


def _node_term(errors: Errors, path: str, term: NodeSelectorTerm, *, values: bool) -> None:
    for index, requirement in enumerate(term.matchExpressions):
        _node_requirement(errors, f"{path}.matchExpressions[{index}]", requirement, values=values)
    for index, requirement in enumerate(term.matchFields):
        _node_field(errors, f"{path}.matchFields[{index}]", requirement)


def _node_requirement(errors: Errors, path: str, requirement: NodeSelectorRequirement, *, values: bool) -> None:
    if requirement.operator in ("In", "NotIn"):
        if not requirement.values:
            errors.append(required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
    elif requirement.operator in ("Exists", "DoesNotExist"):
        if requirement.values:
            errors.append(forbidden(f"{path}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
    elif requirement.operator in ("Gt", "Lt"):
        if len(requirement.values) != 1:
            errors.append(required(f"{path}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'"))
    else:
        errors.append(invalid(f"{path}.operator", requirement.operator, "not a valid selector operator"))
    label_name(errors, f"{path}.key", requirement.key)
    if values:
        for index, value in enumerate(requirement.values):
            text(errors, f"{path}.values[{index}]", value, label_value_messages(value))


def _node_field(errors: Errors, path: str, requirement: NodeSelectorRequirement) -> None:
    if requirement.operator not in ("In", "NotIn"):
        errors.append(invalid(f"{path}.operator", requirement.operator, "not a valid selector operator"))
    elif len(requirement.values) != 1:
        message = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
        errors.append(required(f"{path}.values", message))
    if requirement.key != "metadata.name":
        errors.append(invalid(f"{path}.key", requirement.key, "not a valid field selector key"))
        return
    for index, value in enumerate(requirement.values):
        text(errors, f"{path}.values[{index}]", value, dns_subdomain_messages(value))


def _pod_affinity(errors: Errors, path: str, value: PodAffinity | PodAntiAffinity) -> None:
    for index, term in enumerate(value.requiredDuringSchedulingIgnoredDuringExecution):
        _affinity_term(errors, f"{path}.{_REQUIRED}[{index}]", term)
    for index, weighted in enumerate(value.preferredDuringSchedulingIgnoredDuringExecution):
        here = f"{path}.{_PREFERRED}[{index}]"
        if not 1 <= weighted.weight <= 100:
            errors.append(invalid(f"{here}.weight", weighted.weight, "must be in the range 1-100"))
        _affinity_term(errors, f"{here}.podAffinityTerm", weighted.podAffinityTerm)


def _affinity_term(errors: Errors, path: str, term: PodAffinityTerm) -> None:
    label_selector(errors, f"{path}.labelSelector", term.labelSelector)
    label_selector(errors, f"{path}.namespaceSelector", term.namespaceSelector)
    for namespace in term.namespaces:
        dns_label(errors, f"{path}.namespace", namespace)
    _label_keys(errors, path, term)
    if not term.topologyKey:
        errors.append(required(f"{path}.topologyKey", "can not be empty"))
    label_name(errors, f"{path}.topologyKey", term.topologyKey)


def _label_keys(errors: Errors, path: str, rule: PodAffinityTerm | TopologySpreadConstraint) -> None:
    """Keys of labels whose values pods have in common, or not: they are merged into the selector, which must not name them already."""
    selector = rule.labelSelector
    apart = rule.mismatchLabelKeys if isinstance(rule, PodAffinityTerm) else []
    for name, keys in (("matchLabelKeys", rule.matchLabelKeys), ("mismatchLabelKeys", apart)):
        if keys and selector is None:
            errors.append(forbidden(f"{path}.{name}", "must not be specified when labelSelector is not set"))
            continue
        for index, key in enumerate(keys):
            label_name(errors, f"{path}.{name}[{index}]", key)
    if selector is not None and rule.matchLabelKeys:
        places = {key: index for index, key in enumerate(rule.matchLabelKeys)}
        seen = set(selector.matchLabels)
        for expression in selector.matchExpressions:
            if expression.key in places and expression.key in seen:
                message = "exists in both matchLabelKeys and labelSelector"
                errors.append(invalid(f"{path}[{places[expression.key]}]", expression.key, message))
            seen.add(expression.key)
    for index, key in enumerate(rule.matchLabelKeys):
        if key in apart:
            errors.append(invalid(f"{path}.matchLabelKeys[{index}]", key, "exists in both matchLabelKeys and mismatchLabelKeys"))


def tolerations(errors: Errors, path: str, values: Sequence[Toleration]) -> None:
    """Operators, values and seconds of tolerations ("Taints and Tolerations")."""
    for index, toleration in enumerate(values):
        _toleration(errors, f"{path}[{index}]", toleration)


def _toleration(errors: Errors, path: str, toleration: Toleration) -> None:
    if toleration.key:
        label_name(errors, f"{path}.key", toleration.key)
    elif toleration.operator != "Exists":
        message = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
        errors.append(invalid(f"{path}.operator", toleration.operator, message))
    if toleration.tolerationSeconds is not None and toleration.effect != "NoExecute":
        errors.append(invalid(f"{path}.effect", toleration.effect, "effect must be 'NoExecute' when `tolerationSeconds` is set"))
    if toleration.operator in ("Equal", ""):
        if message := label_value(toleration.value):
            errors.append(invalid(f"{path}.operator", toleration.value, message))
    elif toleration.operator == "Exists":
        if toleration.value:
            errors.append(invalid(f"{path}.operator", toleration.value, "value must be empty when `operator` is 'Exists'"))
    else:
        choices = ("Equal", "Exists", *(("Lt", "Gt") if toleration.operator in ("Lt", "Gt") else ()))
        errors.append(not_supported(f"{path}.operator", toleration.operator, choices))
    if toleration.effect and toleration.effect not in TAINT_EFFECTS:
        errors.append(not_supported(f"{path}.effect", toleration.effect, TAINT_EFFECTS))


def taints(errors: Errors, path: str, values: Sequence[Taint]) -> None:
    """The taints of a node, one for each key and effect."""
    seen: set[tuple[str, str]] = set()
    for index, taint in enumerate(values):
        here = f"{path}[{index}]"
        label_name(errors, f"{here}.key", taint.key)
        if message := label_value(taint.value):
            errors.append(invalid(f"{here}.value", taint.value, message))
        if not taint.effect:
            errors.append(required(f"{here}.effect"))
        elif taint.effect not in TAINT_EFFECTS:
            errors.append(not_supported(f"{here}.effect", taint.effect, TAINT_EFFECTS))
        if (taint.key, taint.effect) in seen:
            errors.append(FieldError("FieldValueDuplicate", here, "taints must be unique by key and effect pair", taint))
        seen.add((taint.key, taint.effect))


def spread(errors: Errors, path: str, constraints: Sequence[TopologySpreadConstraint]) -> None:
    """Topology spread constraints."""
    keys = [(constraint.topologyKey, constraint.whenUnsatisfiable) for constraint in constraints]
    last = {key: index for index, key in enumerate(keys)}
    for index, constraint in enumerate(constraints):
        here = f"{path}[{index}]"
        _positive(errors, f"{here}.maxSkew", constraint.maxSkew)
        if not constraint.topologyKey:
            errors.append(required(f"{here}.topologyKey", "can not be empty"))
        if constraint.whenUnsatisfiable not in ("DoNotSchedule", "ScheduleAnyway"):
            choices = ("DoNotSchedule", "ScheduleAnyway")
            errors.append(not_supported(f"{here}.whenUnsatisfiable", constraint.whenUnsatisfiable, choices))
        if last[keys[index]] != index:
            errors.append(duplicate(f"{here}.{{topologyKey, whenUnsatisfiable}}", f"{{{', '.join(keys[index])}}}"))
        _spread_details(errors, here, constraint)


def _positive(errors: Errors, path: str, value: int) -> None:
    if value <= 0:
        errors.append(invalid(path, value, "must be greater than zero"))


def _spread_details(errors: Errors, path: str, constraint: TopologySpreadConstraint) -> None:
    if constraint.minDomains is not None:
        _positive(errors, f"{path}.minDomains", constraint.minDomains)
        if constraint.whenUnsatisfiable != "DoNotSchedule":
            message = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {constraint.whenUnsatisfiable}"
            errors.append(invalid(f"{path}.minDomains", constraint.minDomains, message))
    for name in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
        policy = getattr(constraint, name)
        if policy is not None and policy not in ("Ignore", "Honor"):
            errors.append(not_supported(f"{path}.{name}", policy, ("Honor", "Ignore")))
    _label_keys(errors, path, constraint)
    label_selector(errors, f"{path}.labelSelector", constraint.labelSelector)


def only_added_tolerations(errors: Errors, path: str, new: Sequence[Toleration], old: Sequence[Toleration]) -> None:
    """Tolerations of a running pod may be added to, and their time changed."""
    keys = {(t.key, t.operator, t.value, t.effect) for t in new}
    if any((t.key, t.operator, t.value, t.effect) not in keys for t in old):
        errors.append(forbidden(path, "existing toleration can not be modified except its tolerationSeconds"))
