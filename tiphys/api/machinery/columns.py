"""Pieces of table cells: ages, names, lists, as `kubectl get` shows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from tiphys.api.machinery.base import parse_micro_time
from tiphys.api.machinery.budget import Budget
from tiphys.api.machinery.scheme import Column
from tiphys.api.machinery.selectors import SelectorError, from_label_selector
from tiphys.api.meta.v1 import LabelSelector

NONE = "<none>"

UNKNOWN = "<unknown>"


MAX_ROW, PER_ROW = 20_000, 2_000
"""Steps that the metered cells of one row may take, a few milliseconds, and those of each row of an answer on average."""


class Row:
    """An object in a table, as metered columns see it."""

    __slots__ = ("budget", "document", "now", "obj")

    def __init__(self, obj: Any, now: datetime, budget: Budget) -> None:
        self.obj = obj
        self.now = now
        self.budget = budget
        self.document: Any = None
        """The whole object as a document, once a column has asked for it."""


class Meter:
    """The budget of the rows of an answer or a watch: a costly row takes from those after it."""

    def __init__(self) -> None:
        self._budget = Budget(MAX_ROW)

    def cells(self, columns: Sequence[Column], obj: Any, now: datetime) -> list[Any]:
        """Return the cells of an object."""
        if columns[-1].metered is None:  # Those that users define come last.
            return [column.cell(obj, now) for column in columns]
        budget = self._budget
        budget.left = min(max(budget.left, 0) + PER_ROW, MAX_ROW)
        row = Row(obj, now, budget)
        return [column.cell(obj, now) if column.metered is None else column.metered(row) for column in columns]


def duration(seconds: float) -> str:
    """A length of time in two or three figures: `45s`, `5m30s`, `3h20m`, `4d`, `2y10d`."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    if whole < 120:
        return f"{max(whole, 0)}s"
    minutes, hours = whole // 60, whole // 3600
    if minutes < 10:
        return _pair(minutes, "m", whole % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _pair(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    days = hours // 24
    if days < 8:
        return _pair(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    if days < 365 * 8:
        return _pair(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def _pair(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large}{large_unit}{small}{small_unit}" if small else f"{large}{large_unit}"


def since(moment: datetime | str | None, now: datetime) -> str:
    """Return the time since a moment, as people read it."""
    if not moment:
        return UNKNOWN
    if isinstance(moment, str):
        moment = parse_micro_time(moment)
    return duration((now - moment).total_seconds())


def age_cell(obj: Any, now: datetime) -> str:
    return since(obj.metadata.creationTimestamp, now)


def cell(read: Callable[[Any], Any]) -> Callable[[Any, datetime], Any]:
    """A cell that does not depend on the time."""
    return lambda obj, _: read(obj)


def of_stored(columns: Sequence[Column], to_stored: Callable[[Any], Any]) -> tuple[Column, ...]:
    """The columns of a stored kind, for objects of another kind that is served over its storage."""

    def over(column: Column) -> Column:
        return replace(column, cell=lambda obj, now: column.cell(to_stored(obj), now))

    return tuple(over(column) for column in columns)


NAME = Column("Name", cell(lambda obj: obj.metadata.name), format="name", description="The object's name, unique within its namespace.")

AGE = Column("Age", age_cell, description="How long ago the object was created.")


def _created(obj: Any, _: datetime) -> str | None:
    created = obj.metadata.creationTimestamp
    return created.strftime("%Y-%m-%dT%H:%M:%SZ") if created else None


DEFAULT: tuple[Column, ...] = (NAME, Column("Created At", _created, type="date", description="When the object was created."))
"""The table of kinds that have none of their own."""


def format_labels(labels: Mapping[str, str]) -> str:
    """`a=1,b=2`, sorted."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or NONE


def format_selector(selector: LabelSelector | None) -> str:
    """A label selector in the notation of `kubectl -l`."""
    try:
        return str(from_label_selector(selector)) or NONE
    except SelectorError:
        return "<error>"


def first_three(values: Sequence[str]) -> str:
    """At most three values and how many more there are."""
    if not values:
        return NONE
    shown = ",".join(values[:3])
    return f"{shown} + {len(values) - 3} more..." if len(values) > 3 else shown
