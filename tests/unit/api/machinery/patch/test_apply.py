"""From a PATCH body to a patched document."""

from __future__ import annotations

import json

import pytest

from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import BadRequest, UnsupportedMediaType
from tiphys.api.machinery.patch import JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH, apply_patch


def test_each_format_is_told_by_its_content_type() -> None:
    containers = {"spec": {"containers": [{"name": "b"}]}}
    old = {"spec": {"containers": [{"name": "a"}]}}
    merged = apply_patch(core.Pod, json.loads(json.dumps(old)), json.dumps(containers).encode(), MERGE_PATCH)
    assert merged.document == containers
    strategic = apply_patch(
        core.Pod, json.loads(json.dumps(old)), json.dumps(containers).encode(), f"{STRATEGIC_MERGE_PATCH}; charset=utf-8"
    )
    assert strategic.document == {"spec": {"containers": [{"name": "b"}, {"name": "a"}]}}
    assert apply_patch(None, {}, b'[{"op":"add","path":"/a","value":1}]', JSON_PATCH).document == {"a": 1}


def test_problems_of_the_patch_are_told() -> None:
    body = b'{"spec":{"nodeName":"a","nodeName":"b"},"spec":{}}'
    got = apply_patch(core.Pod, {}, body, MERGE_PATCH, validation="Warn")
    assert got.problems == ['duplicate field "spec"']
    got = apply_patch(core.Pod, {}, b'[{"op":"add","path":"/a","value":1,"path":"/b","foo":1}]', JSON_PATCH, validation="Strict")
    assert got.problems == ['json patch unknown field "[0].foo"', 'json patch duplicate field "[0].path"']
    assert got.document == {"b": 1}
    assert apply_patch(core.Pod, {}, body, MERGE_PATCH).problems == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"3", b"[" * 9000, b"\xff"])
@pytest.mark.parametrize("validation", ["Ignore", "Strict"])
def test_rejects_invalid_merge_patches(body: bytes, validation: str) -> None:
    for media in (MERGE_PATCH, STRATEGIC_MERGE_PATCH):
        with pytest.raises(BadRequest, match="error decoding patch"):
            apply_patch(core.Pod, {}, body, media, validation=validation)  # type: ignore[arg-type]


def test_other_formats_are_refused() -> None:
    with pytest.raises(UnsupportedMediaType):
        apply_patch(core.Pod, {}, b"{}", "application/json")
    with pytest.raises(BadRequest, match="not an object"):
        apply_patch(core.Pod, {}, b'[{"op":"replace","path":"","value":[]}]', JSON_PATCH)


def test_no_more_problems_than_are_reported() -> None:
    unknown = b",".join(b'{"op":"add","path":"/b","value":1,"x%d":1}' % n for n in range(1000))
    problems = apply_patch(core.Pod, {}, b"[" + unknown + b"]", JSON_PATCH, validation="Warn").problems
    assert len(problems) == 100
    assert problems[99] == 'json patch unknown field "[99].x99"'
