"""The algebra of sets of fields, against plain sets of paths."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.api.machinery.apply import fieldset
from tiphys.api.machinery.apply.fieldset import Fields, from_paths, paths

ELEMENTS = st.sampled_from(["f:a", "f:b", 'k:{"name":"x"}', 'v:"y"', "i:0"])
PATHS = st.lists(ELEMENTS, min_size=1, max_size=3).map(tuple)
SETS = st.sets(PATHS, max_size=8)


def members(fields: Fields) -> set[tuple[str, ...]]:
    listed = list(paths(fields))
    assert len(listed) == len(set(listed))
    return set(listed)


@given(SETS)
def test_a_set_is_its_paths_and_survives_its_encoding(some: set[tuple[str, ...]]) -> None:
    fields = from_paths(some)
    assert members(fields) == some
    assert members(fieldset.parse(fieldset.encode(fields))) == some
    for path in some:
        assert fieldset.has(fields, path)
        assert fieldset.has(fields, path[:-1]) == (path[:-1] in some)


@given(SETS, SETS)
def test_union_difference_and_intersection(a: set[tuple[str, ...]], b: set[tuple[str, ...]]) -> None:
    left, right = from_paths(a), from_paths(b)
    before = fieldset.encode(left), fieldset.encode(right)
    assert members(fieldset.union(left, right)) == a | b
    assert members(fieldset.difference(left, right)) == a - b
    assert members(fieldset.intersection(left, right)) == a & b
    assert members(fieldset.parse(fieldset.raw_union(*before))) == a | b
    assert members(fieldset.parse(fieldset.raw_difference(*before))) == a - b
    assert (fieldset.encode(left), fieldset.encode(right)) == before, "no function changes its arguments"


@given(SETS, SETS)
def test_equal_sets_are_equal_bytes(a: set[tuple[str, ...]], b: set[tuple[str, ...]]) -> None:
    one = fieldset.encode(fieldset.union(from_paths(a), from_paths(b)))
    assert one == fieldset.encode(from_paths(sorted(a | b, reverse=True)))
    assert fieldset.encode(fieldset.difference(from_paths(a), from_paths(b))) == fieldset.encode(from_paths(a - b))
    if not a & b:
        assert fieldset.raw_difference(fieldset.encode(from_paths(a)), fieldset.encode(from_paths(b))) == fieldset.encode(from_paths(a))


def test_spelling_of_others_is_made_canonical() -> None:
    raw = b'{"f:l":{"k:{ \\"protocol\\": \\"TCP\\", \\"containerPort\\": 80 }":{".":{}},"v:\\"a\\"":{},"x:what":{}}}'
    assert fieldset.parse(raw) == {"f:l": {'k:{"containerPort":80,"protocol":"TCP"}': {}, 'v:"a"': {}}}


@pytest.mark.parametrize("raw", [b"{", b"[]", b'{"a":{}}', b'{"f:a":1}', b'{"k:x":{}}', b'{"k:[]":{}}', b'{"i:x":{}}', b'{"f:a":[]}'])
def test_rejects_invalid_sets(raw: bytes) -> None:
    with pytest.raises(ValueError):
        fieldset.parse(raw)


def test_paths_as_conflicts_name_them() -> None:
    path = ("f:spec", 'k:{"containerPort":80,"protocol":"TCP"}', "f:image", 'v:"x"', "i:3")
    assert fieldset.describe_path(path) == '.spec[containerPort=80,protocol="TCP"].image[="x"][3]'
    order = from_paths([("f:b", "f:c"), ("f:b",), ("f:a", "f:z")])
    assert list(paths(order)) == [("f:b",), ("f:a", "f:z"), ("f:b", "f:c")], "what is right below comes before what is deeper"
