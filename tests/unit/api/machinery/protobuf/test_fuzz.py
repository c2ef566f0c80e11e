"""Any bytes of a client are answered with an object or a clear error, soon."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.unit.api.machinery.protobuf.filling import fill, types
from tiphys.api.apiextensions.v1 import JSONSchemaProps
from tiphys.api.core import v1 as core
from tiphys.api.machinery import codec
from tiphys.api.machinery.errors import BadRequest, UnsupportedMediaType
from tiphys.api.machinery.protobuf import Malformed, open_envelope, read, seal, write
from tiphys.api.machinery.protobuf.wire import remembered
from tiphys.api.meta import v1 as meta

NAMES = sorted(types())


def taken(type_: type[msgspec.Struct], data: bytes) -> None:
    """Read it; what can be read can be stored, and written again."""
    try:
        obj = read(type_, data)
    except Malformed:
        return
    assert write(type_, msgspec.json.decode(msgspec.json.encode(obj))) is not None
    assert msgspec.json.encode(obj)


@given(name=st.sampled_from(NAMES), data=st.binary(max_size=200))
@settings(max_examples=1500, deadline=None)
def test_random_bytes(name: str, data: bytes) -> None:
    taken(types()[name], data)


@given(name=st.sampled_from(NAMES), seed=st.integers(0, 1 << 32), data=st.data())
@settings(max_examples=600, deadline=None)
def test_damaged_messages(name: str, seed: int, data: st.DataObject) -> None:
    type_ = types()[name]
    raw = bytearray(write(type_, msgspec.json.decode(msgspec.json.encode(fill(type_, random.Random(seed), depth=2)))))
    cut = data.draw(st.integers(0, len(raw)))
    for _ in range(data.draw(st.integers(0, 3))):
        if raw:
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    taken(type_, bytes(raw[:cut]))
    taken(type_, bytes(raw))


@given(data=st.binary(max_size=100))
@example(data=b"\x0a\x02\x08\x01")
@settings(max_examples=1000, deadline=None)
def test_damaged_envelopes(data: bytes) -> None:
    try:
        envelope = open_envelope(b"k8s\0" + data)
    except Malformed:
        return
    assert isinstance(envelope.raw, bytes)


def test_deep_nesting_is_refused() -> None:
    raw = b""
    for _ in range(5000):
        size = len(raw)
        length = bytearray()
        while size > 127:
            length.append(size & 127 | 128)
            size >>= 7
        raw = b"\xd2\x01" + bytes((*length, size)) + raw  # not: a schema in a schema
    with pytest.raises(Malformed, match="max depth"):
        read(JSONSchemaProps, raw)
    with pytest.raises(Malformed):
        read(core.Pod, b"\xfb\x07" * 100_000)


def test_an_empty_value_in_a_message_leaves_its_field_out() -> None:
    raw = write(core.Pod, {"metadata": {"name": "p", "managedFields": [{"manager": "m", "fieldsV1": {}}]}})
    filled = b"\x3a\x04\x0a\x02{}"
    assert raw.count(filled) == 1
    damaged = raw.replace(filled, b"\x3a\x04\x42\x02{}")
    read_back = msgspec.json.decode(msgspec.json.encode(read(core.Pod, damaged)))
    assert read_back["metadata"]["managedFields"] == [{"manager": "m"}]


def test_bodies_that_cannot_be_read_are_bad_requests() -> None:
    media = codec.PROTOBUF

    def refusal(body: bytes) -> str:
        with pytest.raises(BadRequest) as caught:
            codec.decode(core.Pod, body, content_type=media)
        return caught.value.message

    assert refusal(b"").startswith("the object provided is unrecognized (must be of type Pod): empty data")
    assert "does not appear to be a protobuf message, expected prefix [107 56 115 0]" in refusal(b'{"kind":"Pod"}')
    assert refusal(seal("v1", "Pod", b"\x0a\xff")) == 'Pod in version "v1" cannot be handled as a Pod: unexpected EOF'
    assert "the API version in the data (v2)" in refusal(seal("v2", "Pod", b""))
    assert "converting (v1.Service) to (v1.Pod): unknown conversion" in refusal(seal("v1", "Service", b""))


def test_bodies_are_what_the_path_serves() -> None:
    got = codec.decode(
        core.Pod, seal("", "", write(core.Pod, {"metadata": {"name": "p"}})), content_type=f"{codec.PROTOBUF}; charset=x"
    ).obj
    assert (got.apiVersion, got.kind, got.metadata.name) == ("v1", "Pod", "p")
    options = codec.decode(meta.DeleteOptions, seal("policy/v1", "DeleteOptions", bytes.fromhex("0800")), content_type=codec.PROTOBUF).obj
    assert options.gracePeriodSeconds == 0


def test_types_without_a_message_are_not_taken() -> None:
    class Custom(msgspec.Struct):
        name: str = ""

    with pytest.raises(UnsupportedMediaType, match=r"application/json, application/yaml$"):
        codec.decode(Custom, b"k8s\0", content_type=codec.PROTOBUF)


def test_long_values_are_not_remembered() -> None:
    made = []

    def measure(data: bytes) -> int:
        made.append(data)
        return len(data)

    kept = remembered(measure)
    for data in (b"a", b"a", b"x" * 1000, b"x" * 1000):
        assert kept(data) == len(data)
    assert made == [b"a", b"x" * 1000, b"x" * 1000]
