"""Tables of webhook configurations and admission policies."""

from __future__ import annotations

from tiphys.api.admissionregistration.v1 import (
    MutatingAdmissionPolicy,
    MutatingAdmissionPolicyBinding,
    ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding,
)
from tiphys.api.columns.base import AGE, NAME, cell, format_selector
from tiphys.api.machinery.scheme import Column

UNSET = "<unset>"


def _param_kind(policy: MutatingAdmissionPolicy | ValidatingAdmissionPolicy) -> str:
    param = policy.spec.paramKind
    return UNSET if param is None else f"{param.apiVersion}/{param.kind}"


def _param_ref(binding: MutatingAdmissionPolicyBinding | ValidatingAdmissionPolicyBinding) -> str:
    ref = binding.spec.paramRef
    if ref is None or (not ref.name and ref.selector is None):
        return UNSET
    return f"{ref.namespace or '*'}/{ref.name}" if ref.name else format_selector(ref.selector)


_PARAM_KIND = Column("ParamKind", cell(_param_kind), description="The kind of the policy's parameters.")

CONFIGURATIONS = (
    NAME,
    Column("Webhooks", cell(lambda obj: len(obj.webhooks)), type="integer", description="How many webhooks there are."),
    AGE,
)

VALIDATING_POLICIES = (
    NAME,
    Column("Validations", cell(lambda obj: len(obj.spec.validations)), type="integer", description="How many validations there are."),
    _PARAM_KIND,
    AGE,
)

MUTATING_POLICIES = (
    NAME,
    Column("Mutations", cell(lambda obj: len(obj.spec.mutations)), type="integer", description="How many mutations there are."),
    _PARAM_KIND,
    AGE,
)

BINDINGS = (
    NAME,
    Column("PolicyName", cell(lambda obj: obj.spec.policyName), description="The policy that is bound."),
    Column("ParamRef", cell(_param_ref), description="Its parameters."),
    AGE,
)
