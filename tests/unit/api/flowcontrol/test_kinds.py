"""Flow schemas and priority levels: defaults, mistakes and tables."""

# One case to a line, however long.
# ruff: noqa: E501

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from tiphys.api.flowcontrol import v1 as flow
from tiphys.api.helpers import flow_levels
from tiphys.api.kinds import SCHEME

SCHEMAS, LEVELS = SCHEME.of(flow.FlowSchema), SCHEME.of(flow.PriorityLevelConfiguration)
RULE: dict[str, Any] = {
    "subjects": [{"kind": "User", "user": {"name": "alice"}}],
    "resourceRules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "namespaces": ["*"]}],
}
QUEUE: dict[str, Any] = {"type": "Queue", "queuing": {}}


def schema_errors(name: str = "a", **spec: Any) -> list[str]:
    doc = {"metadata": {"name": name}, "spec": {"priorityLevelConfiguration": {"name": "system"}, "rules": [RULE], **spec}}
    obj = msgspec.convert(doc, flow.FlowSchema)
    SCHEMAS.rules.default(obj)
    return [str(error) for error in SCHEMAS.rules.validate(obj)]


def level_errors(name: str = "a", **spec: Any) -> list[str]:
    obj = msgspec.convert({"metadata": {"name": name}, "spec": spec}, flow.PriorityLevelConfiguration)
    LEVELS.rules.default(obj)
    return [str(error) for error in LEVELS.rules.validate(obj)]


def rule_errors(**fields: Any) -> list[str]:
    return [error.removeprefix("spec.rules[0]") for error in schema_errors(rules=[{**RULE, **fields}])]


def resource_errors(**fields: Any) -> list[str]:
    rule = {**RULE["resourceRules"][0], **fields}
    return [error.removeprefix(".resourceRules[0].") for error in rule_errors(resourceRules=[rule])]


def path_errors(**fields: Any) -> list[str]:
    rule = {"verbs": ["get"], "nonResourceURLs": ["/healthz"], **fields}
    return [error.removeprefix(".nonResourceRules[0].") for error in rule_errors(resourceRules=[], nonResourceRules=[rule])]


def subject_errors(**subject: Any) -> list[str]:
    return [error.removeprefix(".subjects[0].") for error in rule_errors(subjects=[subject])]


def test_default_objects_are_valid() -> None:
    for schema in (*flow_levels.MANDATORY_SCHEMAS.values(), *flow_levels.SUGGESTED_SCHEMAS.values()):
        assert SCHEMAS.rules.validate(schema) == []
        before = msgspec.json.encode(schema)
        SCHEMAS.rules.default(schema)
        assert msgspec.json.encode(schema) == before
    for level in (*flow_levels.MANDATORY_LEVELS.values(), *flow_levels.SUGGESTED_LEVELS.values()):
        assert LEVELS.rules.validate(level) == []
        before = msgspec.json.encode(level)
        LEVELS.rules.default(level)
        assert msgspec.json.encode(level) == before


def test_defaults() -> None:
    assert schema_errors() == []
    schema = flow.FlowSchema()
    SCHEMAS.rules.default(schema)
    assert schema.spec.matchingPrecedence == 1000
    level = msgspec.convert({"spec": {"type": "Limited", "limited": {"limitResponse": QUEUE}}}, flow.PriorityLevelConfiguration)
    LEVELS.rules.default(level)
    limited = level.spec.limited
    assert limited is not None
    assert (limited.nominalConcurrencyShares, limited.lendablePercent, limited.borrowingLimitPercent) == (30, 0, None)
    assert limited.limitResponse.queuing == flow.QueuingConfiguration(queues=64, handSize=8, queueLengthLimit=50)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"matchingPrecedence": -1}, "spec.matchingPrecedence: Invalid value: -1: must be a positive value"),
        ({"matchingPrecedence": 10001}, "spec.matchingPrecedence: Invalid value: 10001: must not be greater than 10000"),
        ({"matchingPrecedence": 1}, "only the schema named 'exempt' may have matchingPrecedence 1"),
        ({"distinguisherMethod": {"type": "ByMood"}}, 'supported values: "ByNamespace", "ByUser"'),
        (
            {"priorityLevelConfiguration": {"name": ""}},
            "spec.priorityLevelConfiguration.name: Required value: must reference a priority level",
        ),
        ({"priorityLevelConfiguration": {"name": "A"}}, "spec.priorityLevelConfiguration.name: Invalid value"),
        ({"rules": [{"subjects": []}]}, "spec.rules[0].subjects: Required value: subjects must contain at least one value"),
    ],
)
def test_rejects_invalid_schemas(spec: dict[str, Any], said: str) -> None:
    assert said in schema_errors(**spec)[0]


def test_rejects_invalid_rules() -> None:
    assert rule_errors(resourceRules=[]) == [": Required value: at least one of resourceRules and nonResourceRules has to be non-empty"]
    assert resource_errors(verbs=[]) == ["verbs: Required value: verbs must contain at least one value"]
    assert resource_errors(verbs=["*", "get"]) == ["""verbs: Invalid value: ["*","get"]: if '*' is present, must not specify other verbs"""]
    assert resource_errors(verbs=["look"])[0].startswith('verbs: Unsupported value: ["look"]: supported values: "create", "delete"')
    assert resource_errors(apiGroups=[], resources=[]) == [
        "apiGroups: Required value: resource rules must supply at least one api group",
        "resources: Required value: resource rules must supply at least one resource",
    ]
    assert resource_errors(namespaces=[]) == [
        "namespaces: Required value: resource rules that are not cluster scoped must supply at least one namespace"
    ]
    assert resource_errors(namespaces=[], clusterScope=True) == []
    assert "each member of this list must be '*' or a DNS-1123 label; a lowercase" in resource_errors(namespaces=["A"])[0]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "must not be empty"),
        ("healthz", "must start with slash"),
        ("/a b", "must not contain white-space"),
        ("/a//b", "must not contain double slash"),
        ("/a*", "wildcard can only do suffix matching"),
        ("/*/a/*", "wildcard can only do suffix matching"),
    ],
)
def test_rejects_invalid_http_paths(url: str, said: str) -> None:
    assert path_errors(nonResourceURLs=[url])[0].endswith(said)
    assert path_errors(nonResourceURLs=["/", "/a/*"]) == []


