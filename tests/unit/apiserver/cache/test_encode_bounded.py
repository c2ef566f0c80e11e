"""New objects are encoded in one pass, and safely whatever their maps hold."""

from __future__ import annotations

import pytest

from tiphys.api.core import v1 as core
from tiphys.api.kinds import SCHEME
from tiphys.api.machinery.limits import ObjectTooLarge
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.apiserver.cache.entry import EntryCodec
from tiphys.apiserver.verbs.pipeline import validate_new

PODS = SCHEME.of(core.Pod)


def worst(count: int) -> dict[str, str]:
    return dict.fromkeys(["z", *(f"{number:06x}" for number in range(count))], "")


@pytest.mark.parametrize("field", ["labels", "annotations"])
def test_large_maps_in_metadata_are_encoded_in_order(field: str) -> None:
    pod = core.Pod(metadata=ObjectMeta(name="a", namespace="b"), spec=core.PodSpec(nodeName="n"))
    setattr(pod.metadata, field, worst(100_000))
    value = EntryCodec(PODS).encode_bounded(pod, 20)
    assert value.index(b'"000000"') < value.index(b'"000001"') < value.index(b'"z"')


def test_large_maps_in_the_spec_are_encoded_in_order() -> None:
    pod = core.Pod(metadata=ObjectMeta(name="a", namespace="b"), spec=core.PodSpec(nodeSelector=worst(100_000)))
    value = EntryCodec(PODS).encode_bounded(pod, validate_new(PODS, pod)[2])
    assert value.index(b'"000000"') < value.index(b'"000001"') < value.index(b'"z"')


def test_a_new_object_is_written_as_any_other() -> None:
    pod = core.Pod(metadata=ObjectMeta(name="a", namespace="b", labels={"b": "1", "a": "2"}))
    pod.spec.nodeSelector = {"b": "1", "a": "2"}
    size = validate_new(PODS, pod)[2]
    assert size
    assert EntryCodec(PODS).encode_bounded(pod, size) == EntryCodec(PODS).encode_checked(pod)
    pod.metadata.annotations = {"a": "x" * 2_000_000}
    with pytest.raises(ObjectTooLarge):
        EntryCodec(PODS).encode_bounded(pod, size)
