"""Rules of kinds without a generation."""

from __future__ import annotations

from typing import Generic, TypeVar

from tiphys.api.machinery.scheme import Rules
from tiphys.api.meta.v1 import KubeObject

ObjectT = TypeVar("ObjectT", bound=KubeObject)


class Uncounted(Rules[ObjectT], Generic[ObjectT]):
    """Rules of kinds that have a spec but no generation."""

    counted = False

    def spec_changed(self, new: ObjectT, old: ObjectT) -> bool:
        return False
