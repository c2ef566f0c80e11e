"""Strings as numbers: node labels as columns of codes, so that a filter looks at each distinct value once instead of at each node."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
Rows = slice | Ints
"""Rows of the cluster: all of them as a slice, or some by number."""

ABSENT = -1
V = TypeVar("V", bound=Hashable)


def grown(array: npt.NDArray[Any], rows: int, fill: Any = 0) -> npt.NDArray[Any]:
    """Return a copy of the array with more rows."""
    bigger = np.full((rows, *array.shape[1:]), fill, dtype=array.dtype)
    bigger[: len(array)] = array
    return bigger


class Column(Generic[V]):
    """A value per row as a code; ABSENT is no value. Codes index `values`."""

    def __init__(self, rows: int) -> None:
        self.codes: Codes = np.full(rows, ABSENT, dtype=np.int32)
        self.values: list[V] = []
        self._code_of: dict[V, int] = {}

    def code(self, value: V) -> int:
        """Return the code of a value, or ABSENT for one that no row ever had."""
        return self._code_of.get(value, ABSENT)

    def put(self, row: int, value: V | None) -> None:
        """Set the value of a row."""
        if value is None:
            self.codes[row] = ABSENT
            return
        code = self._code_of.get(value)
        if code is None:
            code = self._code_of[value] = len(self.values)
            self.values.append(value)
        self.codes[row] = code

    def grow(self, rows: int) -> None:
        """Make room for more rows."""
        self.codes = grown(self.codes, rows, ABSENT)

    @property
    def is_wasteful(self) -> bool:
        """True if most values belong to removed rows."""
        return len(self.values) > 2 * len(self.codes) + 64

    def pick(self, rows: Rows, verdict: Callable[[V], Any], dtype: Any, absent: Any) -> npt.NDArray[Any]:
        """Return `verdict` of each row's value, computed once per distinct value."""
        codes = self.codes[rows]
        table = np.full(len(self.values) + 1, absent, dtype=dtype)
        # A few rows rarely have many values; all rows together have all of them.
        present = np.unique(codes) if not isinstance(rows, slice) else range(len(self.values))
        for code in present:
            if code != ABSENT:
                table[code] = verdict(self.values[code])
        # ABSENT is -1 and so finds the last entry.
        return table[codes]

    def any_of(self, rows: Rows, values: list[V]) -> Bools:
        """Return whether each row has one of the values."""
        table = np.zeros(len(self.values) + 1, dtype=np.bool_)
        for value in values:
            code = self._code_of.get(value)
            if code is not None:
                table[code] = True
        return table[self.codes[rows]]


class LabelColumns:
    """Columns of all labels requested so far."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._columns: dict[str, Column[str]] = {}

    def column(self, label: str, labels_of: Callable[[], list[tuple[int, Mapping[str, str]]]]) -> Column[str]:
        """Return the column of a label; `labels_of` yields the labels of all rows when it is requested for the first time."""
        known = self._columns.get(label)
        if known is None or known.is_wasteful:
            known = self._columns[label] = Column(self._rows)
            for row, labels in labels_of():
                known.put(row, labels.get(label))
        return known

    def put(self, row: int, labels: Mapping[str, str]) -> None:
        """Set the labels of a row."""
        for label, column in self._columns.items():
            column.put(row, labels.get(label))

    def grow(self, rows: int) -> None:
        """Make room for more rows."""
        self._rows = rows
        for column in self._columns.values():
            column.grow(rows)
