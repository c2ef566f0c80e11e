"""Docstrings, names of tests and identifiers are in plain English: a thing is called by its noun, and nothing begins with a question."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = tuple(path.name for path in sorted((ROOT / "tiphys").iterdir()) if (path / "__init__.py").exists())
TREES = ("tests", "bench", "tools", "examples")
QUESTIONS = frozenset(
    {"How", "If", "That", "What", "Whatever", "When", "Where", "Whether", "Which", "Who", "Whoever", "Whom", "Whose", "Why"}
)
PARTICIPLES = frozenset({"asked", "found", "made", "said", "told", "wanted"})
"""Words that say how a value was got; its name is the noun for the value: request, node, result, message, desired."""


@cache
def sources(folder: str) -> dict[str, ast.Module]:
    """Path and content of every module below a folder."""
    paths = sorted((ROOT / folder).rglob("*.py"))
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def docstrings(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and text of every bare string: docstrings of modules, classes and functions, and those below attributes."""
    for node in ast.walk(module):
        for statement in getattr(node, "body", []) if not isinstance(node, ast.Lambda | ast.IfExp) else []:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) and isinstance(statement.value.value, str):
                yield statement.lineno, statement.value.value.strip()


def names(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and text of every name that is given to something: a function, class, argument, variable, attribute or import."""
    for node in ast.walk(module):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield node.lineno, name
            case ast.alias(name=name, asname=alias):
                yield node.lineno, alias or name


def is_participle(name: str) -> bool:
    """Return whether a name is nothing but a participle."""
    return name.strip("_").lower() in PARTICIPLES


@pytest.mark.parametrize("folder", [*(f"tiphys/{package}" for package in PACKAGES), *TREES])
def test_docstrings_do_not_begin_with_a_question_word(folder: str) -> None:
    questions = [
        f"{path}:{line}: {text.splitlines()[0]}"
        for path, module in sources(folder).items()
        for line, text in docstrings(module)
        if text and text.split()[0].strip(",:") in QUESTIONS
    ]
    assert questions == []


def test_names_of_tests_do_not_begin_with_a_question_word() -> None:
    questions = [
        f"{path}:{line}: {name}"
        for path, module in sources("tests").items()
        for line, name in names(module)
        if name.startswith("test_") and name.split("_")[1].capitalize() in QUESTIONS
    ]
    assert questions == []


@pytest.mark.parametrize("package", PACKAGES)
def test_names_are_nouns_and_not_participles(package: str) -> None:
    participles = [
        f"{path}:{line}: {name}"
        for path, module in sources(f"tiphys/{package}").items()
        for line, name in names(module)
        if is_participle(name)
    ]
    assert participles == []


def test_docstrings_are_found_wherever_they_stand() -> None:
    source = '"""What a module."""\nclass A:\n    """Who."""\n    b = 1\n    """Whether."""\n    def c(self):\n        """How."""\n'
    assert [text.split()[0].strip(".") for _, text in docstrings(ast.parse(source))] == ["What", "Who", "Whether", "How"]


def test_names_are_found_wherever_they_stand() -> None:
    source = (
        "import m as found\n"
        "def said(asked, *, told=1): self._made = 1\n"
        "class Wanted: pass\n"
        "lambda made: [found for found in asked]\n"
        "try: x\nexcept E as said: pass\n"
        "match x:\n    case [told, *made]: pass\n"
    )
    words = [name for _, name in sorted(names(ast.parse(source))) if is_participle(name)]
    assert words == ["found", "_made", "asked", "said", "told", "Wanted", "found", "made", "said", "made", "told"]
