"""Settings of the controllers: one part per loop, each with its defaults beside the loop."""

from __future__ import annotations

from typing import TypeVar

from tiphys.runtime import LoopSettings

S = TypeVar("S", bound=LoopSettings)


class ControllerSettings:
    """Settings that differ from their defaults, by type."""

    def __init__(self, *parts: LoopSettings) -> None:
        self._parts = {type(part): part for part in parts}
        if len(self._parts) != len(parts):
            raise ValueError("two parts are of the same type")

    def of(self, type_: type[S]) -> S:
        """Return the part of a type; its defaults when there is none."""
        part = self._parts.get(type_)
        return part if isinstance(part, type_) else type_()
