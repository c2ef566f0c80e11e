"""Validation of webhook configurations and admission policies ("Dynamic Admission Control", "Validating Admission Policy").

Expressions are not compiled here: whether they are given, and where, is checked, not what they say.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from tiphys.api.admissionregistration.v1 import (
    MatchCondition,
    MatchResources,
    MutatingAdmissionPolicy,
    MutatingAdmissionPolicyBinding,
    MutatingWebhook,
    MutatingWebhookConfiguration,
    Mutation,
    NamedRuleWithOperations,
    ParamKind,
    ParamRef,
    RuleWithOperations,
    ServiceReference,
    ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding,
    ValidatingWebhook,
    ValidatingWebhookConfiguration,
    Validation,
    Variable,
)
from tiphys.api.machinery.errors import duplicate, forbidden, invalid, not_supported, required, too_many
from tiphys.api.machinery.names import dns_1035_label_messages, dns_subdomain_messages, path_segment, port_number
from tiphys.api.rules.basics import Errors, dns_subdomain, label_name, label_selector, text
from tiphys.api.rules.conditions import conditions

ALL = "*"
_FAILURE = ("Fail", "Ignore")
_MATCH = ("Equivalent", "Exact")
_SIDE_EFFECTS = ("None", "NoneOnDryRun")
_OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
_MUTATING_OPERATIONS = ("*", "CONNECT", "CREATE", "UPDATE")
_REINVOCATIONS = ("IfNeeded", "Never")
_SCOPES = ("*", "Cluster", "Namespaced")
_ACTIONS = ("Audit", "Deny", "Warn")
_REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge")
_REVIEWS = ("v1", "v1beta1")
_NOT_FOUND = ("Deny", "Allow")
MAX_CONDITIONS = 64
MAX_ANNOTATIONS = 20
MAX_VALUE_EXPRESSION = 5 * 1024
_IDENTIFIER = re.compile("[_a-zA-Z][_a-zA-Z0-9]*")
_RESERVED = frozenset((
    "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package",
    "namespace", "return", "var", "void", "while",
))  # fmt: skip
_FORM = "; desired format: https://host[/path]"

Webhook = MutatingWebhook | ValidatingWebhook
Configuration = MutatingWebhookConfiguration | ValidatingWebhookConfiguration
Policy = MutatingAdmissionPolicy | ValidatingAdmissionPolicy
Binding = MutatingAdmissionPolicyBinding | ValidatingAdmissionPolicyBinding


# ---- webhooks --------------------------------------------------------------------------------------------------------------------------


def validate_configuration(config: Configuration) -> Errors:
    errors: Errors = []
    seen: set[str] = set()
    hooks: Sequence[Webhook] = config.webhooks
    for index, hook in enumerate(hooks):
        path = f"webhooks[{index}]"
        _webhook(errors, path, hook)
        _review_versions(errors, f"{path}.admissionReviewVersions", hook.admissionReviewVersions)
        if hook.name in seen:
            errors.append(duplicate(f"{path}.name", hook.name))
        elif hook.name:
            seen.add(hook.name)
    return errors


def _choice(errors: Errors, path: str, value: str | None, supported: Sequence[str]) -> None:
    if value is not None and value not in supported:
        errors.append(not_supported(path, value, supported))


def _webhook(errors: Errors, path: str, hook: Webhook) -> None:
    _full_name(errors, f"{path}.name", hook.name)
    for index, rule in enumerate(hook.rules):
        _rule(errors, f"{path}.rules[{index}]", rule)
    _choice(errors, f"{path}.failurePolicy", hook.failurePolicy, _FAILURE)
    _choice(errors, f"{path}.matchPolicy", hook.matchPolicy, _MATCH)
    if hook.sideEffects is None:
        errors.append(required(f"{path}.sideEffects", f"must specify one of {', '.join(_SIDE_EFFECTS)}"))
    _choice(errors, f"{path}.sideEffects", hook.sideEffects, _SIDE_EFFECTS)
    if hook.timeoutSeconds is not None and not 1 <= hook.timeoutSeconds <= 30:
        errors.append(invalid(f"{path}.timeoutSeconds", hook.timeoutSeconds, "the timeout value must be between 1 and 30 seconds"))
    label_selector(errors, f"{path}.namespaceSelector", hook.namespaceSelector)
    label_selector(errors, f"{path}.objectSelector", hook.objectSelector)
    if isinstance(hook, MutatingWebhook):
        _choice(errors, f"{path}.reinvocationPolicy", hook.reinvocationPolicy, _REINVOCATIONS)
    config, where = hook.clientConfig, f"{path}.clientConfig"
    if (config.url is None) == (config.service is None):
        errors.append(required(where, "exactly one of url or service is required"))
    elif config.url is not None:
        webhook_url(errors, f"{where}.url", config.url)
    elif config.service is not None:
        webhook_service(errors, f"{where}.service", config.service)
    _conditions(errors, f"{path}.matchConditions", hook.matchConditions)


def _full_name(errors: Errors, path: str, name: str) -> None:
    if not name:
        errors.append(required(path))
    elif wrong := dns_subdomain_messages(name):
        errors.append(invalid(path, name, ",".join(wrong)))
    elif name.count(".") < 2:
        errors.append(invalid(path, name, "should be a domain with at least three segments separated by dots"))


def _review_versions(errors: Errors, path: str, versions: Sequence[str]) -> None:
    if not versions:
        errors.append(required(path, f"must specify one of {', '.join(_REVIEWS)}"))
        return
    seen: set[str] = set()
    for index, version in enumerate(versions):
        if version in seen:
            errors.append(invalid(f"{path}[{index}]", version, "duplicate version"))
            continue
        seen.add(version)
        text(errors, f"{path}[{index}]", version, dns_1035_label_messages(version))
    if not seen & set(_REVIEWS):
        errors.append(invalid(path, versions, f"must include at least one of {', '.join(_REVIEWS)}"))


def webhook_url(errors: Errors, path: str, url: str) -> None:
    """The address of a webhook outside the cluster."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError as error:
        errors.append(required(path, f"url must be a valid URL: {error}{_FORM}"))
        return
    if parts.scheme != "https":
        errors.append(invalid(path, parts.scheme, f"'https' is the only allowed URL scheme{_FORM}"))
    if not host:
        errors.append(invalid(path, host, f"host must be specified{_FORM}"))
    if "@" in parts.netloc:
        errors.append(invalid(path, parts.netloc.rpartition("@")[0], "user information is not permitted in the URL"))
    if parts.fragment:
        errors.append(invalid(path, parts.fragment, "fragments are not permitted in the URL"))
    if parts.query:
        errors.append(invalid(path, parts.query, "query parameters are not permitted in the URL"))


