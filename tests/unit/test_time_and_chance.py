"""Generators of random numbers are injected (docs/development.md). The linter holds the rest of the rule; this it cannot express."""

from __future__ import annotations

import ast
from pathlib import Path

import tiphys

ROOT = Path(tiphys.__file__).parent


def unseeded(tree: ast.AST) -> list[int]:
    """The lines that make a generator without a seed, except as the default of one that may be given: `rng or random.Random()`."""
    defaults = {id(node.values[-1]) for node in ast.walk(tree) if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or)}
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Random", "random.Random")]
    return [call.lineno for call in calls if not call.args and id(call) not in defaults]


def test_generators_are_injected() -> None:
    suspects = [path for path in ROOT.rglob("*.py") if b"Random(" in path.read_bytes()]
    found = [f"{path.relative_to(ROOT)}:{line}" for path in suspects for line in unseeded(ast.parse(path.read_bytes()))]
    assert found == []


def test_the_rule_finds_what_it_forbids() -> None:
    source = "a = random.Random()\nb = given or Random()\nc = Random(1)\nrng = Random() if x else y\n"
    assert unseeded(ast.parse(source)) == [1, 4]
