"""Docstrings say what a thing is or does: they begin with a verb or a noun phrase, not with a question."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3] / "tiphys"
PACKAGES = ("aio", "cli", "client", "controllers", "daemon", "dns", "obs", "proxy", "runtime", "scheduler", "store")
QUESTIONS = frozenset({"How", "What", "When", "Where", "Whether", "Which", "Who", "Whom", "Whose", "Why"})


def docstrings(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of every bare string: docstrings of modules, classes and functions, and those below attributes."""
    for node in ast.walk(ast.parse(source)):
        for statement in getattr(node, "body", []) if not isinstance(node, ast.Lambda | ast.IfExp) else []:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) and isinstance(statement.value.value, str):
                yield statement.lineno, statement.value.value.strip()


@pytest.mark.parametrize("package", PACKAGES)
def test_docstrings_do_not_begin_with_a_question_word(package: str) -> None:
    questions = [
        f"{path.relative_to(ROOT)}:{line}: {text.splitlines()[0]}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for line, text in docstrings(path.read_text())
        if text and text.split()[0].strip(",:") in QUESTIONS
    ]
    assert questions == []


def test_docstrings_are_found_wherever_they_stand() -> None:
    source = '"""What a module."""\nclass A:\n    """Who."""\n    b = 1\n    """Whether."""\n    def c(self):\n        """How."""\n'
    assert [text.split()[0].strip(".") for _, text in docstrings(source)] == ["What", "Who", "Whether", "How"]
