"""The depth of documents is judged the same as by reading them, however many empty objects and brackets in texts they hold."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.api.machinery.errors import BadRequest
from tiphys.api.machinery.limits import MAX_DEPTH, check_depth

texts = st.text('{}[]"\\:a', max_size=4)
documents: st.SearchStrategy[Any] = st.recursive(
    texts | st.just({}) | st.just([]),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(texts, inside, max_size=4),
    max_leaves=40,
)


def depth(value: Any) -> int:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inside is None else 1 + max(map(depth, inside), default=0)


def nested(value: Any, levels: int) -> Any:
    for level in range(levels):
        value = [value] if level % 2 else {"}": value}
    return value


@given(documents, st.lists(documents, max_size=60), st.integers(-2, 2))
def test_depth_is_that_of_the_document(inner: Any, more: list[Any], near: int) -> None:
    levels = MAX_DEPTH + near
    document = [nested(inner, max(levels - depth(inner) - 1, 0)), *more, *([{}] * 300)]
    data = msgspec.json.encode(document)
    if depth(document) > MAX_DEPTH:
        with pytest.raises(BadRequest, match="nests too deeply"):
            check_depth(data)
    else:
        check_depth(data)
