"""Bindings of admission policies: defaults, validation, columns and registration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from tiphys.api.admissionregistration import CATEGORIES, GROUP
from tiphys.api.admissionregistration import v1 as admission
from tiphys.api.admissionregistration.matching import choice, default_match, validate_match
from tiphys.api.admissionregistration.policy import UNSET
from tiphys.api.admissionregistration.v1 import MutatingAdmissionPolicyBinding, ParamRef, ValidatingAdmissionPolicyBinding
from tiphys.api.machinery.columns import AGE, NAME, cell, format_selector
from tiphys.api.machinery.errors import duplicate, forbidden, invalid, required
from tiphys.api.machinery.names import path_segment
from tiphys.api.machinery.scheme import Column, Kind, Rules
from tiphys.api.rules.basics import Errors, dns_subdomain, label_selector


def default_policy_binding(binding: MutatingAdmissionPolicyBinding | ValidatingAdmissionPolicyBinding) -> None:
    """Default the match of a binding."""
    default_match(binding.spec.matchResources)


_ACTIONS = ("Audit", "Deny", "Warn")
_NOT_FOUND = ("Deny", "Allow")
Binding = MutatingAdmissionPolicyBinding | ValidatingAdmissionPolicyBinding


def validate_binding(binding: Binding) -> Errors:
    """Return the mistakes in a binding ("Validating Admission Policy")."""
    errors: Errors = []
    spec = binding.spec
    if spec.policyName:
        dns_subdomain(errors, "spec.policyName", spec.policyName)
    else:
        errors.append(required("spec.policyName"))
    if spec.paramRef is not None:
        _param_ref(errors, "spec.paramRef", spec.paramRef)
    validate_match(errors, "spec.matchResources", spec.matchResources)
    if isinstance(binding, ValidatingAdmissionPolicyBinding):
        _actions(errors, "spec.validationActions", binding.spec.validationActions)
    return errors


def _param_ref(errors: Errors, path: str, ref: ParamRef) -> None:
    both = "name and selector are mutually exclusive"
    if ref.name:
        if message := path_segment(ref.name):
            errors.append(invalid(f"{path}.name", ref.name, message))
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
        choice(errors, f"{path}.parameterNotFoundAction", ref.parameterNotFoundAction, _NOT_FOUND)


def _actions(errors: Errors, path: str, actions: Sequence[str]) -> None:
    seen: set[str] = set()
    for index, action in enumerate(actions):
        choice(errors, f"{path}[{index}]", action, _ACTIONS)
        if action in seen:
            errors.append(duplicate(f"{path}[{index}]", action))
        seen.add(action)
    if {"Deny", "Warn"} <= seen:
        message = (
            "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers"
            " serves no purpose)"
        )
        errors.append(invalid(path, actions, message))
    if not actions:
        errors.append(required(path, "at least one validation action is required"))


BindingT = TypeVar("BindingT", MutatingAdmissionPolicyBinding, ValidatingAdmissionPolicyBinding)


class BindingRules(Rules[BindingT], Generic[BindingT]):
    names_finalizers = False
    needs_version = True

    default = staticmethod(default_policy_binding)
    validate = staticmethod(validate_binding)


def _param_ref_cell(binding: MutatingAdmissionPolicyBinding | ValidatingAdmissionPolicyBinding) -> str:
    ref = binding.spec.paramRef
    if ref is None or (not ref.name and ref.selector is None):
        return UNSET
    return f"{ref.namespace or '*'}/{ref.name}" if ref.name else format_selector(ref.selector)


COLUMNS = (
    NAME,
    Column("PolicyName", cell(lambda obj: obj.spec.policyName), description="The policy that is bound."),
    Column("ParamRef", cell(_param_ref_cell), description="Its parameters."),
    AGE,
)

VALIDATING_BINDINGS: Kind[admission.ValidatingAdmissionPolicyBinding] = Kind(
    type=admission.ValidatingAdmissionPolicyBinding,
    plural="validatingadmissionpolicybindings",
    rules=BindingRules(),
    columns=COLUMNS,
    group=GROUP,
    namespaced=False,
    categories=CATEGORIES,
    unattended=True,
)

MUTATING_BINDINGS: Kind[admission.MutatingAdmissionPolicyBinding] = Kind(
    type=admission.MutatingAdmissionPolicyBinding,
    plural="mutatingadmissionpolicybindings",
    rules=BindingRules(),
    columns=COLUMNS,
    group=GROUP,
    namespaced=False,
    categories=CATEGORIES,
    unattended=True,
)
