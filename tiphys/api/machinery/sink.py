"""Lists of findings that stop at a bound, for work whose findings multiply.

An object of a megabyte can have more warnings and mistakes than memory holds when its parts are compared with each other, or judged by
each of a list of rules, while a client is shown a few kilobytes of them. A sink ends the search once it has more than is shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self, TypeVar

T = TypeVar("T")

MAX_WARNINGS, MAX_WARNING = 4096, 256
"""Characters of all warnings of an answer, and of each one when they are more: upstream's limits, which keep the headers readable."""


class Full(Exception):
    """A sink holds more than is shown: the search can end."""


class Sink(list[T]):
    """A list that raises Full when it has taken its last finding."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._left = limit

    def append(self, finding: T) -> None:
        super().append(finding)
        self._left -= 1
        if self._left <= 0:
            raise Full

    def extend(self, findings: Iterable[T]) -> None:
        for finding in findings:
            self.append(finding)

    def __iadd__(self, findings: Iterable[T]) -> Self:  # type: ignore[override, misc]
        self.extend(findings)
        return self


class Warnings(Sink[str]):
    """Different warnings, up to the first that no `Warning` header of an answer has a place for."""

    def __init__(self) -> None:
        super().__init__(MAX_WARNINGS + 1)
        self._known: set[str] = set()

    def append(self, finding: str) -> None:
        finding = finding[: MAX_WARNINGS + 1]  # With so long a one each is cut to MAX_WARNING.
        if finding in self._known:
            return
        self._known.add(finding)
        self._left -= min(len(finding), MAX_WARNING) - 1
        super().append(finding)