def webhook_service(errors: Errors, path: str, service: ServiceReference) -> None:
    """The Service behind which a webhook is, and the path there."""
    if not service.name:
        errors.append(required(f"{path}.name"))
    if not service.namespace:
        errors.append(required(f"{path}.namespace"))
    if said := port_number(service.port or 0):
        errors.append(invalid(f"{path}.port", service.port or 0, f"port is not valid: {said}"))
    url = service.path
    if not url or url == "/":
        return
    if url == "//":
        errors.append(invalid(f"{path}.path", url, "segment[0] may not be empty"))
        return
    if not url.startswith("/"):
        errors.append(invalid(f"{path}.path", url, "must start with a '/'"))
    for index, step in enumerate(url[1:].removesuffix("/").split("/")):
        if not step:
            errors.append(invalid(f"{path}.path", url, f"segment[{index}] may not be empty"))
        else:
            text(errors, f"{path}.path", url, [f"segment[{index}]: {said}" for said in dns_subdomain_messages(step)])


# ---- rules -----------------------------------------------------------------------------------------------------------------------------


def _rule(errors: Errors, path: str, rule: RuleWithOperations | NamedRuleWithOperations) -> None:
    if not rule.operations:
        errors.append(required(f"{path}.operations"))
    _alone(errors, f"{path}.operations", rule.operations, "operations")
    for index, operation in enumerate(rule.operations):
        _choice(errors, f"{path}.operations[{index}]", operation, _OPERATIONS)
    if not rule.apiGroups:
        errors.append(required(f"{path}.apiGroups"))
    _alone(errors, f"{path}.apiGroups", rule.apiGroups, "API groups")
    if not rule.apiVersions:
        errors.append(required(f"{path}.apiVersions"))
    _alone(errors, f"{path}.apiVersions", rule.apiVersions, "API versions")
    errors += [required(f"{path}.apiVersions[{index}]") for index, version in enumerate(rule.apiVersions) if not version]
    _resources(errors, f"{path}.resources", rule.resources)
    _choice(errors, f"{path}.scope", rule.scope, _SCOPES)


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


def _match(errors: Errors, path: str, match: MatchResources | None) -> None:
    if match is None:
        return
    if match.matchPolicy is None:
        errors.append(required(f"{path}.matchPolicy"))
    _choice(errors, f"{path}.matchPolicy", match.matchPolicy, _MATCH)
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
        if said := path_segment(name):
            errors.append(invalid(f"{path}.resourceNames[{index}]", name, said))
        if name in seen:
            errors.append(duplicate(f"{path}.resourceNames[{index}]", name))
        seen.add(name)
    _rule(errors, path, rule)


