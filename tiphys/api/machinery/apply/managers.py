"""Owners of the fields of an object: its managedFields, and what writes make of them (KEP-555 "Server-side Apply").

`after_create` and `after_update` serve every ordinary writer, from the difference that the write made; `Managers` is the same opened up,
for applies. An entry that a write does not touch keeps its very bytes, so that a write that changes nothing stays one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from tiphys.api.machinery.apply import fieldset
from tiphys.api.machinery.apply.document import Difference
from tiphys.api.machinery.apply.fieldset import Fields
from tiphys.api.machinery.base import time
from tiphys.api.meta.v1.meta import ManagedFieldsEntry

MAX_UPDATE_MANAGERS = 10
OLD_MANAGERS = "ancient-changes"
BEFORE_APPLY = "before-first-apply"
UNKNOWN = "unknown"
MAX_NAME = 128
FIELDS_V1 = "FieldsV1"


class Manager(NamedTuple):
    """Key of a manager. The version is empty for those that apply: they are the same in every version."""

    operation: str
    name: str
    version: str
    subresource: str = ""


def manager_name(field_manager: str, user_agent: str) -> str:
    """Return the name of the writer: the fieldManager parameter, or the first word of the User-Agent."""
    if field_manager:
        return field_manager
    text = "".join(character for character in user_agent.partition("/")[0] if character.isprintable())
    if len(text.encode()) > MAX_NAME:
        text = text.encode()[:MAX_NAME].decode(errors="ignore")
    return text or UNKNOWN


def manager_of(entry: ManagedFieldsEntry) -> Manager:
    """Return the manager of an entry."""
    return Manager(entry.operation, entry.manager, "" if entry.operation == "Apply" else entry.apiVersion, entry.subresource)


def is_reset(entries: Sequence[ManagedFieldsEntry]) -> bool:
    """True if a client asks to forget all managers: by one empty entry."""
    return len(entries) == 1 and entries[0] == ManagedFieldsEntry()


def usable(entries: Sequence[ManagedFieldsEntry]) -> list[ManagedFieldsEntry] | None:
    """Entries as a client sent them, in canonical form and order; None when one makes no sense."""
    by_manager: dict[Manager, ManagedFieldsEntry] = {}
    for entry in entries:
        if entry.operation not in ("Apply", "Update") or not entry.apiVersion or entry.fieldsType != FIELDS_V1:
            return None
        try:
            fields = fieldset.parse(bytes(entry.fieldsV1))
        except ValueError:
            return None
        by_manager[manager_of(entry)] = _entry(manager_of(entry), entry.apiVersion, fieldset.encode(fields), entry.time)
    return ordered(by_manager.values())


def chosen(requested: Sequence[ManagedFieldsEntry], live: list[ManagedFieldsEntry]) -> list[ManagedFieldsEntry]:
    """The entries to go on from: the client's if it sent any that can be read, none if it resets them, else those of the live object."""
    if not requested or requested == live:
        return live
    if is_reset(requested):
        return []
    return usable(requested) or live


def ordered(entries: Iterable[ManagedFieldsEntry]) -> list[ManagedFieldsEntry]:
    """In the order in which upstream keeps them: applies first, the oldest first."""
    return sorted(entries, key=_place)


def _place(entry: ManagedFieldsEntry) -> tuple[str, float, str, str, str]:
    return entry.operation, _seconds(entry.time), entry.manager, entry.apiVersion, entry.subresource


def _seconds(moment: datetime | None) -> float:
    return 0.0 if moment is None else moment.timestamp()


def _entry(manager: Manager, version: str, raw: bytes, moment: datetime | None) -> ManagedFieldsEntry:
    return ManagedFieldsEntry(
        manager=manager.name,
        operation=manager.operation,
        apiVersion=version,
        time=moment,
        fieldsType=FIELDS_V1,
        fieldsV1=msgspec.Raw(raw),
        subresource=manager.subresource,
    )


def without(fields: Fields, paths: Iterable[Sequence[str]]) -> Fields:
    """The fields that are neither at one of the paths (of field names) nor below one."""
    for path in paths:
        fields = _pruned(fields, path)
    return fields


def _pruned(fields: Fields, path: Sequence[str]) -> Fields:
    key = f"f:{path[0]}"
    node = fields.get(key)
    if node is None:
        return fields
    left = _pruned(node, path[1:]) if len(path) > 1 else None
    if left is node:
        return fields
    pruned = {name: below for name, below in fields.items() if name != key}
    return {**pruned, key: left} if left else pruned


# --- ordinary writers ---


def after_create(new: Difference, name: str, version: str, now: datetime, *, subresource: str = "") -> list[ManagedFieldsEntry]:
    """The managers of an object that was just made: the one who made it."""
    return maker(fieldset.encode(new.changed), name, version, now, subresource=subresource) if new.changed else []


def maker(fields: bytes, name: str, version: str, now: datetime, *, subresource: str = "") -> list[ManagedFieldsEntry]:
    """`after_create` for fields that are encoded already."""
    return [_entry(Manager("Update", name, version, subresource), version, fields, time(now))]


