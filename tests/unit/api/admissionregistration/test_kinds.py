"""Webhook configurations and admission policies: defaults, mistakes and tables."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from tiphys.api.admissionregistration import v1 as admission
from tiphys.api.kinds import SCHEME

RULE: dict[str, Any] = {"operations": ["CREATE"], "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"]}
HOOK: dict[str, Any] = {
    "name": "a.example.com",
    "clientConfig": {"service": {"namespace": "a", "name": "b"}},
    "rules": [RULE],
    "sideEffects": "None",
    "admissionReviewVersions": ["v1"],
}
VALIDATING: dict[str, Any] = {"matchConstraints": {"resourceRules": [RULE]}, "validations": [{"expression": "true"}]}
MUTATING: dict[str, Any] = {
    "matchConstraints": {"resourceRules": [RULE]},
    "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": "[]"}}],
    "reinvocationPolicy": "Never",
}
BINDING: dict[str, Any] = {"policyName": "a", "validationActions": ["Deny"]}


def made(type_: type[Any], doc: dict[str, Any]) -> Any:
    obj = msgspec.convert({"metadata": {"name": "mine"}, **doc}, type_)
    SCHEME.of(type_).rules.default(obj)
    return obj


def errors_of(type_: type[Any], doc: dict[str, Any]) -> list[str]:
    return [str(error) for error in SCHEME.of(type_).rules.validate(made(type_, doc))]


def hook_errors(type_: type[Any] = admission.MutatingWebhookConfiguration, **fields: Any) -> list[str]:
    hook = copy.deepcopy(HOOK) | fields
    return [
        error.removeprefix("webhooks[0].") for error in errors_of(type_, {"webhooks": [{k: v for k, v in hook.items() if v is not None}]})
    ]


def rule_errors(**fields: Any) -> list[str]:
    return [error.removeprefix("rules[0].") for error in hook_errors(rules=[{**RULE, **fields}])]


def policy_errors(**fields: Any) -> list[str]:
    return [error.removeprefix("spec.") for error in errors_of(admission.ValidatingAdmissionPolicy, {"spec": {**VALIDATING, **fields}})]


def mutating_errors(**fields: Any) -> list[str]:
    return [error.removeprefix("spec.") for error in errors_of(admission.MutatingAdmissionPolicy, {"spec": {**MUTATING, **fields}})]


def binding_errors(**fields: Any) -> list[str]:
    return [error.removeprefix("spec.") for error in errors_of(admission.ValidatingAdmissionPolicyBinding, {"spec": {**BINDING, **fields}})]


def test_defaults_make_them_whole() -> None:
    hook = made(admission.MutatingWebhookConfiguration, {"webhooks": [copy.deepcopy(HOOK)]}).webhooks[0]
    assert (hook.failurePolicy, hook.matchPolicy, hook.timeoutSeconds, hook.reinvocationPolicy) == ("Fail", "Equivalent", 10, "Never")
    assert (hook.clientConfig.service.port, hook.rules[0].scope, hook.namespaceSelector) == (443, "*", hook.objectSelector)
    policy = made(admission.ValidatingAdmissionPolicy, {"spec": copy.deepcopy(VALIDATING)})
    assert policy.spec.failurePolicy == "Fail"
    assert policy.spec.matchConstraints.matchPolicy == "Equivalent"
    assert policy.spec.matchConstraints.resourceRules[0].scope == "*"
    assert (
        hook_errors()
        == hook_errors(admission.ValidatingWebhookConfiguration)
        == policy_errors()
        == mutating_errors()
        == binding_errors()
        == []
    )


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "short.name"}, 'name: Invalid value: "short.name": should be a domain with at least three segments separated by dots'),
        ({"name": ""}, "name: Required value"),
        ({"failurePolicy": "Shrug"}, 'failurePolicy: Unsupported value: "Shrug": supported values: "Fail", "Ignore"'),
        ({"matchPolicy": "Fuzzy"}, 'matchPolicy: Unsupported value: "Fuzzy": supported values: "Equivalent", "Exact"'),
        ({"reinvocationPolicy": "Always"}, 'reinvocationPolicy: Unsupported value: "Always": supported values: "IfNeeded", "Never"'),
        ({"sideEffects": "Some"}, 'sideEffects: Unsupported value: "Some": supported values: "None", "NoneOnDryRun"'),
        ({"sideEffects": None}, "sideEffects: Required value: must specify one of None, NoneOnDryRun"),
        ({"timeoutSeconds": 31}, "timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds"),
        ({"clientConfig": {}}, "clientConfig: Required value: exactly one of url or service is required"),
        (
            {"clientConfig": {"url": "http://a/b"}},
            "clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired format: https://host[/path]",
        ),
        (
            {"clientConfig": {"url": "https:///b"}},
            'clientConfig.url: Invalid value: "": host must be specified; desired format: https://host[/path]',
        ),
        ({"clientConfig": {"url": "https://u@a/"}}, 'clientConfig.url: Invalid value: "u": user information is not permitted in the URL'),
        (
            {"clientConfig": {"url": "https://a/?b=c"}},
            'clientConfig.url: Invalid value: "b=c": query parameters are not permitted in the URL',
        ),
        ({"clientConfig": {"url": "https://a/#b"}}, 'clientConfig.url: Invalid value: "b": fragments are not permitted in the URL'),
        (
            {"clientConfig": {"service": {"namespace": "a", "name": "b", "path": "a"}}},
            "clientConfig.service.path: Invalid value: \"a\": must start with a '/'",
        ),
        (
            {"clientConfig": {"service": {"namespace": "a", "name": "b", "path": "/a//b"}}},
            'clientConfig.service.path: Invalid value: "/a//b": segment[1] may not be empty',
        ),
        (
            {"clientConfig": {"service": {"namespace": "a", "name": "b", "port": 70000}}},
            "clientConfig.service.port: Invalid value: 70000: port is not valid: must be between 1 and 65535, inclusive",
        ),
        ({"clientConfig": {"service": {"namespace": "a"}}}, "clientConfig.service.name: Required value"),
        ({"admissionReviewVersions": []}, "admissionReviewVersions: Required value: must specify one of v1, v1beta1"),
        ({"admissionReviewVersions": ["v1", "v1"]}, 'admissionReviewVersions[1]: Invalid value: "v1": duplicate version'),
        ({"admissionReviewVersions": ["v3"]}, 'admissionReviewVersions: Invalid value: ["v3"]: must include at least one of v1, v1beta1'),
        ({"matchConditions": [{"name": "", "expression": " "}]}, "matchConditions[0].expression: Required value"),
        ({"matchConditions": [{"name": "a", "expression": "true"}] * 2}, 'matchConditions[1].name: Duplicate value: "a"'),
        (
            {"matchConditions": [{"name": f"a{n}", "expression": "true"} for n in range(65)]},
            "matchConditions: Too many: 65: must have at most 64 items",
        ),
    ],
)
def test_rejects_invalid_webhooks(fields: dict[str, Any], said: str) -> None:
    assert hook_errors(**fields)[0] == said


def test_names_of_webhooks_are_unique() -> None:
    assert errors_of(admission.ValidatingWebhookConfiguration, {"webhooks": [HOOK, HOOK]}) == [
        'webhooks[1].name: Duplicate value: "a.example.com"'
    ]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"operations": []}, ["operations: Required value"]),
        (
            {"operations": ["*", "CREATE"]},
            ["""operations: Invalid value: ["*","CREATE"]: if '*' is present, must not specify other operations"""],
        ),
        (
            {"operations": ["READ"]},
            ['operations[0]: Unsupported value: "READ": supported values: "*", "CONNECT", "CREATE", "DELETE", "UPDATE"'],
        ),
        ({"apiGroups": ["*", "a"]}, ["""apiGroups: Invalid value: ["*","a"]: if '*' is present, must not specify other API groups"""]),
        ({"apiVersions": ["", "v1"]}, ["apiVersions[0]: Required value"]),
        ({"resources": []}, ["resources: Required value"]),
        ({"resources": ["*/*", "a"]}, ["""resources: Invalid value: ["*/*","a"]: if '*/*' is present, must not specify other resources"""]),
        (
            {"resources": ["*", "a"]},
            ["""resources: Invalid value: ["*","a"]: if '*' is present, must not specify other resources without subresources"""],
        ),
        ({"resources": ["a/*", "a/b"]}, ["resources[1]: Invalid value: \"a/b\": if 'a/*' is present, must not specify a/b"]),
        ({"resources": ["*/b", "a/b"]}, ["resources[1]: Invalid value: \"a/b\": if '*/b' is present, must not specify a/b"]),
        ({"resources": ["*", "a/b"]}, []),
        ({"scope": "World"}, ['scope: Unsupported value: "World": supported values: "*", "Cluster", "Namespaced"']),
    ],
)
def test_rejects_invalid_rules(fields: dict[str, Any], said: list[str]) -> None:
    assert rule_errors(**fields) == said


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"failurePolicy": "Shrug"}, 'failurePolicy: Unsupported value: "Shrug": supported values: "Fail", "Ignore"'),
        ({"matchConstraints": None}, "matchConstraints: Required value"),
        ({"matchConstraints": {}}, "matchConstraints.resourceRules: Required value"),
        (
            {"matchConstraints": {"resourceRules": [{**RULE, "resourceNames": ["a", "a"]}]}},
            'matchConstraints.resourceRules[0].resourceNames[1]: Duplicate value: "a"',
        ),
        ({"validations": []}, "validations: Required value: validations or auditAnnotations must contain at least one item"),
        ({"validations": [{"expression": ""}]}, "validations[0].expression: Required value: expression is not specified"),
        (
            {"validations": [{"expression": "true", "message": "a\nb"}]},
            'validations[0].message: Invalid value: "a\\nb": must not contain line breaks',
        ),
        (
            {"validations": [{"expression": "true", "messageExpression": " "}]},
            'validations[0].messageExpression: Invalid value: " ": must be non-empty if specified',
        ),
        (
            {"validations": [{"expression": "true", "reason": "Mood"}]},
            'validations[0].reason: Unsupported value: "Mood": supported values: "Forbidden", "Invalid", "RequestEntityTooLarge"',
        ),
        ({"auditAnnotations": [{"key": "a", "valueExpression": "b"}] * 2}, 'auditAnnotations[1].key: Duplicate value: "a"'),
        (
            {"auditAnnotations": [{"key": "a", "valueExpression": "b" * 5121}]},
            "auditAnnotations[0].valueExpression: Required value: must not exceed 5120 bytes in length",
        ),
        ({"variables": [{"name": "for", "expression": "1"}]}, 'variables[0].name: Invalid value: "for": must be a valid CEL identifier'),
        ({"variables": [{"name": "a", "expression": ""}]}, "variables[0].expression: Required value: expression is not specified"),
        (
            {"paramKind": {"apiVersion": "a/b/c", "kind": "D"}},
            'paramKind.apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c',
        ),
        ({"paramKind": {"apiVersion": "v1", "kind": ""}}, "paramKind.kind: Required value"),
        (
            {"paramKind": {"apiVersion": "v1", "kind": "A_B"}},
            'paramKind.kind: Invalid value: "A_B": may have mixed case, but should otherwise match: a DNS-1035',
        ),
    ],
)
def test_mistakes_in_validating_policies(fields: dict[str, Any], said: str) -> None:
    assert policy_errors(**fields)[0].startswith(said)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"mutations": []}, "mutations: Required value: mutations must contain at least one item"),
        (
            {"mutations": [{"patchType": "Sed"}]},
            'mutations[0].patchType: Unsupported value: "Sed": supported values: "ApplyConfiguration", "JSONPatch"',
        ),
        (
            {"mutations": [{"patchType": "JSONPatch"}]},
            "mutations[0].jsonPatch: Required value: must be specified when patchType is JSONPatch",
        ),
        (
            {
                "mutations": [
                    {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "a"}, "jsonPatch": {"expression": "b"}}
                ]
            },
            'mutations[0].jsonPatch: Invalid value: "{jsonPatch}": must not be specified when patchType is ApplyConfiguration',
        ),
        ({"reinvocationPolicy": ""}, "reinvocationPolicy: Required value"),
        (
            {"matchConstraints": {"resourceRules": [{**RULE, "operations": ["DELETE"]}]}},
            'matchConstraints.resourceRules.operations: Unsupported value: "DELETE": supported values: "*", "CONNECT", "CREATE", "UPDATE"',
        ),
    ],
)
def test_mistakes_in_mutating_policies(fields: dict[str, Any], said: str) -> None:
    assert mutating_errors(**fields)[0] == said


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"policyName": ""}, "policyName: Required value"),
        ({"validationActions": []}, "validationActions: Required value: at least one validation action is required"),
        ({"validationActions": ["Deny", "Warn"]}, 'validationActions: Invalid value: ["Deny","Warn"]: must not contain both Deny and Warn'),
        ({"validationActions": ["Cry"]}, 'validationActions[0]: Unsupported value: "Cry": supported values: "Audit", "Deny", "Warn"'),
        ({"validationActions": ["Deny", "Deny"]}, 'validationActions[1]: Duplicate value: "Deny"'),
        ({"paramRef": {"parameterNotFoundAction": "Deny"}}, "paramRef: Required value: one of name or selector must be specified"),
        (
            {"paramRef": {"name": "a", "selector": {}, "parameterNotFoundAction": "Deny"}},
            "paramRef.name: Forbidden: name and selector are mutually exclusive",
        ),
        ({"paramRef": {"name": "a"}}, "paramRef.parameterNotFoundAction: Required value"),
        (
            {"paramRef": {"name": "a", "parameterNotFoundAction": "Ask"}},
            'paramRef.parameterNotFoundAction: Unsupported value: "Ask": supported values: "Deny", "Allow"',
        ),
    ],
)
def test_rejects_invalid_bindings(fields: dict[str, Any], said: str) -> None:
    assert binding_errors(**fields)[0].startswith(said)


def test_status_of_policies() -> None:
    rules = SCHEME.of(admission.ValidatingAdmissionPolicy).rules
    warning = admission.ExpressionWarning(fieldRef="", warning="")
    policy = admission.ValidatingAdmissionPolicy(
        status=admission.ValidatingAdmissionPolicyStatus(typeChecking=admission.TypeChecking([warning]))
    )
    assert [str(error) for error in rules.validate_status_update(policy, policy)] == [
        "status.typeChecking.expressionWarnings[0].warning: Required value",
        "status.typeChecking.expressionWarnings[0].fieldRef: Required value",
    ]


def cells(obj: Any) -> list[Any]:
    return [column.cell(obj, datetime(2026, 1, 1, tzinfo=UTC)) for column in SCHEME.of(type(obj)).columns]


def test_tables() -> None:
    assert cells(made(admission.MutatingWebhookConfiguration, {"webhooks": [HOOK]})) == ["mine", 1, "<unknown>"]
    param = {"apiVersion": "v1", "kind": "ConfigMap"}
    assert cells(made(admission.ValidatingAdmissionPolicy, {"spec": {**VALIDATING, "paramKind": param}}))[1:3] == [1, "v1/ConfigMap"]
    assert cells(made(admission.MutatingAdmissionPolicy, {"spec": MUTATING}))[1:3] == [1, "<unset>"]
    for ref, shown in (
        ({"name": "a"}, "*/a"),
        ({"name": "a", "namespace": "b"}, "b/a"),
        ({"selector": {"matchLabels": {"a": "b"}}}, "a=b"),
        ({}, "<unset>"),
    ):
        assert cells(made(admission.ValidatingAdmissionPolicyBinding, {"spec": {**BINDING, "paramRef": ref}}))[1:3] == ["a", shown]
