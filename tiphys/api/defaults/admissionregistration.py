"""Defaults of webhook configurations and admission policies."""

from __future__ import annotations

from collections.abc import Iterable

from tiphys.api.admissionregistration.v1 import (
    MatchResources,
    MutatingAdmissionPolicy,
    MutatingAdmissionPolicyBinding,
    MutatingWebhook,
    MutatingWebhookConfiguration,
    NamedRuleWithOperations,
    RuleWithOperations,
    ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding,
    ValidatingWebhook,
    ValidatingWebhookConfiguration,
)
from tiphys.api.meta.v1 import LabelSelector

DEFAULT_TIMEOUT = 10
"""Seconds that a webhook has to answer."""
HTTPS_PORT = 443


def default_configuration(config: MutatingWebhookConfiguration | ValidatingWebhookConfiguration) -> None:
    for hook in config.webhooks:
        _default_webhook(hook)


def _default_webhook(hook: MutatingWebhook | ValidatingWebhook) -> None:
    if hook.failurePolicy is None:
        hook.failurePolicy = "Fail"
    if hook.matchPolicy is None:
        hook.matchPolicy = "Equivalent"
    if hook.timeoutSeconds is None:
        hook.timeoutSeconds = DEFAULT_TIMEOUT
    if hook.namespaceSelector is None:
        hook.namespaceSelector = LabelSelector()
    if hook.objectSelector is None:
        hook.objectSelector = LabelSelector()
    if isinstance(hook, MutatingWebhook) and hook.reinvocationPolicy is None:
        hook.reinvocationPolicy = "Never"
    service = hook.clientConfig.service
    if service is not None and service.port is None:
        service.port = HTTPS_PORT
    _default_scopes(hook.rules)


def _default_scopes(rules: Iterable[RuleWithOperations | NamedRuleWithOperations]) -> None:
    for rule in rules:
        if rule.scope is None:
            rule.scope = "*"


def default_policy(policy: MutatingAdmissionPolicy | ValidatingAdmissionPolicy) -> None:
    if policy.spec.failurePolicy is None:
        policy.spec.failurePolicy = "Fail"
    _default_match(policy.spec.matchConstraints)


def default_policy_binding(binding: MutatingAdmissionPolicyBinding | ValidatingAdmissionPolicyBinding) -> None:
    _default_match(binding.spec.matchResources)


def _default_match(match: MatchResources | None) -> None:
    if match is None:
        return
    if match.matchPolicy is None:
        match.matchPolicy = "Equivalent"
    if match.namespaceSelector is None:
        match.namespaceSelector = LabelSelector()
    if match.objectSelector is None:
        match.objectSelector = LabelSelector()
    _default_scopes(match.resourceRules)
    _default_scopes(match.excludeResourceRules)
