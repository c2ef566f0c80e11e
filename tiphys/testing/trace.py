"""Trace of what objects do, as lines of text that are the same in every run."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
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


class _Line(NamedTuple):
    at: str
    subject: str
    text: str


class Trace:
    """Lines about watched objects. Those of one moment are sorted by object, since they come from several watches."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lines: list[_Line] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._before: dict[str, dict[str, str]] = {}

    async def watch(self, kind: Kind[Any], paths: Sequence[str]) -> None:
        """Trace the objects of a kind from now on: when they come and go, and when a field at one of the paths changes."""
        version = (await self._client.list(kind)).resourceVersion
        self._tasks.append(asyncio.create_task(self._follow(kind, paths, version), name=f"trace of {kind.kind}"))

    def take(self) -> list[str]:
        """Return the lines since the last call. Raises what ended a watch."""
        for task in self._tasks:
            if task.done():
                task.result()
        lines, self._lines = self._lines, []
        return [f"{line.at} {line.subject} {line.text}" for line in sorted(lines, key=lambda line: line[:2])]

    async def close(self) -> None:
        """End all watches."""
        for task in self._tasks:
            await cancel_and_wait(task)

    async def _follow(self, kind: Kind[Any], paths: Sequence[str], version: str) -> None:
        while True:
            with suppress(ConnectionError):
                async for event in self._client.watch(kind, resource_version=version, bookmarks=False):
                    version = event.object.metadata.resourceVersion
                    self._note(kind, event, paths)
            await asyncio.sleep(0)

    def _note(self, kind: Kind[Any], event: WatchEvent[Any], paths: Sequence[str]) -> None:
        obj = event.object
        at = f"{self._client.clock.now():%Y-%m-%dT%H:%M:%SZ}"
        if isinstance(obj, Event):
            subject = obj.involvedObject
            times = f" (x{obj.count})" if obj.count > 1 else ""
            if event.type != "DELETED":
                self._lines.append(_Line(at, f"{subject.kind}/{subject.name}", f"{obj.type} {obj.reason}: {obj.message}{times}"))
            return
        name = f"{kind.kind}/{obj.metadata.name}"
        key = f"{kind.resource}/{obj.metadata.uid}"
        if event.type == "DELETED":
            self._before.pop(key, None)
            self._lines.append(_Line(at, name, "deleted"))
            return
        after = {path: show(obj, path) for path in paths}
        before = self._before.get(key, {})
        self._before[key] = after
        changes = [f"{_label(path)}={value}" for path, value in after.items() if value != before.get(path, "")]
        if event.type == "ADDED":
            changes.insert(0, "added")
        if changes:
            self._lines.append(_Line(at, name, " ".join(changes)))


def show(obj: KubeObject, path: str) -> str:
    """Return the field at a path as text: "" when there is none; of a list, that of each item.

    A path is like `status.active.name` or `metadata.labels[app.kubernetes.io/name]`.
    """
    values: list[Any] = [msgspec.json.decode(msgspec.json.encode(obj))]
    for part in _parts(path):
        items = [item for value in values for item in (value if isinstance(value, list) else [value])]
        values = [item[part] for item in items if isinstance(item, dict) and part in item]
    if len(values) == 1 and not isinstance(values[0], list | dict):
        return _scalar(values[0])
    return ",".join(_scalar(item) for value in values for item in (value if isinstance(value, list) else [value]))


def _label(path: str) -> str:
    """Return the end of a path that tells what it is: that below `spec` or `status`, or a key of labels or annotations."""
    first, *rest = _parts(path)
    if first == "metadata" and len(rest) > 1:
        return rest[-1].rpartition("/")[2]
    return ".".join(rest) or first


def _parts(path: str) -> list[str]:
    return [part.strip("[]") for part in _PART.findall(path)]


def _scalar(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
