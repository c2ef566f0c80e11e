"""Validation of flow schemas and priority levels ("API Priority and Fairness")."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from tiphys.api.flowcontrol.v1 import (
    ExemptPriorityLevelConfiguration,
    FlowSchema,
    FlowSchemaCondition,
    FlowSchemaSpec,
    LimitedPriorityLevelConfiguration,
    LimitResponse,
    NonResourcePolicyRule,
    PolicyRulesWithSubjects,
    PriorityLevelConfiguration,
    PriorityLevelConfigurationCondition,
    PriorityLevelConfigurationSpec,
    QueuingConfiguration,
    ResourcePolicyRule,
    Subject,
)
from tiphys.api.helpers.flow_levels import EXEMPT, MANDATORY_LEVELS, MANDATORY_SCHEMAS
from tiphys.api.machinery.errors import duplicate, forbidden, invalid, not_supported, required
from tiphys.api.machinery.names import dns_label_messages
from tiphys.api.rules.basics import Errors, dns_label, dns_subdomain, text

ALL = "*"
LOWEST_PRECEDENCE = 10_000
MAX_QUEUES = 10_000_000
MAX_HASH_BITS = 60
"""Bits of a flow's hash that may choose its hand of queues."""
_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch")
_SUBJECTS = {"Group": "group", "ServiceAccount": "serviceAccount", "User": "user"}
_ZERO_SHARES = "flowcontrol.k8s.io/v1beta3-preserve-zero-concurrency-shares"
_NOT_NEGATIVE = "must be a non-negative integer"


# ---- flow schemas ----------------------------------------------------------------------------------------------------------------------


def validate_flow_schema(schema: FlowSchema) -> Errors:
    errors: Errors = []
    name = schema.metadata.name
    _flow_schema_spec(errors, name, schema.spec)
    fixed = MANDATORY_SCHEMAS.get(name)
    if fixed is not None and schema.spec != fixed.spec:
        errors.append(invalid("spec", schema.spec, f"spec of '{name}' must equal the fixed value"))
    return errors + validate_conditions(schema.status.conditions)


def _flow_schema_spec(errors: Errors, name: str, spec: FlowSchemaSpec) -> None:
    path, precedence = "spec.matchingPrecedence", spec.matchingPrecedence
    if precedence <= 0:
        errors.append(invalid(path, precedence, "must be a positive value"))
    if precedence > LOWEST_PRECEDENCE:
        errors.append(invalid(path, precedence, f"must not be greater than {LOWEST_PRECEDENCE}"))
    if precedence == 1 and name != EXEMPT:
        errors.append(invalid(path, precedence, "only the schema named 'exempt' may have matchingPrecedence 1"))
    method = spec.distinguisherMethod
    if method is not None and method.type not in ("ByNamespace", "ByUser"):
        errors.append(not_supported("spec.distinguisherMethod.type", method, ("ByNamespace", "ByUser")))
    level = spec.priorityLevelConfiguration.name
    if level:
        dns_subdomain(errors, "spec.priorityLevelConfiguration.name", level)
    else:
        errors.append(required("spec.priorityLevelConfiguration.name", "must reference a priority level"))
    for index, rule in enumerate(spec.rules):
        _rule(errors, f"spec.rules[{index}]", rule)


def _rule(errors: Errors, path: str, rule: PolicyRulesWithSubjects) -> None:
    if not rule.subjects:
        errors.append(required(f"{path}.subjects", "subjects must contain at least one value"))
    for index, subject in enumerate(rule.subjects):
        _subject(errors, f"{path}.subjects[{index}]", subject)
    if not rule.resourceRules and not rule.nonResourceRules:
        errors.append(required(path, "at least one of resourceRules and nonResourceRules has to be non-empty"))
    for index, resource_rule in enumerate(rule.resourceRules):
        _resource_rule(errors, f"{path}.resourceRules[{index}]", resource_rule)
    for index, path_rule in enumerate(rule.nonResourceRules):
        _path_rule(errors, f"{path}.nonResourceRules[{index}]", path_rule)


