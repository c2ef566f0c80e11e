"""Schemas that multiply with the values held against them: steps and mistakes have a bound."""

from __future__ import annotations

from typing import Any

import pytest

from tiphys.api.custom import values
from tiphys.api.custom.structural import compile_schema
from tiphys.api.custom.values import MAX_STEPS, STEPS, STEPS_PER_VALUE, validate
from tiphys.api.machinery.errors import MOST_ERRORS

OUT_OF_STEPS = "<nil>: Invalid value: validation failed due to running out of cost budget, no further validation rules will be run"


def judge(items: dict[str, Any], value: list[Any]) -> list[str]:
    schema = {"type": "object", "properties": {"a": {"type": "array", "items": items}}}
    return [str(error) for error in validate({"a": value}, compile_schema(schema))]


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of judgments of a value by a node."""
    count = [0]
    look = values._look

    def counted(*args: Any) -> None:
        count[0] += 1
        look(*args)

    monkeypatch.setattr(values, "_look", counted)
    return count


def test_alternatives_run_out_of_steps(steps: list[int]) -> None:
    schema = {"type": "string", "anyOf": [{"enum": [f"x{n}"]} for n in range(400)]}
    assert judge(schema, ["x399"] * 2000) == [OUT_OF_STEPS]
    assert steps[0] <= STEPS + STEPS_PER_VALUE * 2002
    assert judge(schema, ["x3"] * 20_000) == []


def test_steps_have_a_maximum(monkeypatch: pytest.MonkeyPatch, steps: list[int]) -> None:
    monkeypatch.setattr(values, "MAX_STEPS", MAX_STEPS // 10)
    assert judge({"type": "string", "anyOf": [*[{"enum": ["x"]}] * 200, {"enum": ["y"]}]}, ["y"] * 100_000) == [OUT_OF_STEPS]
    assert steps[0] <= MAX_STEPS // 10


def test_large_objects_of_usual_schemas_are_judged() -> None:
    item = {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "integer"}},
        "oneOf": [{"required": ["a"]}, {"required": ["b"]}, {"required": ["c"]}],
    }
    assert judge(item, [{"a": "x"}] * 50_000) == []


def test_mistakes_have_a_bound() -> None:
    required = judge({"type": "object", "required": [f"x{n}" for n in range(400)]}, [{}] * 2000)
    assert len(required) == MOST_ERRORS + 1
    assert required[:2] == ["a[0].x0: Required value", "a[0].x1: Required value"]
    assert len(judge({"type": "integer"}, ["x"] * 5000)) == MOST_ERRORS + 1


def test_required_fields_take_steps(steps: list[int]) -> None:
    fields = [f"x{n}" for n in range(1000)]
    assert judge({"type": "object", "allOf": [{"required": fields}] * 100}, [dict.fromkeys(fields, 1)]) == []
    assert judge({"type": "object", "allOf": [{"required": fields}] * 200}, [dict.fromkeys(fields, 1)]) == [OUT_OF_STEPS]
    assert steps[0] < 1000


def test_allowed_values_are_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = 0
    same = values.same

    def counted(a: Any, b: Any) -> bool:
        nonlocal compared
        compared += 1
        return same(a, b)

    monkeypatch.setattr(values, "same", counted)
    schema = {"type": "string", "enum": [f"x{n}" for n in range(1000)]}
    assert judge(schema, ["x999"] * 1000) == []
    assert compared == 0
    assert judge({"enum": [[1], {"a": 1}]}, [[1], {"a": 1}]) == []
    assert compared > 0


@pytest.mark.parametrize(
    ("value", "allowed"),
    [(1, True), (1.0, True), (2.0, True), (2, True), (True, False), ("1", False), (None, True), (False, True), (0, False), ([1], True),
     ([1.0], False), ({"a": True}, True), ({"a": 1}, False)],
)  # fmt: skip
def test_allowed_values_of_all_types(value: Any, allowed: bool) -> None:
    node = compile_schema({"enum": [1, 2.0, None, False, [1], {"a": True}]})
    assert (validate(value, node) == []) == allowed


def test_long_paths_take_steps() -> None:
    schema = compile_schema({"type": "object", "additionalProperties": {"type": "array", "items": {"type": "integer"}}})
    found = validate({"k" * 100_000: [1] * 5000}, schema)
    assert [str(error) for error in found] == [OUT_OF_STEPS]


def test_long_texts_take_steps() -> None:
    schema = compile_schema({"anyOf": [{"pattern": f"^{n}a$"} for n in range(1000)]})
    assert [str(error) for error in validate("a" * 100_000, schema)] == [OUT_OF_STEPS]
