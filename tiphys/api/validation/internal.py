"""Structs as errors quote them: the API's own refusals print objects with the names of their internal types, not those of the wire."""

from __future__ import annotations

from typing import Any, Final

import msgspec

_INITIALISMS: Final = {"seLinuxOptions": "SELinuxOptions"}


def internal(value: Any) -> Any:
    """A value to put into an error: fields in capitals, those without a value too, empty lists and maps as null."""
    if isinstance(value, msgspec.Struct):
        fields = msgspec.structs.fields(value)
        return {_name(field.encode_name): internal(getattr(value, field.name)) for field in fields}
    if isinstance(value, list):
        return [internal(item) for item in value] or None
    return value if value != {} else None


def _name(wire: str) -> str:
    return _INITIALISMS.get(wire) or wire[:1].upper() + wire[1:]