def _subject(errors: Errors, path: str, subject: Subject) -> None:
    member = _SUBJECTS.get(subject.kind)
    if member is None:
        errors.append(not_supported(f"{path}.kind", subject.kind, tuple(_SUBJECTS)))
        return
    if getattr(subject, member) is None:
        errors.append(required(f"{path}.{member}", f"{member} is required when subject kind is '{subject.kind}'"))
    elif subject.serviceAccount is not None and member == "serviceAccount":
        account = subject.serviceAccount
        if not account.name:
            errors.append(required(f"{path}.serviceAccount.name"))
        elif account.name != ALL:
            dns_subdomain(errors, f"{path}.serviceAccount.name", account.name)
        if account.namespace:
            dns_label(errors, f"{path}.serviceAccount.namespace", account.namespace)
        else:
            errors.append(required(f"{path}.serviceAccount.namespace", "must specify namespace for service account"))
    elif not getattr(subject, member).name:
        errors.append(required(f"{path}.{member}.name"))
    for kind, other in _SUBJECTS.items():
        if other != member and getattr(subject, other) is not None:
            errors.append(forbidden(f"{path}.{other}", f"{other} is forbidden when subject kind is not '{kind}'"))


def _verbs(errors: Errors, path: str, verbs: Sequence[str]) -> None:
    if not verbs:
        errors.append(required(f"{path}.verbs", "verbs must contain at least one value"))
    elif ALL in verbs:
        _alone(errors, f"{path}.verbs", verbs, "verbs")
    elif not set(verbs) <= set(_VERBS):
        errors.append(not_supported(f"{path}.verbs", verbs, _VERBS))


def _alone(errors: Errors, path: str, values: Sequence[str], what: str) -> None:
    """`*` says everything: nothing may stand beside it."""
    if ALL in values and len(values) > 1:
        errors.append(invalid(path, values, f"if '*' is present, must not specify other {what}"))


def _resource_rule(errors: Errors, path: str, rule: ResourcePolicyRule) -> None:
    _verbs(errors, path, rule.verbs)
    if not rule.apiGroups:
        errors.append(required(f"{path}.apiGroups", "resource rules must supply at least one api group"))
    _alone(errors, f"{path}.apiGroups", rule.apiGroups, "api groups")
    if not rule.resources:
        errors.append(required(f"{path}.resources", "resource rules must supply at least one resource"))
    _alone(errors, f"{path}.resources", rule.resources, "resources")
    namespaces = rule.namespaces or []
    if not namespaces and not rule.clusterScope:
        said = "resource rules that are not cluster scoped must supply at least one namespace"
        errors.append(required(f"{path}.namespaces", said))
    elif ALL in namespaces:
        _alone(errors, f"{path}.namespaces", namespaces, "namespaces")
    else:
        for index, namespace in enumerate(namespaces):
            messages = [f"each member of this list must be '*' or a DNS-1123 label; {said}" for said in dns_label_messages(namespace)]
            text(errors, f"{path}.namespaces[{index}]", namespace, messages)


def _path_rule(errors: Errors, path: str, rule: NonResourcePolicyRule) -> None:
    _verbs(errors, path, rule.verbs)
    if not rule.nonResourceURLs:
        errors.append(required(f"{path}.nonResourceURLs", "nonResourceURLs must contain at least one value"))
    elif ALL in rule.nonResourceURLs:
        _alone(errors, f"{path}.nonResourceURLs", rule.nonResourceURLs, "non-resource URLs")
    else:
        for index, url in enumerate(rule.nonResourceURLs):
            if said := _url(url):
                errors.append(invalid(f"{path}.nonResourceURLs[{index}]", url, said))


def _url(url: str) -> str:
    """What is wrong with a path such as `/healthz` or `/openapi/*`, or ""."""
    if not url:
        return "must not be empty"
    if url == "/":
        return ""
    if not url.startswith("/"):
        return "must start with slash"
    if " " in url:
        return "must not contain white-space"
    if "//" in url:
        return "must not contain double slash"
    if url.count("*") > 1 or ("*" in url and not url.endswith("/*")):
        return "wildcard can only do suffix matching"
    return ""


def validate_conditions(conditions: Sequence[FlowSchemaCondition | PriorityLevelConfigurationCondition]) -> Errors:
    errors: Errors = []
    seen: set[str] = set()
    for index, condition in enumerate(conditions):
        path = f"status.conditions[{index}].type"
        if condition.type in seen:
            errors.append(duplicate(path, condition.type))
        seen.add(condition.type)
        if not condition.type:
            errors.append(required(path))
    return errors


# ---- priority levels -------------------------------------------------------------------------------------------------------------------


