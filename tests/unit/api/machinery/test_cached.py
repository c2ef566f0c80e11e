"""Results that are remembered for texts of users: what they take together has a bound, whatever the texts are."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tiphys
from tiphys.api.batch.schedule import parse_schedule
from tiphys.api.core.pods.image import pull_policy
from tiphys.api.core.pods.resources import quota_resource_messages, resource_messages
from tiphys.api.custom.patterns import MAX_MEMORY, MAX_TOGETHER, BadPattern, Patterns, compile_pattern
from tiphys.api.machinery.apply import fieldset
from tiphys.api.machinery.cached import ENTRY, MAX_TEXT, MAX_WEIGHT, cached
from tiphys.api.machinery.quantity import canonical, parse
from tiphys.api.machinery.remembered import MAX_BYTES, MAX_KEY_BYTES, Remembered
from tiphys.api.machinery.selectors import parse_fields, parse_labels
from tiphys.api.rules.addresses import parse_cidr, parse_ip
from tiphys.api.rules.basics import is_ip

TEXTS: list[tuple[Callable[[Any], Any], str]] = [
    (parse_labels, "a%d"),
    (parse_fields, "a=%d"),
    (parse_schedule, "* * * * 1%s"),
    (canonical, "%d"),
    (parse, "%d"),
    (parse_ip, "%d"),
    (parse_cidr, "%d"),
    (is_ip, "%d"),
    (pull_policy, "a:%d"),
    (resource_messages, "a/b%d"),
    (quota_resource_messages, "a/b%d"),
]


@pytest.mark.parametrize(("function", "text"), TEXTS)
def test_texts_have_a_bound(function: Callable[[Any], Any], text: str) -> None:
    known: dict[str, Any] = function.__self__  # type: ignore[attr-defined]
    for n in range(3000):
        function(text.replace("%s", ",1" * n) if "%s" in text else text % n + " " * (n % 9) * 40)
        if n % 100 == 0:
            assert sum(len(key) + ENTRY for key in known) <= MAX_WEIGHT
    assert max(map(len, known)) <= MAX_TEXT


def test_a_result_is_computed_once_and_failures_each_time() -> None:
    calls: list[str] = []

    @cached()
    def length(text: str) -> int:
        calls.append(text)
        if text == "bad":
            raise ValueError(text)
        return len(text)

    assert [length("a"), length("a"), length("b" * (MAX_TEXT + 1)), length("b" * (MAX_TEXT + 1))] == [1, 1, 257, 257]
    for _ in range(2):
        with pytest.raises(ValueError, match="bad"):
            length("bad")
    assert [text[:3] for text in calls] == ["a", "bbb", "bbb", "bad", "bad"]


def test_tuples_weigh_what_their_texts_do() -> None:
    @cached(heaviest=10, weight=1000)
    def joined(parts: tuple[str, str, bool]) -> str:
        return parts[0] + parts[1]

    for n in range(200):
        assert joined((f"{n}", "a" * (n % 9), True)) == f"{n}" + "a" * (n % 9)
    known: dict[Any, str] = joined.__self__  # type: ignore[attr-defined]
    assert 0 < sum(len(a) + len(b) + ENTRY for a, b, _ in known) <= 1000
    assert max(len(a) + len(b) for a, b, _ in known) <= 10


def test_sets_of_fields_have_a_bound() -> None:
    known: dict[bytes, Any] = fieldset.parse.__self__  # type: ignore[attr-defined]
    for n in range(400):
        fieldset.parse(b'{"f:%d":{"f:%s":{}}}' % (n, b"a" * 14_000))
        assert sum(map(len, known)) <= 128 * fieldset.CACHED_BYTES


def test_answers_about_alike_objects_have_a_bound() -> None:
    remembered = Remembered(lambda obj: [obj], lambda obj: obj)
    for n in range(200):
        remembered(f"{n}" + "a" * (MAX_KEY_BYTES - 100))
        assert sum(map(len, remembered._answers)) <= MAX_BYTES
    assert remembered._answers


def test_patterns_in_memory_have_a_bound() -> None:
    known: dict[str, Any] = compile_pattern.__self__  # type: ignore[attr-defined]
    for n in range(30):
        compile_pattern(rf"(\pL{{1,60}}{n})")
        assert sum(pattern.memory for pattern in known.values()) <= 4 * MAX_MEMORY


def test_the_patterns_of_a_definition_have_a_bound() -> None:
    patterns = Patterns()
    for n in range(MAX_TOGETHER // MAX_MEMORY):
        for _ in range(2):
            assert patterns.compile(rf"(\pL{{1,60}}{n})").memory == MAX_MEMORY
    with pytest.raises(BadPattern, match="error parsing regexp: expression too large"):
        patterns.compile("a")
    usual = Patterns()
    for n in range(1000):
        assert usual.compile(rf"^[a-z0-9]([-a-z0-9]{{0,61}}[a-z0-9])?{n}$").search(f"a{n}")


def test_patterns_that_are_too_large_are_tried_a_few_times() -> None:
    patterns = Patterns()
    for n in range(1000):
        with pytest.raises(BadPattern, match="error parsing regexp: expression too large"):
            patterns.compile(rf"\pL{{1000}}{n}")


EXEMPT = {"_module", "_lines", "_filler", "struct_writer", "_differ", "changes"}
"""Their texts are names of modules, types and fields."""


def test_texts_are_remembered_by_weight_only() -> None:
    """`lru_cache` and `cache` are for keys of which there are few: types, options, dates."""
    root = Path(tiphys.__file__).parent
    wrong = []
    for path in root.rglob("*.py"):
        if "cache" not in (source := path.read_text()):
            continue
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef) and node.name not in EXEMPT and any(map(_counts_entries, node.decorator_list)):
                taken = [ast.unparse(one.annotation) for one in node.args.args if one.annotation is not None]
                wrong += [f"{path.relative_to(root)}: {node.name}" for one in taken if {"str", "bytes"} & set(one.split(" | "))]
    assert wrong == []


def _counts_entries(decorator: ast.expr) -> bool:
    function = decorator.func if isinstance(decorator, ast.Call) else decorator
    return ast.unparse(function) in ("lru_cache", "cache", "functools.lru_cache", "functools.cache")
