"""Maps with keys in the worst order are encoded in order, quickly and without ending the process."""

from __future__ import annotations

import random
from types import ModuleType
from typing import Literal

import msgspec
import pytest

from tiphys.api.core import v1 as core
from tiphys.api.machinery import ordered


def worst(count: int) -> dict[str, str]:
    """A map that msgspec's own sort takes quadratic time and stack for."""
    return dict.fromkeys(["z", *(f"{number:06x}" for number in range(count))], "")


@pytest.mark.parametrize("order", ["deterministic", "sorted"])
def test_a_map_in_the_worst_order_is_encoded_in_order(order: Literal["deterministic", "sorted"]) -> None:
    encode = ordered.encoder(order)
    for value in (worst(200_000), {"a": [{"b": worst(200_000)}]}, core.ConfigMap(data=worst(200_000))):
        written = encode(value)
        assert written.index(b'"000000"') < written.index(b'"000001"') < written.index(b'"z"')


@pytest.mark.parametrize("codec", [msgspec.json, msgspec.msgpack])
def test_the_answer_does_not_depend_on_the_order_of_keys(codec: ModuleType) -> None:
    encode = ordered.encoder("deterministic", codec=codec)
    names = [f"{number}" for number in range(3000)]
    shuffled = random.Random(1).sample(names, len(names))
    assert encode(dict.fromkeys(names, 1)) == encode(dict.fromkeys(shuffled, 1))
    assert encode({"b": 1, "a": 2}) == encode({"a": 2, "b": 1})
