"""The checksum of upstream's checkpoints: FNV-1a, 32 bits, of the text that Go's spew package writes for a value.

A checkpoint that Tiphys writes can thus be read by upstream's kubelet, and the other way round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def fnv32a(text: str) -> int:
    """Return the FNV-1a hash of a text in UTF-8."""
    value = 0x811C9DC5
    for byte in text.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


class Typed:
    """A value with the name of its type in Go, which begins with `*` for a pointer."""

    def __init__(self, type_: str, value: object) -> None:
        self.type = type_
        self.value = value


class Fields(dict[str, object]):
    """A struct of Go: its fields in order, with their types."""


def dumped(value: object) -> str:
    """Return the text of a value, with its type if it is known. Inside maps and lists types are left out, except in structs."""
    return f"({value.type}){_bare(value.value)}" if isinstance(value, Typed) else _bare(value)


def _bare(value: object) -> str:
    if isinstance(value, Typed):
        return f"{'<*>' if value.type.startswith('*') else ''}{_bare(value.value)}"
    if isinstance(value, Fields):
        return "{" + " ".join(f"{name}:{dumped(field)}" for name, field in value.items()) + "}"
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "map[" + " ".join(f"{_bare(key)}:{_bare(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + " ".join(_bare(item) for item in value) + "]"
    return str(value)
