"""JSON patch: RFC 6902, with the texts that clients know."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.api.machinery.errors import BadRequest, Invalid, TooLarge
from tiphys.api.machinery.patch import json_patch

WORKING: list[tuple[Any, list[Any], Any]] = [
    ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"foo": "bar", "baz": "qux"}),
    ({"foo": ["bar", "baz"]}, [{"op": "add", "path": "/foo/1", "value": "qux"}], {"foo": ["bar", "qux", "baz"]}),
    ({"foo": ["bar"]}, [{"op": "add", "path": "/foo/-", "value": ["abc"]}], {"foo": ["bar", ["abc"]]}),
    ({"foo": ["bar"]}, [{"op": "add", "path": "/foo/-1", "value": "x"}], {"foo": ["bar", "x"]}),
    ({"a": 1, "b": 2}, [{"op": "remove", "path": "/a"}], {"b": 2}),
    ({"a": [1, 2, 3]}, [{"op": "remove", "path": "/a/-1"}], {"a": [1, 2]}),
    ({"a": [1, 2, 3]}, [{"op": "replace", "path": "/a/1", "value": None}], {"a": [1, None, 3]}),
    ({}, [{"op": "replace", "path": "/new", "value": 1}], {"new": 1}),
    ({"a": 1}, [{"op": "replace", "path": "", "value": {"b": 2}}], {"b": 2}),
    ({"a": {"b": 1}, "c": {}}, [{"op": "move", "from": "/a/b", "path": "/c/d"}], {"a": {}, "c": {"d": 1}}),
    ({"a": [1, 2, 3, 4]}, [{"op": "move", "from": "/a/1", "path": "/a/3"}], {"a": [1, 3, 4, 2]}),
    ({"a": {"b": 1}}, [{"op": "copy", "from": "/a", "path": "/c"}], {"a": {"b": 1}, "c": {"b": 1}}),
    ({"/": 9, "~1": 10}, [{"op": "test", "path": "/~1", "value": 9}, {"op": "test", "path": "/~01", "value": 10}], {"/": 9, "~1": 10}),
    ({"a": 1.0}, [{"op": "test", "path": "/a", "value": 1}, {"op": "test", "path": "/gone", "value": None}], {"a": 1.0}),
    ({"metadata": {"labels": {"a/b": "x"}}}, [{"op": "remove", "path": "/metadata/labels/a~1b"}], {"metadata": {"labels": {}}}),
]


@pytest.mark.parametrize(("document", "operations", "expected"), WORKING)
def test_operations(document: Any, operations: list[Any], expected: Any) -> None:
    before = copy.deepcopy(operations)
    assert json_patch(copy.deepcopy(document), operations) == expected
    assert operations == before


FAILING: list[tuple[Any, Any, str]] = [
    ({"a": 1}, {"op": "test", "path": "/a", "value": 2}, "testing value /a failed: test failed"),
    ({"a": 1}, {"op": "test", "path": "/a", "value": True}, "testing value /a failed: test failed"),
    ({"a": 1}, {"op": "remove", "path": "/b"}, "error in remove for path: '/b': Unable to remove nonexistent key: b: missing value"),
    ({"a": []}, {"op": "remove", "path": "/a/0"}, "Unable to access invalid index: 0: invalid index referenced"),
    ({"a": []}, {"op": "add", "path": "/a/2", "value": 1}, "Unable to access invalid index: 2: invalid index referenced"),
    ({"a": []}, {"op": "add", "path": "/a/x", "value": 1}, "value was not a proper array index: 'x'"),
    ({"a": [0]}, {"op": "replace", "path": "/a/0_0", "value": 1}, "value was not a proper array index: '0_0'"),
    ({"a": [0]}, {"op": "replace", "path": "/a/ 0", "value": 1}, "value was not a proper array index: ' 0'"),
    ({"a": [0]}, {"op": "replace", "path": "/a/\u0660", "value": 1}, "value was not a proper array index: '\u0660'"),
    ({"a": [0]}, {"op": "replace", "path": f"/a/{'0' * 5000}", "value": 1}, "value was not a proper array index: '000"),
    ({}, {"op": "add", "path": "/a/b", "value": 1}, 'add operation does not apply: doc is missing path: "/a/b": missing value'),
    ({"a": 1}, {"op": "add", "path": "/a/b", "value": 1}, 'add operation does not apply: doc is missing path: "/a/b"'),
    ({"a": []}, {"op": "replace", "path": "/a/0", "value": 1}, "replace operation does not apply: doc is missing key: /a/0: missing value"),
    ({}, {"op": "replace", "path": "/a/b", "value": 1}, "replace operation does not apply: doc is missing path: /a/b: missing value"),
    ({}, {"op": "move", "path": "/a"}, "missing from field"),
    ({}, {"op": "jump", "path": "/a"}, "Unexpected kind: jump"),
    ({}, {"path": "/a"}, "Unexpected kind: unknown"),
    ({}, {"op": "add"}, "add operation failed to decode path: missing value"),
]


@pytest.mark.parametrize(("document", "operation", "text"), FAILING)
def test_rejects_operations_that_do_not_apply(document: Any, operation: Any, text: str) -> None:
    with pytest.raises(Invalid) as caught:
        json_patch(document, [operation])
    assert caught.value.message.startswith("the server rejected our request due to an error in our request")
    assert text in caught.value.message
    assert caught.value.code == 422


@pytest.mark.parametrize("operations", [{"op": "add"}, "x", None, [1], 7])
def test_rejects_invalid_patches(operations: Any) -> None:
    with pytest.raises(BadRequest, match="error decoding patch"):
        json_patch({}, operations)


def test_size_is_bounded() -> None:
    with pytest.raises(TooLarge, match="maximum operations in a JSON patch is 10000, got 10001"):
        json_patch({}, [{"op": "test", "path": "/a"}] * 10_001)
    doubling = [{"op": "copy", "from": "/a", "path": "/a/-"} for _ in range(64)]
    with pytest.raises(Invalid, match="accumulated size increase"):
        json_patch({"a": ["x" * 100]}, doubling)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab~/", max_size=2), inner, max_size=3),
    max_leaves=8,
)


def pointers(value: Any, prefix: str = "") -> list[str]:
    found = []
    pairs: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        pairs = [(key.replace("~", "~0").replace("/", "~1"), item) for key, item in value.items()]
    elif isinstance(value, list):
        pairs = [(str(index), item) for index, item in enumerate(value)]
    for key, item in pairs:
        found += [f"{prefix}/{key}", *pointers(item, f"{prefix}/{key}")]
    return found


@given(st.dictionaries(st.text("ab~/", max_size=2), values, min_size=1, max_size=3), st.data(), values)
def test_every_place_can_be_tested_removed_and_put_back(document: Any, data: st.DataObject, other: Any) -> None:
    path = data.draw(st.sampled_from(pointers(document)))
    value = document
    for part in path.split("/")[1:]:
        value = value[int(part)] if isinstance(value, list) else value[part.replace("~1", "/").replace("~0", "~")]
    before = copy.deepcopy(document)
    operations = [
        {"op": "test", "path": path, "value": value},
        {"op": "replace", "path": path, "value": other},
        {"op": "test", "path": path, "value": other},
        {"op": "remove", "path": path},
        {"op": "add", "path": path, "value": value},
    ]
    assert json_patch(document, copy.deepcopy(operations)) == before
