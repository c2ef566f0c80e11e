"""Patterns, formats, paths, and the coercing of documents."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tiphys.api.custom import coerce
from tiphys.api.custom.formats import checker, is_known
from tiphys.api.custom.jsonpath import BadPath, cell, compile_path
from tiphys.api.custom.structural import compile_schema
from tiphys.api.machinery.budget import Budget


@pytest.mark.parametrize(
    ("format_", "right", "wrong"),
    [
        ("date-time", "2026-01-02T03:04:05Z", "2026-13-02T03:04:05Z"),
        ("date", "2026-01-02", "2026-1-2"),
        ("ipv4", "10.0.0.1", "10.0.0.256"),
        ("ipv6", "::1", "10.0.0.1"),
        ("cidr", "10.0.0.0/8", "10.0.0.0"),
        ("mac", "00:1a:2B:3c:4d:5e", "00:1a"),
        ("uuid", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "6ba7b810"),
        ("hostname", "a.example.com", "-a"),
        ("email", "a@example.com", "a"),
        ("uri", "https://example.com/x", "example.com"),
        ("byte", "YQ==", "not base64!"),
        ("duration", "1h30m", "soon"),
        ("hexcolor", "#aabbcc", "#aabbc"),
        ("isbn", "978-0321751041", "978-0321751042"),
        ("creditcard", "4111 1111 1111 1111", "4111 1111 1111 1112"),
        ("k8s-short-name", "abc", "a.b"),
    ],
)
def test_formats(format_: str, right: str, wrong: str) -> None:
    check = checker(format_)
    assert check is not None
    assert check(right)
    assert not check(wrong)


def test_formats_by_type() -> None:
    assert is_known("int32", "integer")
    assert not is_known("int32", "string")
    assert not is_known("tea", "")


DOCUMENT: dict[str, Any] = {
    "spec": {"a.b": 1, "list": [{"n": "x", "v": 1}, {"n": "y", "v": 2}], "deep": {"n": "z"}, "when": "2026-01-01T00:00:00Z"},
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".spec.list[0].n", ["x"]),
        (".spec.list[-1].n", ["y"]),
        (".spec.list[*].v", [1, 2]),
        (".spec.list[0:1].v", [1]),
        ('.spec.list[?(@.n=="y")].v', [2]),
        (".spec.list[?(@.v>1)].n", ["y"]),
        (".spec['a.b']", [1]),
        (r".spec.a\.b", [1]),
        ("..n", ["x", "y", "z"]),
        (".spec.none.more", []),
    ],
)
def test_paths(path: str, found: list[Any]) -> None:
    assert compile_path(path)(DOCUMENT) == found


@pytest.mark.parametrize("path", [".a[", ".a[x]", "[?(b)]", "$$"])
def test_rejects_invalid_paths(path: str) -> None:
    with pytest.raises(BadPath):
        compile_path(path)


def test_cells() -> None:
    now = datetime(2026, 1, 1, 0, 5, tzinfo=UTC)
    assert cell(".spec.when", "date")(DOCUMENT, now, Budget(100)) == "5m"
    assert cell(".spec.deep", "string")(DOCUMENT, now, Budget(100)) == '{"n":"z"}'
    assert cell(".spec.deep.n", "integer")(DOCUMENT, now, Budget(100)) is None
    assert cell(".spec.deep.n", "date")(DOCUMENT, now, Budget(100)) == "<invalid>"


def test_pruning_defaults_and_nulls() -> None:
    node = compile_schema(
        {
            "type": "object",
            "properties": {
                "a": {
                    "type": "object",
                    "default": {"n": 1},
                    "properties": {"n": {"type": "integer"}, "m": {"type": "integer", "default": 2}},
                },
                "no": {"type": "string"},
                "may": {"type": "string", "nullable": True},
                "set": {"type": "string", "default": "d"},
                "map": {"type": "object", "additionalProperties": {"type": "string", "default": "e"}},
            },
        }
    )
    content: dict[str, Any] = {"no": None, "may": None, "set": None, "map": {"k": None}, "odd": {"x": 1}, "kind": "K"}
    assert coerce.prune_root(content, node) == ["odd"]
    coerce.drop_nulls(content, node)
    coerce.default(content, node)
    assert content == {"may": None, "set": "d", "map": {"k": "e"}, "a": {"n": 1, "m": 2}, "kind": "K"}
    content["a"]["n"] = 9
    fresh: dict[str, Any] = {}
    coerce.default(fresh, node)
    assert fresh["a"] == {"n": 1, "m": 2}
