"""Checker of histories behind `test_consistency`: all that readers saw of a collection must fit one history.

The server gives every write a revision. So what a watcher saw is a sequence with growing revisions, what a reader listed is the state after
some revision, and both must come out of one and the same sequence of writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Change(NamedTuple):
    """One event of a watch: its type, the object's name, and the object's resourceVersion."""

    type: str
    name: str
    version: int


@dataclass
class Snapshot:
    """A whole list: its resourceVersion, and the resourceVersion of each object by name."""

    version: int
    objects: dict[str, int] = field(default_factory=dict)


class Inconsistent(AssertionError):
    """Two things that were seen cannot both be true."""


def check_sequence(start: Snapshot, changes: Sequence[Change]) -> None:
    """Each change comes after the one before, and says rightly whether its object was there. Raises Inconsistent."""
    last, there = start.version, dict(start.objects)
    for change in changes:
        if change.version <= last:
            raise Inconsistent(f"{change} came after revision {last}")
        last = change.version
        _apply(there, change)


def check_same(sequences: Mapping[str, Sequence[Change]]) -> None:
    """All watchers saw the same changes in the same order. Raises Inconsistent, naming the first difference."""
    (first, expected), *others = sequences.items()
    for name, found in others:
        if list(found) == list(expected):
            continue
        at = next((i for i, (a, b) in enumerate(zip(expected, found, strict=False)) if a != b), min(len(expected), len(found)))
        raise Inconsistent(f"{name} and {first} differ from change {at}: {list(found[at : at + 3])} and {list(expected[at : at + 3])}")


def check_snapshots(start: Snapshot, changes: Sequence[Change], snapshots: Iterable[Snapshot]) -> None:
    """Every list is the state after the changes up to its revision, no more and no less. Raises Inconsistent."""
    there, done = dict(start.objects), 0
    for snapshot in sorted(snapshots, key=lambda snapshot: snapshot.version):
        while done < len(changes) and changes[done].version <= snapshot.version:
            _apply(there, changes[done])
            done += 1
        if snapshot.objects != there:
            wrong = {name for name in snapshot.objects.keys() | there.keys() if snapshot.objects.get(name) != there.get(name)}
            name = min(wrong)
            raise Inconsistent(
                f"the list of revision {snapshot.version} is wrong about {len(wrong)} objects: "
                f"{name} is {snapshot.objects.get(name)} instead of {there.get(name)}"
            )


def check_acknowledged(changes: Sequence[Change], acknowledged: Iterable[Change]) -> None:
    """Every write that was acknowledged is among the changes. Raises Inconsistent."""
    seen = {(change.name, change.version): change.type for change in changes}
    for write in acknowledged:
        if seen.get((write.name, write.version)) != write.type:
            raise Inconsistent(f"{write} was acknowledged, and watchers saw {seen.get((write.name, write.version), 'nothing')}")


def _apply(there: dict[str, int], change: Change) -> None:
    if (change.type == "ADDED") == (change.name in there):
        raise Inconsistent(f"{change}, and the object was {'there' if change.name in there else 'not there'}")
    if change.type == "DELETED":
        del there[change.name]
    else:
        there[change.name] = change.version
