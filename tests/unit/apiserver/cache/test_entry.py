"""Objects as bytes: their first fields, in objects and in lists, and bytes that earlier versions stored."""

from __future__ import annotations

import msgspec
import pytest

from tiphys.api.apps.v1 import Deployment
from tiphys.api.core.v1 import Pod
from tiphys.api.kinds import SCHEME
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.apiserver.cache.entry import EntryCodec

PODS, DEPLOYMENTS = EntryCodec(SCHEME.of(Pod)), EntryCodec(SCHEME.of(Deployment))


@pytest.mark.parametrize("kind", list(SCHEME), ids=lambda kind: kind.ident)
def test_built_in_objects_begin_with_their_kind(kind: object) -> None:
    codec = EntryCodec(kind)  # type: ignore[arg-type]
    obj = codec.kind.type(metadata=ObjectMeta(name="a"))
    data = codec.entry(codec.encode(obj), 7, obj).data
    expected = f'{{"kind":"{codec.kind.kind}","apiVersion":"{codec.kind.api_version}","metadata":{{"resourceVersion":"7","name":"a"'
    assert data.startswith(expected.encode())


def test_bytes_of_earlier_versions_are_read_and_shown_like_new_ones() -> None:
    new = DEPLOYMENTS.encode(Deployment(metadata=ObjectMeta(name="a", namespace="n")))
    old = new.replace(b'{"kind":"Deployment","apiVersion":"apps/v1",', b'{"apiVersion":"apps/v1","kind":"Deployment",')
    assert old != new
    assert DEPLOYMENTS.entry(old, 7) == DEPLOYMENTS.entry(new, 7)
    assert DEPLOYMENTS.strip(DEPLOYMENTS.entry(old, 7).data) == new


def test_items_of_a_list_have_no_type() -> None:
    pods = [Pod(metadata=ObjectMeta(name=name, labels={"kind": "x", "apiVersion": "y"})) for name in "ab"]
    entries = [PODS.entry(PODS.encode(pod), 7, pod) for pod in pods]
    items = msgspec.json.decode(PODS.join(b"[", entries, b"]"))
    assert [item["metadata"]["name"] for item in items] == ["a", "b"]
    assert all(next(iter(item)) == "metadata" for item in items)
    assert PODS.join(b"[", [], b"]") == b"[]"