def _conditions(errors: Errors, path: str, values: Sequence[MatchCondition]) -> None:
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


# ---- policies --------------------------------------------------------------------------------------------------------------------------


def validate_policy(policy: Policy) -> Errors:
    errors: Errors = []
    spec = policy.spec
    if spec.failurePolicy is None:
        errors.append(required("spec.failurePolicy"))
    _choice(errors, "spec.failurePolicy", spec.failurePolicy, _FAILURE)
    if spec.paramKind is not None:
        _param_kind(errors, "spec.paramKind", spec.paramKind)
    if spec.matchConstraints is None:
        errors.append(required("spec.matchConstraints"))
    else:
        _match(errors, "spec.matchConstraints", spec.matchConstraints)
        if not spec.matchConstraints.resourceRules:
            errors.append(required("spec.matchConstraints.resourceRules"))
        if isinstance(policy, MutatingAdmissionPolicy):
            for rule in spec.matchConstraints.resourceRules:
                for operation in rule.operations:
                    _choice(errors, "spec.matchConstraints.resourceRules.operations", operation, _MUTATING_OPERATIONS)
    _conditions(errors, "spec.matchConditions", spec.matchConditions)
    for index, variable in enumerate(spec.variables):
        _variable(errors, f"spec.variables[{index}]", variable)
    if isinstance(policy, MutatingAdmissionPolicy):
        _mutations(errors, policy)
    else:
        _validations(errors, policy)
    return errors


def _param_kind(errors: Errors, path: str, param: ParamKind) -> None:
    group, slash, version = param.apiVersion.rpartition("/")
    if not param.apiVersion:
        errors.append(required(f"{path}.apiVersion"))
    elif "/" in group:
        errors.append(invalid(f"{path}.apiVersion", param.apiVersion, f"unexpected GroupVersion string: {param.apiVersion}"))
    else:
        if slash and group and (wrong := dns_subdomain_messages(group)):
            errors.append(invalid(f"{path}.apiVersion", group, ",".join(wrong)))
        if not version:
            errors.append(invalid(f"{path}.apiVersion", param.apiVersion, "version must be specified"))
        elif wrong := dns_1035_label_messages(version):
            errors.append(invalid(f"{path}.apiVersion", version, ",".join(wrong)))
    if not param.kind:
        errors.append(required(f"{path}.kind"))
    elif wrong := dns_1035_label_messages(param.kind.lower()):
        said = f"may have mixed case, but should otherwise match: {','.join(wrong)}"
        errors.append(invalid(f"{path}.kind", param.kind, said))


def _variable(errors: Errors, path: str, variable: Variable) -> None:
    if not variable.name.strip():
        errors.append(required(f"{path}.name", "name is not specified"))
    elif not _IDENTIFIER.fullmatch(variable.name) or variable.name in _RESERVED:
        errors.append(invalid(f"{path}.name", variable.name, "must be a valid CEL identifier"))
    if not variable.expression.strip():
        errors.append(required(f"{path}.expression", "expression is not specified"))


def _validations(errors: Errors, policy: ValidatingAdmissionPolicy) -> None:
    spec, name = policy.spec, policy.metadata.name
    if not spec.validations and not spec.auditAnnotations:
        said = "validations or auditAnnotations must contain at least one item"
        errors += [required("spec.validations", said), required("spec.auditAnnotations", said)]
        return
    for index, validation in enumerate(spec.validations):
        _validation(errors, f"spec.validations[{index}]", validation)
    annotations, seen = spec.auditAnnotations, set[str]()
    if len(annotations) > MAX_ANNOTATIONS:
        errors.append(invalid("spec.auditAnnotations", annotations, f"must not have more than {MAX_ANNOTATIONS} auditAnnotations"))
    for index, annotation in enumerate(annotations):
        path = f"spec.auditAnnotations[{index}]"
        if name:
            label_name(errors, f"{path}.key", f"{name}/{annotation.key}")
        else:
            errors.append(invalid(f"{path}.key", annotation.key, "requires metadata.name be non-empty"))
        expression = annotation.valueExpression.strip()
        if not expression:
            errors.append(required(f"{path}.valueExpression", "valueExpression is not specified"))
        elif len(expression.encode()) > MAX_VALUE_EXPRESSION:
            errors.append(required(f"{path}.valueExpression", f"must not exceed {MAX_VALUE_EXPRESSION} bytes in length"))
        if annotation.key in seen:
            errors.append(duplicate(f"{path}.key", annotation.key))
        seen.add(annotation.key)


