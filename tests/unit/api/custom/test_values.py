"""Values against schemas: the words and places of mistakes."""

# One case to a line, however long.
# ruff: noqa: E501

from __future__ import annotations

from typing import Any

import pytest

from tiphys.api.custom.lists import validate_embedded, validate_lists
from tiphys.api.custom.structural import compile_schema
from tiphys.api.custom.values import validate


def said(schema: dict[str, Any], value: Any, **more: Any) -> list[str]:
    return [str(error) for error in validate({"x": value}, compile_schema({"type": "object", "properties": {"x": schema}}), **more)]


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"type": "string"}, 1, 'x: Invalid value: "integer": x in body must be of type string: "integer"'),
        ({"type": "string"}, None, 'x: Invalid value: "null": x in body must be of type string: "null"'),
        ({"type": "integer"}, True, 'x: Invalid value: "boolean": x in body must be of type integer: "boolean"'),
        ({"type": "integer"}, 1.5, 'x: Invalid value: "number": x in body must be of type integer: "number"'),
        ({"type": "boolean"}, "true", 'x: Invalid value: "string": x in body must be of type boolean: "string"'),
        ({"type": "array", "items": {"type": "string"}}, {}, 'x: Invalid value: "object": x in body must be of type array: "object"'),
        ({"type": "array", "items": {"type": "string"}}, ["a", 2], 'x[1]: Invalid value: "integer": x[1] in body must be of type string: "integer"'),
        ({"type": "string", "enum": ["a", "b"]}, "c", 'x: Unsupported value: "c": supported values: "a", "b"'),
        ({"type": "integer", "enum": [1, 2]}, 3, 'x: Unsupported value: 3: supported values: "1", "2"'),
        ({"type": "string", "pattern": "^a$"}, "b", "x: Invalid value: \"b\": x in body should match '^a$'"),
        ({"type": "string", "maxLength": 2}, "abc", "x: Too long: may not be more than 2 bytes"),
        ({"type": "string", "minLength": 2}, "a", 'x: Invalid value: "a": x in body should be at least 2 chars long'),
        ({"type": "string", "format": "ipv4"}, "::1", 'x: Invalid value: "::1": x in body must be of type ipv4: "::1"'),
        ({"type": "integer", "maximum": 3}, 4, "x: Invalid value: 4: x in body should be less than or equal to 3"),
        ({"type": "integer", "maximum": 3, "exclusiveMaximum": True}, 3, "x: Invalid value: 3: x in body should be less than 3"),
        ({"type": "number", "minimum": 0.5}, 0.1, "x: Invalid value: 0.1: x in body should be greater than or equal to 0.5"),
        ({"type": "integer", "minimum": 3, "exclusiveMinimum": True}, 3, "x: Invalid value: 3: x in body should be greater than 3"),
        ({"type": "integer", "multipleOf": 3}, 4, "x: Invalid value: 4: x in body should be a multiple of 3"),
        ({"type": "integer", "format": "int32"}, 1 << 31, '<nil>: Invalid value: "": Checked value must be of type integer with format int32 in x'),
        ({"type": "array", "items": {}, "maxItems": 1}, [1, 2], "x: Too many: 2: must have at most 1 item"),
        ({"type": "array", "items": {}, "minItems": 2}, [1], "x: Invalid value: 1: x in body should have at least 2 items"),
        ({"type": "object", "minProperties": 1}, {}, "x: Invalid value: 0: x in body should have at least 1 properties"),
        ({"type": "object", "maxProperties": 0}, {"a": 1}, "x: Too many: 1: must have at most 0 items"),
        ({"type": "object", "required": ["a"]}, {}, "x.a: Required value"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, {"k": 1}, 'x.k: Invalid value: "integer": x.k in body must be of type string: "integer"'),
        ({"type": "string", "not": {"enum": ["a"]}}, "a", '<nil>: Invalid value: "": "x" must not validate the schema (not)'),
    ],
)  # fmt: skip
def test_rejects_invalid_fields(schema: dict[str, Any], value: Any, expected: str) -> None:
    assert said(schema, value) == [expected]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "integer"}, 1.0),
        ({"type": "number"}, 1),
        ({"type": "string", "nullable": True}, None),
        ({"x-kubernetes-int-or-string": True}, "50%"),
        ({"x-kubernetes-int-or-string": True}, 50),
        ({"type": "string", "format": "no-such-format"}, "anything"),
        ({"type": "string", "maxLength": 2}, "äö"),
        ({"type": "number", "multipleOf": 0.1}, 0.3),
        ({}, [1, "a", None]),
    ],
)
def test_accepts_valid_values(schema: dict[str, Any], value: Any) -> None:
    assert said(schema, value) == []


