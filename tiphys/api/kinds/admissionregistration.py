"""Admission by webhooks and policies."""

from __future__ import annotations

from typing import Any

from tiphys.api.admissionregistration import v1 as admission
from tiphys.api.columns import admissionregistration as columns
from tiphys.api.kinds.rules_admissionregistration import BindingRules, ConfigurationRules, PolicyRules, ValidatingPolicyRules
from tiphys.api.machinery.scheme import Kind
from tiphys.api.machinery.subresources import STATUS

GROUP = "admissionregistration.k8s.io"
CATEGORIES = ("api-extensions",)

MUTATING_CONFIGURATIONS: Kind[admission.MutatingWebhookConfiguration] = Kind(
    type=admission.MutatingWebhookConfiguration,
    plural="mutatingwebhookconfigurations",
    rules=ConfigurationRules(),
    columns=columns.CONFIGURATIONS,
    group=GROUP,
    namespaced=False,
    categories=CATEGORIES,
    unattended=True,
)

VALIDATING_CONFIGURATIONS: Kind[admission.ValidatingWebhookConfiguration] = Kind(
    type=admission.ValidatingWebhookConfiguration,
    plural="validatingwebhookconfigurations",
    rules=ConfigurationRules(),
    columns=columns.CONFIGURATIONS,
    group=GROUP,
    namespaced=False,
    categories=CATEGORIES,
    unattended=True,
)

VALIDATING_POLICIES: Kind[admission.ValidatingAdmissionPolicy] = Kind(
    type=admission.ValidatingAdmissionPolicy,
    plural="validatingadmissionpolicies",
    rules=ValidatingPolicyRules(),
    columns=columns.VALIDATING_POLICIES,
    group=GROUP,
    namespaced=False,
    categories=CATEGORIES,
    subresources=(STATUS,),
    unattended=True,
)

VALIDATING_BINDINGS: Kind[admission.ValidatingAdmissionPolicyBinding] = Kind(
    type=admission.ValidatingAdmissionPolicyBinding,
    plural="validatingadmissionpolicybindings",
    rules=BindingRules(),
    columns=columns.BINDINGS,
    group=GROUP,
    namespaced=False,
    categories=CATEGORIES,
    unattended=True,
)

MUTATING_POLICIES: Kind[admission.MutatingAdmissionPolicy] = Kind(
    type=admission.MutatingAdmissionPolicy,
    plural="mutatingadmissionpolicies",
    rules=PolicyRules(),
    columns=columns.MUTATING_POLICIES,
    group=GROUP,
    namespaced=False,
    categories=CATEGORIES,
    unattended=True,
)

MUTATING_BINDINGS: Kind[admission.MutatingAdmissionPolicyBinding] = Kind(
    type=admission.MutatingAdmissionPolicyBinding,
    plural="mutatingadmissionpolicybindings",
    rules=BindingRules(),
    columns=columns.BINDINGS,
    group=GROUP,
    namespaced=False,
    categories=CATEGORIES,
    unattended=True,
)

KINDS: tuple[Kind[Any], ...] = (
    MUTATING_BINDINGS,
    MUTATING_CONFIGURATIONS,
    MUTATING_POLICIES,
    VALIDATING_BINDINGS,
    VALIDATING_CONFIGURATIONS,
    VALIDATING_POLICIES,
)
