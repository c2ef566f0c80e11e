"""The library of semantic versions (semver.org, 2.0.0)."""

from __future__ import annotations

import re
from functools import total_ordering
from typing import Final

import msgspec

from tiphys.cel.library import Library, Opaque, Overload

NAME = "kubernetes.Semver"
_NUMBER, _WORD = r"(?:0|[1-9]\d*)", r"(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)"
_PATTERN: Final = re.compile(
    rf"({_NUMBER})\.({_NUMBER})\.({_NUMBER})(?:-({_WORD}(?:\.{_WORD})*))?(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?", re.ASCII
)
_MOST = 1 << 64


@total_ordering
class Semver(msgspec.Struct, frozen=True):
    """A version. Metadata of the build does not take part in comparisons."""

    numbers: tuple[int, int, int]
    pre: tuple[str, ...] = ()
    build: str = ""

    def __lt__(self, other: Semver) -> bool:
        return self.compare(other) < 0

    def compare(self, other: Semver) -> int:
        """Return -1, 0 or 1, by semver.org's precedence."""
        left, right = self._key(), other._key()
        return (left > right) - (left < right)

    def _key(self) -> tuple[object, ...]:
        # A version before a release comes before it; numbers come before words.
        pre = tuple((0, int(word), "") if word.isdigit() else (1, 0, word) for word in self.pre)
        return self.numbers, not self.pre, pre

    def __str__(self) -> str:
        text = ".".join(map(str, self.numbers)) + ("-" + ".".join(self.pre) if self.pre else "")
        return f"{text}+{self.build}" if self.build else text


def parse(text: str) -> Semver:
    """Read a version; raises ValueError."""
    match = _PATTERN.fullmatch(text)
    if match is None or any(int(number) >= _MOST for number in match.groups()[:3]):
        raise ValueError(f'"{text}" is not a semantic version')
    major, minor, patch, pre, build = match.groups()
    return Semver((int(major), int(minor), int(patch)), tuple((pre or "").split(".")) if pre else (), build or "")


def normalized(text: str) -> str:
    """Return the version without a leading `v`, without leading zeros, and with three numbers."""
    core, mark, rest = re.fullmatch(r"v?([^-+]*)([-+]?)(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    numbers = [part.lstrip("0") or "0" if part.isdigit() else part for part in core.split(".")]
    return ".".join([*numbers, *("0" for _ in range(3 - len(numbers)))]) + mark + rest


def _is_semver(text: str, *normalize: bool) -> bool:
    try:
        _semver(text, *normalize)
    except ValueError:
        return False
    return True


def _semver(text: str, *normalize: bool) -> Semver:
    return parse(normalized(text) if any(normalize) else text)


SEMVERS = Library(
    opaque=(Opaque(NAME, parse, str, Semver),),
    overloads=(
        Overload("semver", ("string",), NAME, _semver, member=False),
        Overload("semver", ("string", "bool"), NAME, _semver, member=False),
        Overload("isSemver", ("string",), "bool", _is_semver, member=False),
        Overload("isSemver", ("string", "bool"), "bool", _is_semver, member=False),
        Overload("major", (NAME,), "int", lambda version: version.numbers[0]),
        Overload("minor", (NAME,), "int", lambda version: version.numbers[1]),
        Overload("patch", (NAME,), "int", lambda version: version.numbers[2]),
        Overload("isLessThan", (NAME, NAME), "bool", lambda left, right: left < right),
        Overload("isGreaterThan", (NAME, NAME), "bool", lambda left, right: left.compare(right) > 0),
        Overload("compareTo", (NAME, NAME), "int", Semver.compare),
    ),
    costs={"semver": 7, "isSemver": 7},
)
"""`semver("1.2.3")` and what can be done with one ("Kubernetes Semver library")."""
