"""JSONPath of printer columns, with paths and documents that are made to take long."""

from __future__ import annotations

from typing import Any

import pytest

from tiphys.api.custom.jsonpath import MAX_LENGTH, BadPath, compile_path

DOCUMENT = {
    "spec": {"a.b": 1, "items": [{"name": "x", "n": 1}, {"name": "y", "n": 2}], "deep": {"name": "z", "in": [{"name": "w"}]}},
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".spec.items[0].name", ["x"]),
        (".spec.items[ -1 ].name", ["y"]),
        (".spec.items[*].n", [1, 2]),
        (".spec.items[0:1].n", [1]),
        (".spec.items[ 0 : 2 : 1 ].n", [1, 2]),
        (".spec['a.b']", [1]),
        ('.spec.items[?( @.name == "y" )].n', [2]),
        (".spec.items[?(@.none)].n", []),
        (".spec..name", ["x", "y", "z", "w"]),
        (".spec.items[7]", []),
    ],
)
def test_finds_values_in_order(path: str, found: list[Any]) -> None:
    assert compile_path(path)(DOCUMENT) == found


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize("path", ["..a" * 6, "..a" * 1000, "..a[?(@..a..a..a)]" * 3])
def test_finds_nothing_where_the_search_would_not_end(path: str) -> None:
    assert compile_path(path)(nested(190)) == []


@pytest.mark.parametrize(
    "path",
    [
        "[?(" + " " * 4000,
        "[?(" + " " * 4000 + "x",
        "[1" + " " * 4000,
        "[" + " " * 4000 + ":" + " " * 40,
        "['" + "\\a" * 2000,
        ".items[?(@" + " " * 4000 + "x)]",
        ".a" * MAX_LENGTH,
        ".items[::0]",
        ".items[-]",
        ".items[:-]",
    ],
)
def test_refuses_absurd_paths(path: str) -> None:
    with pytest.raises(BadPath):
        compile_path(path)
