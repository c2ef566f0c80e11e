"""Objects of every type are read from protobuf as they were written."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.api.machinery.protobuf.filling import fill, types
from tiphys.api.kinds import SCHEME
from tiphys.api.machinery.protobuf import is_known, open_envelope, read, write, write_object

KINDS = sorted(name for name, type_ in types().items() if "metadata" in type_.__struct_fields__)


def test_every_served_kind_has_a_message() -> None:
    assert all(is_known(kind.type) for kind in SCHEME)
    assert len(types()) > 500


@pytest.mark.parametrize("name", sorted(types()))
def test_full_objects(name: str) -> None:
    """Every field set, so that no field's number is left out."""
    type_ = types()[name]
    for seed in range(3):
        obj = fill(type_, random.Random(seed), density=1.0, depth=1)
        assert read(type_, write(type_, msgspec.json.decode(msgspec.json.encode(obj)))) == obj


@given(name=st.sampled_from(KINDS), seed=st.integers(0, 2**32), density=st.floats(0.05, 0.9))
@settings(max_examples=400, deadline=None)
def test_objects_filled_at_random(name: str, seed: int, density: float) -> None:
    type_ = types()[name]
    obj = fill(type_, random.Random(seed), density=density, depth=3)
    envelope = open_envelope(write_object(obj))
    assert (envelope.api_version, envelope.kind) == (getattr(obj, "apiVersion", ""), getattr(obj, "kind", ""))
    assert read(type_, envelope.raw) == obj
    assert write(type_, msgspec.json.decode(msgspec.json.encode(obj))) == envelope.raw