def test_subjects() -> None:
    assert subject_errors(kind="User") == ["user: Required value: user is required when subject kind is 'User'"]
    assert subject_errors(kind="Group", group={"name": ""}) == ["group.name: Required value"]
    assert subject_errors(kind="Robot") == ['kind: Unsupported value: "Robot": supported values: "Group", "ServiceAccount", "User"']
    assert subject_errors(kind="User", user={"name": "a"}, group={"name": "b"}) == [
        "group: Forbidden: group is forbidden when subject kind is not 'Group'"
    ]
    assert subject_errors(kind="ServiceAccount", serviceAccount={"namespace": "", "name": "*"}) == [
        "serviceAccount.namespace: Required value: must specify namespace for service account"
    ]


def test_the_mandatory_ones_are_fixed() -> None:
    assert "spec of 'catch-all' must equal the fixed value" in schema_errors("catch-all")[0]
    assert (
        "spec of 'catch-all' must equal the fixed value"
        in level_errors("catch-all", type="Limited", limited={"limitResponse": {"type": "Reject"}})[0]
    )
    assert level_errors("exempt", type="Exempt", exempt={"nominalConcurrencyShares": 5, "lendablePercent": 50}) == []


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"type": "Exempt"}, "spec.type: Invalid value: \"Exempt\": must be 'Exempt' if and only if `name` is 'exempt'"),
        ({"type": "Some"}, 'spec.type: Unsupported value: "Some": supported values: "Exempt", "Limited"'),
        ({"type": "Limited"}, "spec.limited: Required value: must not be empty when type is Limited"),
        ({"type": "Limited", "exempt": {}, "limited": {"limitResponse": {"type": "Reject"}}}, "spec.exempt: Forbidden: must be nil"),
    ],
)
def test_rejects_invalid_levels(spec: dict[str, Any], said: str) -> None:
    assert level_errors(**spec)[0].startswith(said)


@pytest.mark.parametrize(
    ("limited", "said"),
    [
        ({"nominalConcurrencyShares": -1}, "nominalConcurrencyShares: Invalid value: -1: must be a non-negative integer"),
        ({"lendablePercent": 101}, "lendablePercent: Invalid value: 101: must be between 0 and 100, inclusive"),
        ({"borrowingLimitPercent": -1}, "borrowingLimitPercent: Invalid value: -1: if specified, must be a non-negative integer"),
        ({"limitResponse": {"type": "Queue"}}, "limitResponse.queuing: Required value: must not be empty"),
        ({"limitResponse": {"type": "Reject", "queuing": {}}}, "limitResponse.queuing: Forbidden: must be nil"),
        ({"limitResponse": {"type": "Cry"}}, 'limitResponse.type: Unsupported value: "Cry": supported values: "Queue", "Reject"'),
        ({"limitResponse": {"type": "Queue", "queuing": {"handSize": 65}}}, "limitResponse.queuing.handSize: Invalid value: 65: should not be"),
        ({"limitResponse": {"type": "Queue", "queuing": {"queues": -1, "handSize": 1}}}, "limitResponse.queuing.queues: Invalid value: -1: must be"),
        ({"limitResponse": {"type": "Queue", "queuing": {"queues": 10_000_001, "handSize": 1}}}, "limitResponse.queuing.queues: Invalid value"),
        (
            {"limitResponse": {"type": "Queue", "queuing": {"queues": 512, "handSize": 7}}},
            "limitResponse.queuing.handSize: Invalid value: 7: required entropy bits of deckSize 512 and handSize 7 should not be greater than 60",
        ),
    ],
)  # fmt: skip
def test_rejects_invalid_limits(limited: dict[str, Any], said: str) -> None:
    errors = level_errors(type="Limited", limited={"limitResponse": QUEUE, **limited})
    assert errors[0].removeprefix("spec.limited.").startswith(said)


def test_conditions() -> None:
    status = flow.FlowSchemaStatus(
        conditions=[flow.FlowSchemaCondition(type="A"), flow.FlowSchemaCondition(type="A"), flow.FlowSchemaCondition()]
    )
    schema = flow.FlowSchema(status=status)
    assert [str(error) for error in SCHEMAS.rules.validate_status_update(schema, schema)] == [
        'status.conditions[1].type: Duplicate value: "A"',
        "status.conditions[2].type: Required value",
    ]


def test_tables() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    schema = flow_levels.SUGGESTED_SCHEMAS["service-accounts"]
    assert [column.cell(schema, now) for column in SCHEMAS.columns] == [
        "service-accounts",
        "workload-low",
        9000,
        "ByUser",
        "<unknown>",
        "?",
    ]
    level = flow_levels.SUGGESTED_LEVELS["workload-low"]
    assert [column.cell(level, now) for column in LEVELS.columns] == ["workload-low", "Limited", 100, 128, 6, 50, "<unknown>"]
    exempt = flow_levels.MANDATORY_LEVELS["exempt"]
    assert [column.cell(exempt, now) for column in LEVELS.columns][2:4] == ["<none>", "<none>"]