def _validation(errors: Errors, path: str, validation: Validation) -> None:
    if not validation.expression.strip():
        errors.append(required(f"{path}.expression", "expression is not specified"))
    for field in ("messageExpression", "message"):
        value: str = getattr(validation, field)
        if value and not value.strip():
            errors.append(invalid(f"{path}.{field}", value, "must be non-empty if specified"))
    if re.search("[\n\r]", validation.message.strip()):
        errors.append(invalid(f"{path}.message", validation.message, "must not contain line breaks"))
    _choice(errors, f"{path}.reason", validation.reason, _REASONS)


def _mutations(errors: Errors, policy: MutatingAdmissionPolicy) -> None:
    spec = policy.spec
    if not spec.mutations:
        errors.append(required("spec.mutations", "mutations must contain at least one item"))
    for index, mutation in enumerate(spec.mutations):
        _mutation(errors, f"spec.mutations[{index}]", mutation)
    if not spec.reinvocationPolicy:
        errors.append(required("spec.reinvocationPolicy"))
    else:
        _choice(errors, "spec.reinvocationPolicy", spec.reinvocationPolicy, _REINVOCATIONS)


_MEMBERS = {"ApplyConfiguration": "applyConfiguration", "JSONPatch": "jsonPatch"}


def _mutation(errors: Errors, path: str, mutation: Mutation) -> None:
    if not mutation.patchType:
        errors.append(required(f"{path}.patchType"))
        return
    member = _MEMBERS.get(mutation.patchType)
    if member is None:
        errors.append(not_supported(f"{path}.patchType", mutation.patchType, tuple(_MEMBERS)))
        return
    patch: Any = getattr(mutation, member)
    if patch is None:
        errors.append(required(f"{path}.{member}", f"must be specified when patchType is {mutation.patchType}"))
    elif not patch.expression.strip():
        errors.append(required(f"{path}.{member}.expression"))
    for other in _MEMBERS.values():
        if other != member and getattr(mutation, other) is not None:
            said = f"must not be specified when patchType is {mutation.patchType}"
            errors.append(invalid(f"{path}.{other}", f"{{{other}}}", said))


def validate_policy_status(policy: ValidatingAdmissionPolicy) -> Errors:
    errors: Errors = []
    checking = policy.status.typeChecking
    for index, warning in enumerate(checking.expressionWarnings if checking is not None else ()):
        path = f"status.typeChecking.expressionWarnings[{index}]"
        if not warning.warning:
            errors.append(required(f"{path}.warning"))
        if not warning.fieldRef.strip():
            errors.append(required(f"{path}.fieldRef"))
    conditions(errors, "status.conditions", policy.status.conditions)
    return errors


def validate_binding(binding: Binding) -> Errors:
    errors: Errors = []
    spec = binding.spec
    if spec.policyName:
        dns_subdomain(errors, "spec.policyName", spec.policyName)
    else:
        errors.append(required("spec.policyName"))
    if spec.paramRef is not None:
        _param_ref(errors, "spec.paramRef", spec.paramRef)
    _match(errors, "spec.matchResources", spec.matchResources)
    if isinstance(binding, ValidatingAdmissionPolicyBinding):
        _actions(errors, "spec.validationActions", binding.spec.validationActions)
    return errors


def _param_ref(errors: Errors, path: str, ref: ParamRef) -> None:
    both = "name and selector are mutually exclusive"
    if ref.name:
        if said := path_segment(ref.name):
            errors.append(invalid(f"{path}.name", ref.name, said))
        if ref.selector is not None:
            errors.append(forbidden(f"{path}.name", both))
    if ref.selector is not None:
        label_selector(errors, f"{path}.selector", ref.selector)
        if ref.name:
            errors.append(forbidden(f"{path}.selector", both))
    if not ref.name and ref.selector is None:
        errors.append(required(path, "one of name or selector must be specified"))
    if not ref.parameterNotFoundAction:
        errors.append(required(f"{path}.parameterNotFoundAction"))
    else:
        _choice(errors, f"{path}.parameterNotFoundAction", ref.parameterNotFoundAction, _NOT_FOUND)


def _actions(errors: Errors, path: str, actions: Sequence[str]) -> None:
    seen: set[str] = set()
    for index, action in enumerate(actions):
        _choice(errors, f"{path}[{index}]", action, _ACTIONS)
        if action in seen:
            errors.append(duplicate(f"{path}[{index}]", action))
        seen.add(action)
    if {"Deny", "Warn"} <= seen:
        said = (
            "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers"
            " serves no purpose)"
        )
        errors.append(invalid(path, actions, said))
    if not actions:
        errors.append(required(path, "at least one validation action is required"))
