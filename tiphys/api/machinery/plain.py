"""Plain JSON values: what `json` decodes to, without types."""

from __future__ import annotations

from typing import Any


def copied(value: Any) -> Any:
    """A JSON value of its own.

    It keeps no account of the objects that it has seen, as `copy.deepcopy` does, which takes long to build and is freed in one step.
    """
    if isinstance(value, dict):
        return {name: copied(item) for name, item in value.items()}
    return [copied(item) for item in value] if isinstance(value, list) else value
