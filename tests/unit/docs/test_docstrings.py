"""Docstrings and names of tests say what a thing is or does: they begin with a verb or a noun phrase, not with a question."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("aio", "cli", "client", "controllers", "daemon", "dns", "obs", "proxy", "runtime", "scheduler", "store", "testing")
TREES = ("tiphys", "tests/unit", "tests/integration", "tests/e2e")
QUESTIONS = frozenset({"How", "What", "When", "Where", "Whether", "Which", "Who", "Whom", "Whose", "Why"})


def sources(package: str) -> Iterator[tuple[str, str]]:
    """Path and text of every module of a package and of its tests."""
    for tree in TREES:
        for path in sorted((ROOT / tree / package).rglob("*.py")):
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")


def docstrings(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of every bare string: docstrings of modules, classes and functions, and those below attributes."""
    for node in ast.walk(ast.parse(source)):
        for statement in getattr(node, "body", []) if not isinstance(node, ast.Lambda | ast.IfExp) else []:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) and isinstance(statement.value.value, str):
                yield statement.lineno, statement.value.value.strip()


@pytest.mark.parametrize("package", PACKAGES)
def test_docstrings_do_not_begin_with_a_question_word(package: str) -> None:
    questions = [
        f"{path}:{line}: {text.splitlines()[0]}"
        for path, source in sources(package)
        for line, text in docstrings(source)
        if text and text.split()[0].strip(",:") in QUESTIONS
    ]
    assert questions == []


@pytest.mark.parametrize("package", PACKAGES)
def test_names_of_tests_do_not_begin_with_a_question_word(package: str) -> None:
    names = [
        f"{path}:{node.lineno}: {node.name}"
        for path, source in sources(package)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if node.name.startswith("test_") and node.name.split("_")[1].capitalize() in QUESTIONS
    ]
    assert names == []


def test_docstrings_are_found_wherever_they_stand() -> None:
    source = '"""What a module."""\nclass A:\n    """Who."""\n    b = 1\n    """Whether."""\n    def c(self):\n        """How."""\n'
    assert [text.split()[0].strip(".") for _, text in docstrings(source)] == ["What", "Who", "Whether", "How"]
