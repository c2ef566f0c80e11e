"""YAML texts as documents, and texts that are made to take long."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest

from tiphys.api.machinery.limits import MAX_DEPTH
from tiphys.api.machinery.yaml_events import MAX_NODES, STEP_EVENTS
from tiphys.api.machinery.yamldoc import YAMLError, load, parse

DOCUMENTS: list[tuple[str, Any]] = [
    ("", None),
    ("# nothing\n", None),
    ("--- \na: 1\n---\nb: 2\n", {"a": 1}),
    ("a: yes\nb: ~\nc: 0o17\nd: 017\ne: 0x1f\nf: 1_000\n", {"a": True, "b": None, "c": "0o17", "d": 15, "e": 31, "f": 1000}),
    ("a: 22:22\nb: 1:30:00\nc: 2026-01-01\nd: 1:30.5\n", {"a": "22:22", "b": "1:30:00", "c": "2026-01-01", "d": "1:30.5"}),
    ("a: '1'\nb: ! 1\nc: !!str 1\nd: !!int '1'\ne: !mine 1\n", {"a": "1", "b": 1, "c": "1", "d": 1, "e": "1"}),
    ("1: x\nyes: y\n~: z\n", {"1": "x", "true": "y", "null": "z"}),
    ("a: &a [1, &b x]\nb: *a\nc: *b\n", {"a": [1, "x"], "b": [1, "x"], "c": "x"}),
    ("a: &a 1\nb: &a 2\nc: *a\n", {"a": 1, "b": 2, "c": 2}),
    ("a: &a {x: 1, y: 1}\nb: {<<: [*a, {y: 2, z: 2}], x: 3}\n", {"a": {"x": 1, "y": 1}, "b": {"y": 1, "z": 2, "x": 3}}),
    ("a: <<\nb: [<<]\n", {"a": "<<", "b": ["<<"]}),
    ('{"a": [1.5, "x"],\n "b" : null}', {"a": [1.5, "x"], "b": None}),
    (f"a: {'1' * 5000}\n", {"a": "1" * 5000}),
]


@pytest.mark.parametrize(("text", "document"), DOCUMENTS)
def test_reads_documents(text: str, document: Any) -> None:
    assert load(text.encode()).document == document
    assert load(text.encode("utf-16")).document == document


def test_names_repeated_keys_with_their_lines() -> None:
    parsed = load(b"a: 1\nb: {c: 1,\n  c: 2}\na:\n  d: 1\n  d: 1\n")
    assert parsed.repetitions == [f'line {n}: key "{key}" already set in map' for n, key in ((3, "c"), (6, "d"), (4, "a"))]
    assert parsed.document.repeated == {"a": 2}
    assert load(b'{"a": 1,\n"a": 2}').repetitions == ['line 2: key "a" already set in map']
    assert len(load(b"".join(b"k%d: 1\nk%d: 2\n" % (n, n) for n in range(500))).repetitions) == 100


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: *b", "unknown anchor 'b' referenced"),
        ("a: &a {b: *a}", "contains itself"),
        ("[a]: b", "a key must be a scalar"),
        ("a: &a [b]\n*a : c", "a key must be a scalar"),
        ("<<: 1", "map merge requires map"),
        ("a: !!bool x", "cannot decode 'x' as a"),
        ("a: !!int ''", "cannot decode '' as a"),
        ("a: .inf", "cannot be said in JSON"),
        ("a: [", "while parsing"),
    ],
)
def test_refuses_what_is_no_document(text: str, reason: str) -> None:
    with pytest.raises(YAMLError, match=reason):
        load(text.encode())


@pytest.mark.parametrize("text", ["[{}", '{"a":{}', "- {}"], ids=["sequence", "mapping", "block"])
def test_refuses_deep_documents(text: str) -> None:
    def nested(levels: int) -> bytes:
        left, _, right = text.partition("{}")
        closing = {"[": "]", "{": "}"}.get(text[0], "")
        return (left * levels + "1" + (right + closing) * levels).encode()

    load(nested(MAX_DEPTH))
    with pytest.raises(YAMLError, match="nests too deeply"):
        load(nested(MAX_DEPTH + 1))


SIZE = 2_900_000
LARGE = {
    "maps in lists": b"x: [" + b"{a: [{a: b}]}, " * 170_000 + b"]",
    "scalars": b"[" + b"a," * (SIZE // 2) + b"]",
    "lines": b"-\n" * (SIZE // 2),
    "brackets": b"[" * SIZE,
    "tag directives": b"".join(b"%%TAG !a%d! x\n" % n for n in range(150_000)) + b"---\na: b\n",
    "tag directives after other line breaks": b"".join(b"%%TAG !a%d! x\xc2\x85" % n for n in range(150_000)) + b"---\na: b\n",
    "one long tag": b"%TAG !a! " + b"x" * 500_000 + b"\n--- [" + b"!a!x y," * 300_000 + b"]",
    "aliases": b"a: &a [" + b"x," * 1000 + b"]\nb: [" + b"*a," * (SIZE // 3) + b"]",
    "merges": b"a: &a {" + b"".join(b"k%d: v," % n for n in range(1000)) + b"}\nc: [" + b"{<<: *a}," * 250_000 + b"]",
}


@pytest.mark.parametrize("name", LARGE)
def test_gives_up_on_documents_past_the_limits(name: str) -> None:
    pauses = parse(LARGE[name])
    with pytest.raises(YAMLError, match=r"values|deeply|directives|aliasing"):
        list(islice(pauses, 2 * MAX_NODES // STEP_EVENTS))


NUMBERS = ["1" * SIZE, "1" + "_" * SIZE, "1" + ":00" * 900_000, "1" + ":00" * 900_000 + ".5"]


@pytest.mark.parametrize("number", NUMBERS, ids=["digits", "underscores", "base 60", "base 60 with a fraction"])
def test_leaves_endless_numbers_text(number: str) -> None:
    assert load(f"a: {number}".encode()).document == {"a": number}
