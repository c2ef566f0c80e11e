"""Mistakes in the schemas of definitions."""

# One case to a line, however long.
# ruff: noqa: E501

from __future__ import annotations

from typing import Any

import pytest

from tiphys.api.apiextensions.schemas import validate_schema
from tiphys.api.custom.patterns import Patterns


def said(spec: dict[str, Any], *, status: bool = False, **root: Any) -> list[str]:
    return [
        str(error) for error in validate_schema({"type": "object", "properties": {"spec": spec}, **root}, "s", Patterns(), status=status)
    ]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, "s.properties[spec].type: Required value: must not be empty for specified object fields"),
        ({"type": "text"}, 's.properties[spec].type: Unsupported value: "text": supported values: "array", "boolean", "integer", "number", "object", "string"'),
        ({"type": "array"}, "s.properties[spec].items: Required value: must be specified"),
        ({"type": "array", "items": {}}, "s.properties[spec].items.type: Required value: must not be empty for specified array items"),
        ({"type": "array", "items": {"type": "string"}, "uniqueItems": True}, "s.properties[spec].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic"),
        ({"type": "object", "$ref": "#/x"}, "s.properties[spec].$ref: Forbidden: $ref is not supported"),
        ({"type": "object", "patternProperties": {"a": {}}}, "s.properties[spec].patternProperties: Forbidden: patternProperties is not supported"),
        ({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": {"type": "string"}}, "s.properties[spec].additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive"),
        ({"type": "string", "pattern": "("}, "must be a valid regular expression, but isn't: error parsing regexp"),
        ({"type": "string", "anyOf": [{"type": "string"}]}, "s.properties[spec].anyOf[0].type: Forbidden: must be empty to be structural"),
        ({"type": "string", "not": {"nullable": True}}, "s.properties[spec].not.nullable: Forbidden: must be false to be structural"),
        ({"type": "object", "x-kubernetes-preserve-unknown-fields": False}, "s.properties[spec].x-kubernetes-preserve-unknown-fields: Invalid value: false: must be true or undefined"),
        ({"type": "string", "x-kubernetes-embedded-resource": True}, 's.properties[spec].type: Invalid value: "string": must be object if x-kubernetes-embedded-resource is true'),
        ({"type": "object", "x-kubernetes-embedded-resource": True}, "s.properties[spec].properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"),
        ({"x-kubernetes-int-or-string": True, "x-kubernetes-preserve-unknown-fields": True}, "s.properties[spec].x-kubernetes-preserve-unknown-fields: Invalid value: true: must be false if x-kubernetes-int-or-string is true"),
        ({"type": "object", "x-kubernetes-map-type": "odd"}, 's.properties[spec].x-kubernetes-map-type: Unsupported value: "odd": supported values: "atomic", "granular"'),
        ({"type": "object", "x-kubernetes-list-type": "set"}, 's.properties[spec].type: Invalid value: "object": must be array if x-kubernetes-list-type is specified'),
        ({"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "set"}, "s.properties[spec].items.x-kubernetes-map-type: Invalid value: null: must be atomic as item of a list with x-kubernetes-list-type=set"),
        ({"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "map"}, "s.properties[spec].x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map"),
        ({"type": "array", "items": {"type": "object"}, "x-kubernetes-list-map-keys": ["a"]}, "s.properties[spec].x-kubernetes-list-type: Required value: must be map if x-kubernetes-list-map-keys is non-empty"),
        ({"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string"}}}, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a"]}, "s.properties[spec].items.properties[a].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"),
        ({"type": "object", "properties": {"a": {"type": "integer"}}, "default": {"b": 1}}, 's.properties[spec].default: Invalid value: {"b":1}: must not have unknown fields'),
        ({"type": "integer", "default": "x"}, 's.properties[spec].default: Invalid value: "string":  in body must be of type integer: "string"'),
        ({"type": "string", "x-kubernetes-validations": [{"rule": " "}]}, "s.properties[spec].x-kubernetes-validations[0].rule: Required value: rule is not specified"),
    ],
)  # fmt: skip
def test_rejects_invalid_fields(spec: dict[str, Any], expected: str) -> None:
    found = said(spec)
    assert any(expected in one for one in found), found


@pytest.mark.parametrize(
    ("root", "status", "expected"),
    [
        ({"type": "string"}, False, 's.type: Invalid value: "string": must be object at the root'),
        ({"nullable": True}, False, "s.nullable: Forbidden: nullable cannot be true at the root"),
        ({"additionalProperties": {"type": "string"}}, False, "s.additionalProperties: Forbidden: must not be used at the root"),
        ({"properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}}}, False, "s.properties[metadata]: Forbidden: must not specify anything other than name and generateName"),
        ({"properties": {"metadata": {"type": "object", "default": {}}}}, False, "s.properties[metadata].default: Forbidden: must not be set in top-level metadata"),
        ({"properties": {"kind": {"type": "integer"}}}, False, 's.properties[kind].type: Invalid value: "integer": must be string'),
        ({"oneOf": [{"required": ["a"]}]}, True, "fields are allowed at the root of the schema if the status subresource is enabled"),
        ({"anyOf": [{"properties": {"other": {"minimum": 1}}}]}, False, "s.properties[other]: Required value: because it is defined in s.anyOf[0].properties[other]"),
    ],
)  # fmt: skip
def test_rejects_invalid_roots(root: dict[str, Any], status: bool, expected: str) -> None:
    found = said({"type": "object"}, status=status, **root)
    assert any(expected in one for one in found), found


@pytest.mark.parametrize(
    "spec",
    [
        {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        {"x-kubernetes-preserve-unknown-fields": True},
        {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}], "pattern": "^[0-9]+%?$"},
        {"x-kubernetes-int-or-string": True, "allOf": [{"anyOf": [{"type": "integer"}, {"type": "string"}]}]},
        {"type": "object", "properties": {"a": {"type": "string"}}, "oneOf": [{"required": ["a"]}], "default": {"a": "x"}},
        {"type": "object", "additionalProperties": {"type": "object", "x-kubernetes-map-type": "atomic"}},
        {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True},
    ],
)
def test_accepts_valid_schemas(spec: dict[str, Any]) -> None:
    assert said(spec, status=False) == []
