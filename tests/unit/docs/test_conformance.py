"""docs/conformance.md: every behavior in scope is listed once, and every test that is named there exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parents[2]
PAGE = TESTS.parent / "docs" / "conformance.md"
IN_SCOPE = TESTS / "data" / "conformance-in-scope.txt"
_ROW = re.compile(r"^\| (\[sig-[^|]+) \| ([^|]+) \| ([^|]+) \|$")
_TEST = re.compile(r"`([\w/]+\.py)::(\w+)`")


def _rows() -> list[tuple[str, str, str]]:
    """Behavior, tests and upstream's verdict of each row of the first table."""
    return [found.groups() for line in PAGE.read_text(encoding="utf-8").splitlines() if (found := _ROW.match(line))]  # type: ignore[misc]


@cache
def _functions(path: str) -> frozenset[str]:
    tree = ast.parse((TESTS / path).read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_every_behavior_in_scope_is_listed_once() -> None:
    assert [behavior for behavior, _, _ in _rows()] == IN_SCOPE.read_text(encoding="utf-8").splitlines()


def test_every_behavior_names_tests_that_exist() -> None:
    wrong = []
    for behavior, tests, _ in _rows():
        named = _TEST.findall(tests)
        wrong += [behavior] * (not named)
        wrong += [f"{path}::{name}" for path, name in named if not (TESTS / path).is_file() or name not in _functions(path)]
    assert wrong == []


def test_the_verdicts_add_up() -> None:
    """The numbers in the text are those of the tables."""
    said = re.search(r"(\d+) of the (\d+) behaviors below", PAGE.read_text(encoding="utf-8"))
    assert said is not None
    rows = _rows()
    assert (int(said[1]), int(said[2])) == (sum(verdict.startswith("passed") for _, _, verdict in rows), len(rows))
