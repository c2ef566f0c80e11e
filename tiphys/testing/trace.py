"""Trace of what objects do, as lines of text that are the same in every run."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.core.v1 import Event
from tiphys.api.machinery.scheme import Kind
from tiphys.api.meta.v1 import KubeObject
from tiphys.client.client import Client
from tiphys.client.frames import WatchEvent

_PART = re.compile(r"\[[^]]+\]|[^.[\]]+")

_Shown = dict[str, dict[str, str]]
"""Fields as they were shown last, by path, of each object by its UID."""


class _Line(NamedTuple):
    at: str
    subject: str
    text: str


class _Tally:
    """Number of objects by the values of some of their fields, as it is at the end of each second in which it changes."""

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._values: dict[str, str] = {}
        self._shown = ""
        self._at = ""
        """Second of a change that is not shown yet, or ""."""

    def note(self, at: str, key: str, values: str | None) -> list[_Line]:
        """Note the values of an object, None when it is gone; return the line of an earlier second."""
        lines = self.take() if at != self._at else []
        self._at = at
        if values is None:
            self._values.pop(key, None)
        else:
            self._values[key] = values
        return lines

    def take(self) -> list[_Line]:
        """Return the line of the last second with a change."""
        at, self._at = self._at, ""
        counts = sorted(Counter(self._values.values()).items())
        text = ", ".join(f"{count} {values}" for values, count in counts) or "none"
        if not at or text == self._shown:
            return []
        self._shown = text
        return [_Line(at, self._subject, text)]


class Trace:
    """Lines about watched objects. Those of one moment are sorted by object, since they come from several watches."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lines: list[_Line] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._tallies: list[_Tally] = []

    async def watch(self, kind: Kind[Any], paths: Sequence[str], labels: str = "") -> None:
        """Trace the objects of a kind from now on: when they come and go, and when a field at one of the paths changes.

        Of Events, the paths are the kinds of objects that they are about; none for all.
        """
        if kind.type is Event:
            await self._begin(kind, labels, lambda event: self._note_event(event, paths))
            return
        before: _Shown = {}
        for obj in await self._begin(kind, labels, lambda event: self._note(kind, event, paths, before)):
            before[obj.metadata.uid] = {path: self.show(kind, obj, path) for path in paths}

    async def count(self, kind: Kind[Any], paths: Sequence[str], labels: str = "") -> None:
        """Trace from now on how many objects of a kind have the same fields at the paths, at the end of each second that changes it."""
        tally = _Tally(f"{kind.resource}:")
        self._tallies.append(tally)

        def note(event: WatchEvent[Any]) -> None:
            values = " ".join(self.show(kind, event.object, path) or "-" for path in paths)
            self._lines += tally.note(self._at(), event.object.metadata.uid, None if event.type == "DELETED" else values)

        for obj in await self._begin(kind, labels, note):
            note(WatchEvent("ADDED", obj))

    async def _begin(self, kind: Kind[Any], labels: str, note: Callable[[WatchEvent[Any]], None]) -> list[Any]:
        """Follow a kind, and return its objects as they are."""
        collection = await self._client.list(kind, labels=labels)
        following = self._follow(kind, labels, note, collection.resourceVersion)
        self._tasks.append(asyncio.create_task(following, name=f"trace of {kind.kind}"))
        return collection.items

    def show(self, kind: Kind[Any], obj: KubeObject, path: str) -> str:
        """Return the field at a path as text, or the cell of a column of `kubectl get` (`UP-TO-DATE`), in capitals as it is shown there."""
        if not path.isupper():
            return show(obj, path)
        cells = [column.cell(obj, self._client.clock.now()) for column in kind.columns if column.name.upper() == path]
        return ",".join(map(_scalar, cells))

    def _at(self) -> str:
        return f"{self._client.clock.now():%Y-%m-%dT%H:%M:%SZ}"

    def take(self) -> list[str]:
        """Return the lines since the last call. Raises what ended a watch."""
        for task in self._tasks:
            if task.done():
                task.result()
        for tally in self._tallies:
            self._lines += tally.take()
        lines, self._lines = self._lines, []
        return [f"{line.at} {line.subject} {line.text}" for line in sorted(lines, key=lambda line: line[:2])]

    async def close(self) -> None:
        """End all watches."""
        for task in self._tasks:
            await cancel_and_wait(task)

    async def _follow(self, kind: Kind[Any], labels: str, note: Callable[[WatchEvent[Any]], None], version: str) -> None:
        while True:
            with suppress(ConnectionError):
                async for event in self._client.watch(kind, labels=labels, resource_version=version, bookmarks=False):
                    version = event.object.metadata.resourceVersion
                    note(event)
            await asyncio.sleep(0)

    def _note_event(self, event: WatchEvent[Event], kinds: Sequence[str]) -> None:
        obj = event.object
        subject = obj.involvedObject
        if event.type == "DELETED" or (kinds and subject.kind not in kinds):
            return
        times = f" (x{obj.count})" if obj.count > 1 else ""
        self._lines.append(_Line(self._at(), f"{subject.kind}/{subject.name}", f"{obj.type} {obj.reason}: {obj.message}{times}"))

    def _note(self, kind: Kind[Any], event: WatchEvent[Any], paths: Sequence[str], before: _Shown) -> None:
        obj, at = event.object, self._at()
        name, key = f"{kind.kind}/{obj.metadata.name}", obj.metadata.uid
        if event.type == "DELETED":
            before.pop(key, None)
            self._lines.append(_Line(at, name, "deleted"))
            return
        after = {path: self.show(kind, obj, path) for path in paths}
        shown, before[key] = before.get(key, {}), after
        changes = [f"{_label(path)}={value}" for path, value in after.items() if value != shown.get(path, "")]
        if event.type == "ADDED":
            changes.insert(0, "added")
        if changes:
            self._lines.append(_Line(at, name, " ".join(changes)))


def show(obj: KubeObject, path: str) -> str:
    """Return the field at a path as text: "" when there is none; of a list, that of each item.

    A path is like `status.active.name`, `metadata.labels[app.kubernetes.io/name]` or `status.conditions[Ready]`, where brackets hold a
    key, or the type or name of items of a list. A condition is shown as its status and reason.
    """
    values: list[Any] = [msgspec.json.decode(msgspec.json.encode(obj))]
    for part in _PART.findall(path):
        items = [item for value in values for item in (value if isinstance(value, list) else [value])]
        values = [value for item in items if isinstance(item, dict) for value in _step(item, part)]
    if len(values) == 1 and not isinstance(values[0], list | dict):
        return _scalar(values[0])
    return ",".join(_scalar(item) for value in values for item in (value if isinstance(value, list) else [value]))


def _step(item: dict[str, Any], part: str) -> list[Any]:
    """Return what a part of a path leads to: a field, or the item itself when the part is its type or name in brackets."""
    key = part.strip("[]")
    if key in item:
        return [item[key]]
    return [item] if part != key and key in (item.get("type"), item.get("name")) else []


def _label(path: str) -> str:
    """Return the end of a path that tells what it is: that below `spec` or `status`, or what is in brackets at its end."""
    parts: list[str] = _PART.findall(path)
    first, *rest = parts
    if rest and rest[-1].startswith("["):
        return rest[-1].strip("[]").rpartition("/")[2]
    return "".join(part if part.startswith("[") else f".{part}" for part in rest).lstrip(".") or first


def _scalar(value: object) -> str:
    if isinstance(value, dict) and "status" in value:
        reason = value.get("reason")
        return f"{value['status']}({reason})" if reason else f"{value['status']}"
    return str(value).lower() if isinstance(value, bool) else str(value)
