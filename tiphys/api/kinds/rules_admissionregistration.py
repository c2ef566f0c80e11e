"""The rules of webhook configurations and admission policies."""

from __future__ import annotations

from typing import Generic, TypeVar

from tiphys.api.admissionregistration.v1 import (
    MutatingAdmissionPolicy,
    MutatingAdmissionPolicyBinding,
    MutatingWebhookConfiguration,
    ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding,
    ValidatingWebhookConfiguration,
)
from tiphys.api.defaults import admissionregistration as defaults
from tiphys.api.machinery.errors import FieldError
from tiphys.api.machinery.scheme import METADATA_STAYS, Rules
from tiphys.api.validation import admissionregistration

ConfigurationT = TypeVar("ConfigurationT", MutatingWebhookConfiguration, ValidatingWebhookConfiguration)
PolicyT = TypeVar("PolicyT", MutatingAdmissionPolicy, ValidatingAdmissionPolicy)
BindingT = TypeVar("BindingT", MutatingAdmissionPolicyBinding, ValidatingAdmissionPolicyBinding)


class ConfigurationRules(Rules[ConfigurationT], Generic[ConfigurationT]):
    names_finalizers = False
    needs_version = True

    def default(self, obj: ConfigurationT) -> None:
        defaults.default_configuration(obj)

    def prepare_create(self, obj: ConfigurationT) -> None:
        obj.metadata.generation = 1

    def validate(self, obj: ConfigurationT) -> list[FieldError]:
        return admissionregistration.validate_configuration(obj)

    def spec_changed(self, new: ConfigurationT, old: ConfigurationT) -> bool:
        return new.webhooks != old.webhooks


class PolicyRules(Rules[PolicyT], Generic[PolicyT]):
    names_finalizers = False
    needs_version = True

    def default(self, obj: PolicyT) -> None:
        defaults.default_policy(obj)

    def validate(self, obj: PolicyT) -> list[FieldError]:
        return admissionregistration.validate_policy(obj)


class ValidatingPolicyRules(PolicyRules[ValidatingAdmissionPolicy]):
    resets = METADATA_STAYS

    def validate_status_update(self, new: ValidatingAdmissionPolicy, old: ValidatingAdmissionPolicy) -> list[FieldError]:
        return admissionregistration.validate_policy_status(new)


class BindingRules(Rules[BindingT], Generic[BindingT]):
    names_finalizers = False
    needs_version = True

    def default(self, obj: BindingT) -> None:
        defaults.default_policy_binding(obj)

    def validate(self, obj: BindingT) -> list[FieldError]:
        return admissionregistration.validate_binding(obj)
