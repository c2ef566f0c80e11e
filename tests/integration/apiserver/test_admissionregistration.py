"""Webhook configurations and admission policies over the API. Nothing calls them yet, and whoever creates one is told so."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.integration.apiserver.api import Api, Doc
from tests.integration.apiserver.operations import is_discovered, supports_all_verbs

GROUP = "admissionregistration.k8s.io"
PATH = f"/apis/{GROUP}/v1"
RULE = {"operations": ["CREATE"], "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"]}
MATCH = {"resourceRules": [RULE]}
HOOK: Doc = {
    "name": "deny.example.com",
    "clientConfig": {"service": {"namespace": "a", "name": "b", "path": "/c"}},
    "rules": [RULE],
    "sideEffects": "None",
    "admissionReviewVersions": ["v1"],
}


async def test_validating_policy_operations(api: Api) -> None:
    """[sig-api-machinery] ValidatingAdmissionPolicy [Privileged:ClusterAdmin] should support ValidatingAdmissionPolicy API operations"""
    await is_discovered(api, GROUP, "v1", "validatingadmissionpolicies", "validatingadmissionpolicies/status")
    spec = {"validations": [{"expression": "object.spec.replicas <= 100"}], "matchConstraints": MATCH}
    await supports_all_verbs(api, f"{PATH}/validatingadmissionpolicies", {"spec": spec}, {"spec": {"failurePolicy": "Ignore"}}, status=True)


async def test_validating_binding_operations(api: Api) -> None:
    """[sig-api-machinery] ValidatingAdmissionPolicy [Privileged:ClusterAdmin] should support ValidatingAdmissionPolicyBinding API
    operations"""
    await is_discovered(api, GROUP, "v1", "validatingadmissionpolicybindings")
    spec = {"policyName": "replicalimit-policy.example.com", "validationActions": ["Deny"]}
    change = {"spec": {"validationActions": ["Warn"]}}
    await supports_all_verbs(api, f"{PATH}/validatingadmissionpolicybindings", {"spec": spec}, change, status=False)


async def test_mutating_policy_operations(api: Api) -> None:
    """[sig-api-machinery] MutatingAdmissionPolicy [Privileged:ClusterAdmin] should support MutatingAdmissionPolicy API operations"""
    await is_discovered(api, GROUP, "v1", "mutatingadmissionpolicies")
    patch = {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "Object{spec: Object.spec{replicas: 1}}"}}
    spec = {"mutations": [patch], "matchConstraints": MATCH, "reinvocationPolicy": "Never"}
    await supports_all_verbs(api, f"{PATH}/mutatingadmissionpolicies", {"spec": spec}, {"spec": {"failurePolicy": "Ignore"}}, status=False)


async def test_mutating_binding_operations(api: Api) -> None:
    """[sig-api-machinery] MutatingAdmissionPolicy [Privileged:ClusterAdmin] should support MutatingAdmissionPolicyBinding API operations"""
    await is_discovered(api, GROUP, "v1", "mutatingadmissionpolicybindings")
    change = {"spec": {"policyName": "another.example.com"}}
    await supports_all_verbs(
        api, f"{PATH}/mutatingadmissionpolicybindings", {"spec": {"policyName": "a.example.com"}}, change, status=False
    )


@pytest.mark.parametrize("plural", ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"])
async def test_webhook_configuration_operations(api: Api, plural: str) -> None:
    await is_discovered(api, GROUP, "v1", plural)
    change = {"webhooks": [{**HOOK, "failurePolicy": "Ignore"}]}
    await supports_all_verbs(api, f"{PATH}/{plural}", {"webhooks": [HOOK]}, change, status=False)


async def test_discovery(api: Api) -> None:
    """[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should include webhook resources in discovery documents"""
    await is_discovered(api, GROUP, "v1", "mutatingwebhookconfigurations", "validatingwebhookconfigurations")
    resources = {found["name"]: found for found in (await api.get(PATH)).doc["resources"]}
    assert resources["mutatingwebhookconfigurations"]["kind"] == "MutatingWebhookConfiguration"
    assert not resources["validatingwebhookconfigurations"]["namespaced"]


async def test_they_are_accepted_and_said_not_to_be_called(api: Api) -> None:
    made = await api.post(f"{PATH}/validatingwebhookconfigurations", {"metadata": {"name": "a"}, "webhooks": [copy.deepcopy(HOOK)]})
    assert made.status == 201
    assert len(made.warnings) == 1
    hook: dict[str, Any] = made.doc["webhooks"][0]
    assert (hook["failurePolicy"], hook["timeoutSeconds"], hook["rules"][0]["scope"]) == ("Fail", 10, "*")
    assert hook["namespaceSelector"] == {}
    refused = await api.post(f"{PATH}/validatingwebhookconfigurations", {"metadata": {"name": "b"}, "webhooks": [{"name": "b"}]})
    assert (refused.status, refused.reason) == (422, "Invalid")
    assert len(refused.doc["details"]["causes"]) == 4