Elsewhere = Callable[[str], Difference | None]
"""Changes of a write as another version shows them; None for versions in which it is not served (any more)."""


def after_update(
    entries: list[ManagedFieldsEntry],
    changes: Difference,
    name: str,
    version: str,
    now: datetime,
    *,
    subresource: str = "",
    elsewhere: Elsewhere | None = None,
) -> list[ManagedFieldsEntry]:
    """The managers after a write. Objects without managers are not tracked, and a write that made no difference changes nothing.

    Fields are owned in the version in which they were written: with `elsewhere`, managers of other versions lose what changed there, and
    managers of unknown versions are forgotten.
    """
    if not entries or not (changes.changed or changes.removed):
        return entries
    changed = fieldset.encode(changes.changed)
    touched = _touched(changes) if changes.removed else _Touched(changes.changed, changed)
    there: dict[str, _Touched | None] = {}
    self = Manager("Update", name, version, subresource)
    out: list[ManagedFieldsEntry] = []
    mine = b""
    for entry in entries:
        before = bytes(entry.fieldsV1)
        gone = touched
        if elsewhere is not None and entry.apiVersion != version:
            if entry.apiVersion not in there:
                made_there = elsewhere(entry.apiVersion)
                there[entry.apiVersion] = None if made_there is None else _touched(made_there)
            if (other := there[entry.apiVersion]) is None:
                continue
            gone = other
        left = fieldset.raw_difference(before, gone.raw, gone.fields)
        if changes.changed and manager_of(entry) == self:
            mine = left
        elif left == before:
            out.append(entry)
        elif left != b"{}":
            out.append(_entry(manager_of(entry), entry.apiVersion, left, entry.time))
    if changes.changed:
        out.append(_entry(self, version, fieldset.raw_union(mine, changed) if mine else changed, time(now)))
    return _capped(ordered(out)) if len(out) > 1 else out


class _Touched(NamedTuple):
    """The fields that a write changed or removed, and the same encoded."""

    fields: Fields
    raw: bytes


def _touched(changes: Difference) -> _Touched:
    fields = fieldset.union(changes.changed, changes.removed) if changes.removed else changes.changed
    return _Touched(fields, fieldset.encode(fields))


def _capped(entries: list[ManagedFieldsEntry]) -> list[ManagedFieldsEntry]:
    """Fold the oldest update managers of each version into one while there are too many."""
    updaters = [entry for entry in entries if entry.operation == "Update"]
    excess = len(updaters) - MAX_UPDATE_MANAGERS
    if excess <= 0:
        return entries
    kept = {manager_of(entry): entry for entry in entries}
    first: dict[str, Manager] = {}
    folded: dict[Manager, list[ManagedFieldsEntry]] = {}
    for entry in sorted(updaters, key=lambda one: (_seconds(one.time), one.manager, one.subresource)):
        if excess <= 0:
            break
        version, who = entry.apiVersion, manager_of(entry)
        bucket = Manager("Update", OLD_MANAGERS, version)
        if version not in first:
            first[version] = who
            continue
        if bucket not in folded:
            folded[bucket] = [kept.pop(bucket if bucket in kept else first[version])]
        if who == bucket:
            continue
        folded[bucket].append(kept.pop(who))
        excess -= 1
    return ordered([*kept.values(), *(_folded(bucket, entries) for bucket, entries in folded.items())])


def _folded(bucket: Manager, entries: Sequence[ManagedFieldsEntry]) -> ManagedFieldsEntry:
    """One entry in place of several: it has the time of the last one."""
    if len(entries) == 2:
        raw = fieldset.raw_union(bytes(entries[0].fieldsV1), bytes(entries[1].fieldsV1))
    else:
        raw = fieldset.encode(fieldset.union_of([fieldset.parse(bytes(entry.fieldsV1)) for entry in entries]))
    return _entry(bucket, bucket.version, raw, entries[-1].time)


# --- opened up, for applies ---


class Owned(NamedTuple):
    """The fields of one manager."""

    fields: Fields
    version: str
    time: datetime | None
    entry: ManagedFieldsEntry | None
    """Entry that it was read from, while that is still true."""


def opened(entries: Iterable[ManagedFieldsEntry]) -> dict[Manager, Owned]:
    """Managers and their fields. What cannot be read is left out."""
    by_manager: dict[Manager, Owned] = {}
    for entry in entries:
        try:
            fields = fieldset.parse(bytes(entry.fieldsV1))
        except ValueError:
            continue
        if entry.operation in ("Apply", "Update"):
            by_manager[manager_of(entry)] = Owned(fields, entry.apiVersion, entry.time, entry)
    return by_manager


def closed(managers: dict[Manager, Owned]) -> list[ManagedFieldsEntry]:
    """The entries of managers that own anything."""
    return ordered(
        owned.entry or _entry(manager, owned.version, fieldset.encode(owned.fields), owned.time)
        for manager, owned in managers.items()
        if owned.fields
    )