def test_int_or_string_is_neither_bool_nor_list() -> None:
    assert said({"x-kubernetes-int-or-string": True}, True) == [
        'x: Invalid value: "boolean": x in body must be of type integer,string: "boolean"'
    ]


def test_alternatives_tell_the_nearest() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "integer"}},
        "oneOf": [{"required": ["a"]}, {"required": ["b"], "properties": {"b": {"minimum": 5}}}],
    }
    assert said(schema, {"a": "x"}) == []
    assert said(schema, {"a": "x", "b": 9}) == [
        '<nil>: Invalid value: "": "x" must validate one and only one schema (oneOf). Found 2 valid alternatives'
    ]
    none = said(schema, {"b": 1})
    assert none[0] == '<nil>: Invalid value: "": "x" must validate one and only one schema (oneOf). Found none valid'
    assert len(none) == 2


def test_all_and_any() -> None:
    schema = {"type": "integer", "allOf": [{"minimum": 1}, {"maximum": 3}], "anyOf": [{"enum": [2]}, {"enum": [9]}]}
    assert said(schema, 2) == []
    assert '<nil>: Invalid value: "": "x" must validate all the schemas (allOf)' in said(schema, 9)
    assert '<nil>: Invalid value: "": "x" must validate at least one schema (anyOf)' in said(schema, 3)


def test_unchanged_mistakes_are_let_pass() -> None:
    schema = {
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["n"],
        "items": {"type": "object", "properties": {"n": {"type": "string"}, "v": {"type": "integer", "maximum": 1}}},
    }
    old = {"x": [{"n": "a", "v": 5}, {"n": "b", "v": 1}]}
    assert said(schema, [{"n": "b", "v": 1}, {"n": "a", "v": 5}], old=old) == []
    assert len(said(schema, [{"n": "a", "v": 6}], old=old)) == 1
    atomic = {**schema, "x-kubernetes-list-type": "atomic"}
    assert len(said(atomic, [{"n": "b", "v": 1}, {"n": "a", "v": 5}], old=old)) == 1


def test_paths_of_a_status() -> None:
    node = compile_schema({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["m"]})
    assert [str(error) for error in validate({"n": "x"}, node, root="status")] == [
        'status.n: Invalid value: "string": n in body must be of type integer: "string"',
        "status.m: Required value",
    ]


def test_items_that_stand_twice() -> None:
    node = compile_schema(
        {
            "type": "object",
            "properties": {
                "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "integer"}},
                "map": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["a", "b"],
                    "items": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}},
                },
            },
        }
    )
    value = {"set": [1, 2, 1, 1], "map": [{"a": "x", "b": "y"}, {"a": "x"}, {"a": "x", "b": "y", "c": 1}]}
    assert [str(error) for error in validate_lists(value, node)] == [
        "set[2]: Duplicate value: 1",
        'map[2]: Duplicate value: {"a":"x","b":"y"}',
    ]


def test_embedded_objects_are_objects() -> None:
    node = compile_schema({"type": "object", "properties": {"e": {"type": "object", "x-kubernetes-embedded-resource": True}}})
    wrong = {"e": {"apiVersion": "", "kind": "no_kind", "metadata": {"labels": {"-": "x"}}}}
    fields = {error.field for error in validate_embedded(wrong, node)}
    assert fields == {"e.apiVersion", "e.kind", "e.metadata.labels"}
    assert validate_embedded({"e": {"apiVersion": "v1", "kind": "Pod"}}, node) == []
