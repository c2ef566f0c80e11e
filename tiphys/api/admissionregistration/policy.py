"""Admission policies, mutating and validating: defaults, validation, columns and registration."""

from __future__ import annotations

import re
from typing import Any, Generic, TypeVar

from tiphys.api.admissionregistration import CATEGORIES, GROUP
from tiphys.api.admissionregistration import v1 as admission
from tiphys.api.admissionregistration.matching import (
    FAILURE,
    IDENTIFIER,
    MUTATING_OPERATIONS,
    RESERVED,
    choice,
    default_match,
    validate_match,
    validate_match_conditions,
)
from tiphys.api.admissionregistration.v1 import (
    MutatingAdmissionPolicy,
    Mutation,
    ParamKind,
    ValidatingAdmissionPolicy,
    Validation,
    Variable,
)
from tiphys.api.machinery.columns import AGE, NAME, cell
from tiphys.api.machinery.errors import FieldError, duplicate, invalid, not_supported, required
from tiphys.api.machinery.names import dns_1035_label_messages, dns_subdomain_messages
from tiphys.api.machinery.scheme import METADATA_STAYS, Column, Kind, Rules
from tiphys.api.machinery.subresources import STATUS
from tiphys.api.rules.basics import Errors, label_name
from tiphys.api.rules.conditions import conditions


def default_policy(policy: MutatingAdmissionPolicy | ValidatingAdmissionPolicy) -> None:
    """Fail closed, and match equivalent requests ("Validating Admission Policy: Failure Policy")."""
    if policy.spec.failurePolicy is None:
        policy.spec.failurePolicy = "Fail"
    default_match(policy.spec.matchConstraints)


REINVOCATIONS = ("IfNeeded", "Never")
_REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge")
_MEMBERS = {"ApplyConfiguration": "applyConfiguration", "JSONPatch": "jsonPatch"}
MAX_ANNOTATIONS = 20
MAX_VALUE_EXPRESSION = 5 * 1024
Policy = MutatingAdmissionPolicy | ValidatingAdmissionPolicy


def validate_policy(policy: Policy) -> Errors:
    """Return the mistakes in a policy; its expressions are not compiled ("Validating Admission Policy")."""
    errors: Errors = []
    spec = policy.spec
    if spec.failurePolicy is None:
        errors.append(required("spec.failurePolicy"))
    choice(errors, "spec.failurePolicy", spec.failurePolicy, FAILURE)
    if spec.paramKind is not None:
        _param_kind(errors, "spec.paramKind", spec.paramKind)
    if spec.matchConstraints is None:
        errors.append(required("spec.matchConstraints"))
    else:
        validate_match(errors, "spec.matchConstraints", spec.matchConstraints)
        if not spec.matchConstraints.resourceRules:
            errors.append(required("spec.matchConstraints.resourceRules"))
        if isinstance(policy, MutatingAdmissionPolicy):
            for rule in spec.matchConstraints.resourceRules:
                for operation in rule.operations:
                    choice(errors, "spec.matchConstraints.resourceRules.operations", operation, MUTATING_OPERATIONS)
    validate_match_conditions(errors, "spec.matchConditions", spec.matchConditions)
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
        message = f"may have mixed case, but should otherwise match: {','.join(wrong)}"
        errors.append(invalid(f"{path}.kind", param.kind, message))


def _variable(errors: Errors, path: str, variable: Variable) -> None:
    if not variable.name.strip():
        errors.append(required(f"{path}.name", "name is not specified"))
    elif not IDENTIFIER.fullmatch(variable.name) or variable.name in RESERVED:
        errors.append(invalid(f"{path}.name", variable.name, "must be a valid CEL identifier"))
    if not variable.expression.strip():
        errors.append(required(f"{path}.expression", "expression is not specified"))


def _validations(errors: Errors, policy: ValidatingAdmissionPolicy) -> None:
    spec, name = policy.spec, policy.metadata.name
    if not spec.validations and not spec.auditAnnotations:
        message = "validations or auditAnnotations must contain at least one item"
        errors += [required("spec.validations", message), required("spec.auditAnnotations", message)]
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
    choice(errors, f"{path}.reason", validation.reason, _REASONS)


def _mutations(errors: Errors, policy: MutatingAdmissionPolicy) -> None:
    spec = policy.spec
    if not spec.mutations:
        errors.append(required("spec.mutations", "mutations must contain at least one item"))
    for index, mutation in enumerate(spec.mutations):
        _mutation(errors, f"spec.mutations[{index}]", mutation)
    if not spec.reinvocationPolicy:
        errors.append(required("spec.reinvocationPolicy"))
    else:
        choice(errors, "spec.reinvocationPolicy", spec.reinvocationPolicy, REINVOCATIONS)


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
            message = f"must not be specified when patchType is {mutation.patchType}"
            errors.append(invalid(f"{path}.{other}", f"{{{other}}}", message))


def validate_policy_status(policy: ValidatingAdmissionPolicy) -> Errors:
    """Return the mistakes in the status of a policy."""
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


PolicyT = TypeVar("PolicyT", MutatingAdmissionPolicy, ValidatingAdmissionPolicy)


class PolicyRules(Rules[PolicyT], Generic[PolicyT]):
    names_finalizers = False
    needs_version = True

    default = staticmethod(default_policy)
    validate = staticmethod(validate_policy)


class ValidatingPolicyRules(PolicyRules[ValidatingAdmissionPolicy]):
    resets = METADATA_STAYS

    def validate_status_update(self, new: ValidatingAdmissionPolicy, old: ValidatingAdmissionPolicy) -> list[FieldError]:
        return validate_policy_status(new)


UNSET = "<unset>"


def _param_kind_cell(policy: MutatingAdmissionPolicy | ValidatingAdmissionPolicy) -> str:
    param = policy.spec.paramKind
    return UNSET if param is None else f"{param.apiVersion}/{param.kind}"


_PARAM_KIND = Column("ParamKind", cell(_param_kind_cell), description="The kind of the policy's parameters.")

VALIDATING_COLUMNS = (
    NAME,
    Column("Validations", cell(lambda obj: len(obj.spec.validations)), type="integer", description="How many validations there are."),
    _PARAM_KIND,
    AGE,
)

MUTATING_COLUMNS = (
    NAME,
    Column("Mutations", cell(lambda obj: len(obj.spec.mutations)), type="integer", description="How many mutations there are."),
    _PARAM_KIND,
    AGE,
)

VALIDATING_POLICIES: Kind[admission.ValidatingAdmissionPolicy] = Kind(
    type=admission.ValidatingAdmissionPolicy,
    plural="validatingadmissionpolicies",
    rules=ValidatingPolicyRules(),
    columns=VALIDATING_COLUMNS,
    group=GROUP,
    namespaced=False,
    categories=CATEGORIES,
    subresources=(STATUS,),
    unattended=True,
)

MUTATING_POLICIES: Kind[admission.MutatingAdmissionPolicy] = Kind(
    type=admission.MutatingAdmissionPolicy,
    plural="mutatingadmissionpolicies",
    rules=PolicyRules(),
    columns=MUTATING_COLUMNS,
    group=GROUP,
    namespaced=False,
    categories=CATEGORIES,
    unattended=True,
)
