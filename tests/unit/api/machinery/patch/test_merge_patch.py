"""JSON merge patch: RFC 7386."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.api.machinery.patch import merge_patch, strategic_merge

RFC: list[tuple[Any, Any, Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ({"a": "foo"}, ["x"], ["x"]),
]


@pytest.mark.parametrize(("document", "patch", "expected"), RFC)
def test_examples_of_the_rfc(document: Any, patch: Any, expected: Any) -> None:
    before = copy.deepcopy(patch)
    assert merge_patch(document, patch) == expected
    assert patch == before


values = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
documents = st.dictionaries(st.sampled_from("abc"), values, max_size=3)


def difference(old: Any, new: Any) -> Any:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    return patch | {
        key: difference(old[key], new[key]) if key in old else new[key] for key in new if old.get(key) != new[key] or key not in old
    }


@given(documents, documents)
def test_a_difference_leads_from_old_to_new(old: Any, new: Any) -> None:
    assert merge_patch(copy.deepcopy(old), difference(old, new)) == new


@given(documents, documents)
def test_without_types_a_strategic_merge_is_a_merge(old: Any, new: Any) -> None:
    patch = difference(old, new)
    assert strategic_merge(None, copy.deepcopy(old), patch) == merge_patch(copy.deepcopy(old), patch)


@given(documents, documents)
def test_the_result_shares_nothing_with_the_patch(old: Any, patch: Any) -> None:
    before = copy.deepcopy(patch)
    once = merge_patch(old, patch)
    merge_patch(once, {"a": {"x": {"y": 1}}, "b": None})
    assert patch == before
