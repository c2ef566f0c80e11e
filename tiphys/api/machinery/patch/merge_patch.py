"""JSON merge patch, RFC 7386."""

from __future__ import annotations

from typing import Any


def merge_patch(document: Any, patch: Any) -> Any:
    """The document after the patch: maps are merged, nulls delete, everything else replaces.

    The document is changed in place where it can be; the patch is not, and shares nothing changeable with the result.
    """
    if not isinstance(patch, dict):
        return _fresh(patch)
    target: dict[str, Any] = document if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            target[key] = merge_patch(target.get(key), value)
        else:
            target[key] = _fresh(value)
    return target


def _fresh(value: Any) -> Any:
    """A copy; nulls that stand in maps within a list mean absence there too, as upstream has it."""
    if isinstance(value, dict):
        return {key: _fresh(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_fresh(item) for item in value]
    return value