def validate_level(level: PriorityLevelConfiguration) -> Errors:
    errors: Errors = []
    name, spec = level.metadata.name, level.spec
    if _ZERO_SHARES in level.metadata.annotations:
        errors.append(forbidden("metadata.annotations", f"annotation '{_ZERO_SHARES}' is forbidden"))
    _level_spec(errors, name, spec)
    fixed = MANDATORY_LEVELS.get(name)
    if fixed is not None:
        if name == EXEMPT:
            if msgspec.structs.replace(spec, exempt=fixed.spec.exempt) != fixed.spec:
                said = f"spec of '{name}' except the 'spec.exempt' field must equal the fixed value"
                errors.append(invalid("spec", spec, said))
        elif spec != fixed.spec:
            errors.append(invalid("spec", spec, f"spec of '{name}' must equal the fixed value"))
    return errors + validate_conditions(level.status.conditions)


def _level_spec(errors: Errors, name: str, spec: PriorityLevelConfigurationSpec) -> None:
    if (name == EXEMPT) != (spec.type == "Exempt"):
        errors.append(invalid("spec.type", spec.type, "must be 'Exempt' if and only if `name` is 'exempt'"))
    match spec.type:
        case "Exempt":
            if spec.limited is not None:
                errors.append(forbidden("spec.limited", "must be nil if the type is not Limited"))
            if spec.exempt is not None:
                _shares(errors, "spec.exempt", spec.exempt)
        case "Limited":
            if spec.exempt is not None:
                errors.append(forbidden("spec.exempt", "must be nil if the type is Limited"))
            if spec.limited is None:
                errors.append(required("spec.limited", "must not be empty when type is Limited"))
            else:
                _limited(errors, spec.limited)
        case _:
            errors.append(not_supported("spec.type", spec.type, ("Exempt", "Limited")))


def _shares(errors: Errors, path: str, level: LimitedPriorityLevelConfiguration | ExemptPriorityLevelConfiguration) -> None:
    if level.nominalConcurrencyShares is not None and level.nominalConcurrencyShares < 0:
        errors.append(invalid(f"{path}.nominalConcurrencyShares", level.nominalConcurrencyShares, _NOT_NEGATIVE))
    if level.lendablePercent is not None and not 0 <= level.lendablePercent <= 100:
        errors.append(invalid(f"{path}.lendablePercent", level.lendablePercent, "must be between 0 and 100, inclusive"))


def _limited(errors: Errors, limited: LimitedPriorityLevelConfiguration) -> None:
    path = "spec.limited"
    _shares(errors, path, limited)
    _response(errors, f"{path}.limitResponse", limited.limitResponse)
    if limited.borrowingLimitPercent is not None and limited.borrowingLimitPercent < 0:
        errors.append(invalid(f"{path}.borrowingLimitPercent", limited.borrowingLimitPercent, f"if specified, {_NOT_NEGATIVE}"))


def _response(errors: Errors, path: str, response: LimitResponse) -> None:
    match response.type:
        case "Reject":
            if response.queuing is not None:
                errors.append(forbidden(f"{path}.queuing", "must be nil if limited.limitResponse.type is not Limited"))
        case "Queue":
            if response.queuing is None:
                errors.append(required(f"{path}.queuing", "must not be empty if limited.limitResponse.type is Limited"))
            else:
                _queuing(errors, f"{path}.queuing", response.queuing)
        case _:
            errors.append(not_supported(f"{path}.type", response.type, ("Queue", "Reject")))


def _queuing(errors: Errors, path: str, queuing: QueuingConfiguration) -> None:
    queues, hand = queuing.queues, queuing.handSize
    if queuing.queueLengthLimit <= 0:
        errors.append(invalid(f"{path}.queueLengthLimit", queuing.queueLengthLimit, "must be positive"))
    if queues <= 0:
        errors.append(invalid(f"{path}.queues", queues, "must be positive"))
    elif queues > MAX_QUEUES:
        errors.append(invalid(f"{path}.queues", queues, f"must not be greater than {MAX_QUEUES}"))
    if hand <= 0:
        errors.append(invalid(f"{path}.handSize", hand, "must be positive"))
    elif hand > queues:
        errors.append(invalid(f"{path}.handSize", hand, f"should not be greater than queues ({queues})"))
    elif math.ceil(math.log2(queues) * hand) > MAX_HASH_BITS:
        said = f"required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {MAX_HASH_BITS}"
        errors.append(invalid(f"{path}.handSize", hand, said))
