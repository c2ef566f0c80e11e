"""Encoders that write the keys of maps in order, safe for every map.

msgspec sorts keys by a recursive quicksort: a map of some ten thousand keys in a bad order takes it seconds, and one of sixty thousand
overflows the stack of the process. Keys that are in order already are harmless, so large maps are sorted here first.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, Literal

import msgspec

SAFE_BYTES = 16 << 10
"""Encoded size up to which no map inside can hold enough keys (some 2,700) to matter: the worst order costs milliseconds."""
LARGE_MAP = 500
"""Keys from which on a map is sorted here."""

Encode = Callable[[Any], bytes]


def encoder(order: Literal["deterministic", "sorted"], *, codec: ModuleType = msgspec.json) -> Encode:
    """Return a function that encodes with the keys of maps in order, and with "sorted" the fields of Structs as well.

    Large maps inside the value are put in order in place, which does not change their meaning.
    """
    plain: Encode = codec.Encoder().encode
    ordered = small_encoder(order, codec=codec)

    def encode(value: Any) -> bytes:
        if len(plain(value)) > SAFE_BYTES:
            sort_large_maps(value)
        return ordered(value)

    return encode


def small_encoder(order: Literal["deterministic", "sorted"], *, codec: ModuleType = msgspec.json) -> Encode:
    """Return `encoder` in one pass, for values known to hold no large map, such as those that come from SAFE_BYTES of JSON."""
    encode: Encode = codec.Encoder(order=order).encode
    return encode


def sort_large_maps(value: Any) -> None:
    """Put the keys of every large map inside a value in order, in place and without recursion."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if len(one) >= LARGE_MAP:
                items = sorted(one.items(), key=_name)
                one.clear()
                one.update(items)
            waiting.extend(one.values())
        elif isinstance(one, list | tuple):
            waiting.extend(one)
        elif isinstance(one, msgspec.Struct):
            waiting.extend([getattr(one, name) for name in one.__struct_fields__])


def _name(item: tuple[Any, Any]) -> str:
    return str(item[0])
