"""FlowSchema: defaults, validation, columns and registration."""

from __future__ import annotations

from collections.abc import Sequence

from tiphys.api.flowcontrol import GROUP
from tiphys.api.flowcontrol import v1 as flow
from tiphys.api.flowcontrol.conditions import validate_conditions
from tiphys.api.flowcontrol.v1 import (
    FlowSchema,
    FlowSchemaSpec,
    NonResourcePolicyRule,
    PolicyRulesWithSubjects,
    ResourcePolicyRule,
    Subject,
)
from tiphys.api.helpers.flow_levels import EXEMPT, MANDATORY_SCHEMAS
from tiphys.api.machinery.columns import AGE, NAME, NONE, cell
from tiphys.api.machinery.conditions import status_of
from tiphys.api.machinery.errors import FieldError, forbidden, invalid, not_supported, required
from tiphys.api.machinery.names import dns_label_messages
from tiphys.api.machinery.scheme import METADATA_STAYS, Column, Kind, Rules
from tiphys.api.machinery.subresources import STATUS
from tiphys.api.rules.basics import Errors, dns_label, dns_subdomain, text

DEFAULT_PRECEDENCE = 1000


def default_flow_schema(schema: FlowSchema) -> None:
    """Default the precedence."""
    schema.spec.matchingPrecedence = schema.spec.matchingPrecedence or DEFAULT_PRECEDENCE


ALL = "*"
LOWEST_PRECEDENCE = 10_000
_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch")
_SUBJECTS = {"Group": "group", "ServiceAccount": "serviceAccount", "User": "user"}


def validate_flow_schema(schema: FlowSchema) -> Errors:
    """Return the mistakes in a flow schema ("API Priority and Fairness")."""
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
        message = "resource rules that are not cluster scoped must supply at least one namespace"
        errors.append(required(f"{path}.namespaces", message))
    elif ALL in namespaces:
        _alone(errors, f"{path}.namespaces", namespaces, "namespaces")
    else:
        for index, namespace in enumerate(namespaces):
            messages = [f"each member of this list must be '*' or a DNS-1123 label; {message}" for message in dns_label_messages(namespace)]
            text(errors, f"{path}.namespaces[{index}]", namespace, messages)


def _path_rule(errors: Errors, path: str, rule: NonResourcePolicyRule) -> None:
    _verbs(errors, path, rule.verbs)
    if not rule.nonResourceURLs:
        errors.append(required(f"{path}.nonResourceURLs", "nonResourceURLs must contain at least one value"))
    elif ALL in rule.nonResourceURLs:
        _alone(errors, f"{path}.nonResourceURLs", rule.nonResourceURLs, "non-resource URLs")
    else:
        for index, url in enumerate(rule.nonResourceURLs):
            if message := _url(url):
                errors.append(invalid(f"{path}.nonResourceURLs[{index}]", url, message))


def _url(url: str) -> str:
    """Return the mistake in a path such as `/healthz` or `/openapi/*`, or ""."""
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


class FlowSchemaRules(Rules[FlowSchema]):
    resets = METADATA_STAYS

    default = staticmethod(default_flow_schema)
    validate = staticmethod(validate_flow_schema)

    def prepare_status_update(self, new: FlowSchema, old: FlowSchema) -> None:
        new.metadata.labels, new.metadata.annotations = old.metadata.labels, old.metadata.annotations

    def validate_status_update(self, new: FlowSchema, old: FlowSchema) -> list[FieldError]:
        return validate_conditions(new.status.conditions)


def _distinguisher(schema: FlowSchema) -> str:
    return schema.spec.distinguisherMethod.type if schema.spec.distinguisherMethod is not None else NONE


def _dangling(schema: FlowSchema) -> str:
    return status_of(schema.status.conditions, "Dangling") or "?"


COLUMNS = (
    NAME,
    Column("PriorityLevel", cell(lambda obj: obj.spec.priorityLevelConfiguration.name), description="The level of its requests."),
    Column("MatchingPrecedence", cell(lambda obj: obj.spec.matchingPrecedence), description="Lower ones are asked first."),
    Column("DistinguisherMethod", cell(_distinguisher), description="What tells one flow from another."),
    AGE,
    Column("MissingPL", cell(_dangling), description="Whether the priority level is missing or broken."),
)

FLOW_SCHEMAS: Kind[flow.FlowSchema] = Kind(
    type=flow.FlowSchema,
    plural="flowschemas",
    rules=FlowSchemaRules(),
    columns=COLUMNS,
    group=GROUP,
    namespaced=False,
    subresources=(STATUS,),
)
