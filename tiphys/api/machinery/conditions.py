"""Reading conditions, which have a type and a status ("True", "False", "Unknown") in every kind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class ConditionLike(Protocol):
    """The fields that all conditions have."""

    @property
    def type(self) -> str: ...
    @property
    def status(self) -> str: ...


def is_true(conditions: Iterable[ConditionLike], type_: str) -> bool:
    """Return whether the condition of a type is there with the status "True"."""
    return any(condition.type == type_ and condition.status == "True" for condition in conditions)


def status_of(conditions: Iterable[ConditionLike], type_: str) -> str:
    """Return the status of the condition of a type, "" when there is none."""
    return next((condition.status for condition in conditions if condition.type == type_), "")
