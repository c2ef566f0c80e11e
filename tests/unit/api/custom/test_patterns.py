"""Patterns of schemas: Go's syntax, and a cost that no pattern and no text can drive up."""

# One case to a line.
# ruff: noqa: E501

from __future__ import annotations

import time

import pytest

from tiphys.api.custom.patterns import MAX_LENGTH, BadPattern, compile_pattern
from tiphys.api.custom.structural import compile_schema
from tiphys.api.custom.values import validate

MATCHES = (
    ("^a+$", "aa", "aa\n"),
    (r"^\d+\z", "12", "１２"),
    ("^[[:alpha:]]+$", "abc", "a1"),
    ("^[[:^alpha:]]+$", "12", "a1"),
    (r"^\p{Lu}\pL*$", "Éa", "éa"),
    (r"^\pN+$", "½2", "a"),
    (r"^[\p{L}-]+$", "ä-b", "1"),
    (r"^[^\PL1]+$", "ä", "1"),
    (r"^\p{^L}$", "1", "a"),
    (r"^\p{Letter}+$", "aä", "1"),
    (r"^\P{Letter}+$", "1", "a"),
    (r"^\p{greek}$", "λ", "l"),
    (r"^[\p{ASCII}ä]+$", "aä", "ö"),
    (r"^\P{ASCII}$", "ä", "a"),
    (r"^\Qa.b\E$", "a.b", "aXb"),
    (r"^\Q\C(\E$", r"\C(", "C("),
    (r"^(?P<n>a|b)$", "b", "c"),
    (r"^(?<n>a)$", "a", "b"),
    (r"^(?P<n>a)(?P<n>b)$", "ab", "a"),
    ("(?i)^AB$", "ab", "abc"),
    ("^(?i)(open|shut)?$", "OPEN", "ajar"),
    ("^((?i)mon|tues)day$", "MONday", "MonDAY"),
    ("^(?i:a)b$", "Ab", "AB"),
    ("(?m)^a$", "b\na", "ba"),
    ("^(?s:.)$", "\n", "ab"),
    ("^(?s-i:a.)$", "a\n", "A\n"),
    ("^(?U)a+$", "aaa", "b"),
    (r"^\x{e4}$", "ä", "a"),
    (r"^\07$", "\a", "7"),
    ("^[]a]$", "]", "b"),
    (r"^[a\](]$", "(", "b"),
    ("^[[:alpha:](]+$", "a(", "1"),
    (r"^a{1000}$", "a" * 1000, "a" * 999),
    ("^a{,2}$", "a{,2}", "aa"),
    ("^(|a)*$", "aa", "b"),
    (r"^\_$", "_", "a"),
    (r"\bword\b", "a word", "words"),
    ("^.$", "é", "ab"),
    ("^" + "(" * 998 + "a" + ")" * 998 + "$", "a", "b"),
)
REFUSED = (
    "(", ")", "a)", "(?=a)", "(?!a)", "(?<=a)", "(?<!a)b", "(?>a)", "(?#c)a", "(?x)a", "(?P=n)", "(?i", "(?P<n", "(?P<>a)", "(?P<a b>c)", "(?P<é>a)",
    "[a", "[z-a]", r"[a-\d]", "[[:nonsense:]]", "*", "a|*", "a**", "a++", "x{2}{3}", "a{1001}", "(a{100}){100}", "a{2,1}", r"\p{Nonsense}", r"\pX",
    "a\\", r"\C", r"[\C]", r"(a)\1", r"\8", r"\Z", r"\h", r"\K", r"\é", r"\u00e9", r"\x{110000}", "\ud800", "(" * 1001 + ")" * 1001,
)  # fmt: skip


@pytest.mark.parametrize(("pattern", "right", "wrong"), MATCHES)
def test_matches_as_go(pattern: str, right: str, wrong: str) -> None:
    compiled = compile_pattern(pattern)
    assert compiled.search(right)
    assert not compiled.search(wrong)


@pytest.mark.parametrize("pattern", REFUSED)
def test_rejects_as_go(pattern: str) -> None:
    with pytest.raises(BadPattern, match="error parsing regexp"):
        compile_pattern(pattern)


@pytest.mark.parametrize("pattern", ["(a+)+$", "^((s|m|h)+)+$", "(a|aa)+$", "(.*a){20}b"])
def test_matches_in_linear_time(pattern: str) -> None:
    """A backtracking engine needs more steps than the universe has seconds."""
    began = time.process_time()
    compile_pattern(pattern).search("a" * 100_000 + "m" * 100_000 + "!")
    assert time.process_time() - began < 5


def test_rejects_patterns_that_take_much_memory() -> None:
    with pytest.raises(BadPattern, match="too large"):
        compile_pattern(r"\pL{1000}")


@pytest.mark.parametrize("piece", ["\\p{", "(?<", "(?P<", "[[:", "a{1000}"])
def test_rejects_endless_patterns(piece: str) -> None:
    for length in (MAX_LENGTH, 1_000_000):
        with pytest.raises(BadPattern):
            compile_pattern(piece * (length // len(piece)))


def test_says_nothing_on_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BadPattern):
        compile_pattern("(unclosed")
    assert capfd.readouterr().err == ""


def test_a_value_is_judged_by_the_pattern() -> None:
    node = compile_schema({"type": "string", "pattern": "^(?i)(open|shut)?$"})
    assert validate("OPEN", node) == []
    assert len(validate("ajar", node)) == 1
