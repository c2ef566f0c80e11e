"""Matching of webhooks and policies: rules, resources, selectors and conditions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tiphys.api.admissionregistration.v1 import MatchCondition, MatchResources, NamedRuleWithOperations, RuleWithOperations
from tiphys.api.machinery.errors import duplicate, invalid, not_supported, required, too_many
from tiphys.api.machinery.names import path_segment
from tiphys.api.meta.v1 import LabelSelector
from tiphys.api.rules.basics import Errors, label_name, label_selector


def default_scopes(rules: Iterable[RuleWithOperations | NamedRuleWithOperations]) -> None:
    """Let rules apply to all scopes."""
    for rule in rules:
        if rule.scope is None:
            rule.scope = "*"


def default_match(match: MatchResources | None) -> None:
    """Match equivalent requests, in all namespaces and for all objects ("Matching requests: matchPolicy")."""
    if match is None:
        return
    if match.matchPolicy is None:
        match.matchPolicy = "Equivalent"
    if match.namespaceSelector is None:
        match.namespaceSelector = LabelSelector()
    if match.objectSelector is None:
        match.objectSelector = LabelSelector()
    default_scopes(match.resourceRules)
    default_scopes(match.excludeResourceRules)


ALL = "*"
FAILURE = ("Fail", "Ignore")
MATCH = ("Equivalent", "Exact")
_OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
MUTATING_OPERATIONS = ("*", "CONNECT", "CREATE", "UPDATE")
_SCOPES = ("*", "Cluster", "Namespaced")
MAX_CONDITIONS = 64
IDENTIFIER = re.compile("[_a-zA-Z][_a-zA-Z0-9]*")

RESERVED = frozenset((
    "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package",
    "namespace", "return", "var", "void", "while",
))  # fmt: skip

FORM = "; desired format: https://host[/path]"


def choice(errors: Errors, path: str, value: str | None, supported: Sequence[str]) -> None:
    """One of the supported values, or none."""
    if value is not None and value not in supported:
        errors.append(not_supported(path, value, supported))


def validate_rule(errors: Errors, path: str, rule: RuleWithOperations | NamedRuleWithOperations) -> None:
    """Operations, groups, versions, resources and scope; `*` stands alone ("Dynamic Admission Control: Matching requests")."""
    if not rule.operations:
        errors.append(required(f"{path}.operations"))
    _alone(errors, f"{path}.operations", rule.operations, "operations")
    for index, operation in enumerate(rule.operations):
        choice(errors, f"{path}.operations[{index}]", operation, _OPERATIONS)
    if not rule.apiGroups:
        errors.append(required(f"{path}.apiGroups"))
    _alone(errors, f"{path}.apiGroups", rule.apiGroups, "API groups")
    if not rule.apiVersions:
        errors.append(required(f"{path}.apiVersions"))
    _alone(errors, f"{path}.apiVersions", rule.apiVersions, "API versions")
    errors += [required(f"{path}.apiVersions[{index}]") for index, version in enumerate(rule.apiVersions) if not version]
    _resources(errors, f"{path}.resources", rule.resources)
    choice(errors, f"{path}.scope", rule.scope, _SCOPES)


def _alone(errors: Errors, path: str, values: Sequence[str], what: str) -> None:
    """`*` says everything: nothing may stand beside it."""
    if len(values) > 1 and ALL in values:
        errors.append(invalid(path, values, f"if '*' is present, must not specify other {what}"))


def _resources(errors: Errors, path: str, resources: Sequence[str]) -> None:
    """`pods`, `pods/log`, `pods/*`, `*/scale`, `*`, `*/*`: none that another one includes."""
    if not resources:
        errors.append(required(path))
    whole: set[str] = set()
    everywhere: set[str] = set()
    plain = False
    for index, name in enumerate(resources):
        if not name:
            errors.append(required(f"{path}[{index}]"))
            continue
        resource, slash, subresource = name.partition("/")
        if not slash:
            plain = name != ALL
            continue
        if resource in whole:
            errors.append(invalid(f"{path}[{index}]", name, f"if '{resource}/*' is present, must not specify {name}"))
        if subresource in everywhere:
            errors.append(invalid(f"{path}[{index}]", name, f"if '*/{subresource}' is present, must not specify {name}"))
        if subresource == ALL:
            whole.add(resource)
        if resource == ALL:
            everywhere.add(subresource)
    if len(resources) > 1 and "*/*" in resources:
        errors.append(invalid(path, resources, "if '*/*' is present, must not specify other resources"))
    if ALL in resources and plain:
        errors.append(invalid(path, resources, "if '*' is present, must not specify other resources without subresources"))


def validate_match(errors: Errors, path: str, match: MatchResources | None) -> None:
    """Policy, selectors and rules of the resources that are matched."""
    if match is None:
        return
    if match.matchPolicy is None:
        errors.append(required(f"{path}.matchPolicy"))
    choice(errors, f"{path}.matchPolicy", match.matchPolicy, MATCH)
    for name in ("namespaceSelector", "objectSelector"):
        selector = getattr(match, name)
        if selector is None:
            errors.append(required(f"{path}.{name}"))
        label_selector(errors, f"{path}.{name}", selector)
    for field in ("resourceRules", "excludeResourceRules"):
        rules: list[NamedRuleWithOperations] = getattr(match, field)
        for index, rule in enumerate(rules):
            _named_rule(errors, f"{path}.{field}[{index}]", rule)


def _named_rule(errors: Errors, path: str, rule: NamedRuleWithOperations) -> None:
    seen: set[str] = set()
    for index, name in enumerate(rule.resourceNames):
        if message := path_segment(name):
            errors.append(invalid(f"{path}.resourceNames[{index}]", name, message))
        if name in seen:
            errors.append(duplicate(f"{path}.resourceNames[{index}]", name))
        seen.add(name)
    validate_rule(errors, path, rule)


def validate_match_conditions(errors: Errors, path: str, values: Sequence[MatchCondition]) -> None:
    """Expressions with unique names, not too many ("Dynamic Admission Control: matchConditions")."""
    if len(values) > MAX_CONDITIONS:
        errors.append(too_many(path, len(values), MAX_CONDITIONS))
    seen: set[str] = set()
    for index, condition in enumerate(values):
        if not condition.expression.strip():
            errors.append(required(f"{path}[{index}].expression"))
        if not condition.name:
            errors.append(required(f"{path}[{index}].name"))
            continue
        label_name(errors, f"{path}[{index}].name", condition.name)
        if condition.name in seen:
            errors.append(duplicate(f"{path}[{index}].name", condition.name))
        seen.add(condition.name)
