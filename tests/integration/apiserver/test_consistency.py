"""10,000 pods are listed in pages and watched while they change and the server is killed: everybody sees one and the same history."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.integration.apiserver.history import (
    Change,
    Inconsistent,
    Snapshot,
    check_acknowledged,
    check_same,
    check_sequence,
    check_snapshots,
)
from tests.integration.apiserver.process import ServerProcess
from tiphys.api.core import v1 as core
from tiphys.client import Client
from tiphys.testing import eventually
from tiphys.wire.http import Response

PODS = "/api/v1/namespaces/default/pods"
MERGE = {"content-type": "application/merge-patch+json"}
JSON = {"content-type": "application/json"}
OBJECTS = 10_000
CLIENTS = 20
WRITERS = 4
PAGE = "500"
ROUNDS = 2


class _Meta(msgspec.Struct):
    name: str = ""
    resourceVersion: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class _Item(msgspec.Struct):
    metadata: _Meta


class _List(msgspec.Struct):
    metadata: _Meta
    items: list[_Item]


class _Event(msgspec.Struct):
    type: str
    object: _Item


read_item = msgspec.json.Decoder(_Item).decode
read_list = msgspec.json.Decoder(_List).decode
read_event = msgspec.json.Decoder(_Event).decode


def pod(name: str) -> bytes:
    spec = {"automountServiceAccountToken": False, "containers": [{"name": "main", "image": "registry.example/pause:3"}]}
    return json.dumps({"metadata": {"name": name}, "spec": spec}).encode()


async def answered(client: Client, method: str, path: str, **more: Any) -> Response:
    """The answer, from whichever life of the server; only for requests that may be repeated."""
    while True:
        with suppress(ConnectionError):
            response = await client.raw(method, path, **more)
            if response.status != 503:
                return response
        await asyncio.sleep(0.05)


async def listed(client: Client) -> Snapshot:
    """All pods, page by page; every page must be of one revision."""
    snapshot, token = Snapshot(0), ""
    while True:
        query = [("limit", PAGE), *([("continue", token)] if token else [])]
        response = await answered(client, "GET", PODS, query=query)
        assert response.status == 200, response.body
        page = read_list(response.body)
        version = int(page.metadata.resourceVersion)
        assert snapshot.version in (0, version)
        snapshot.version = version
        for item in page.items:
            assert item.metadata.name not in snapshot.objects
            snapshot.objects[item.metadata.name] = int(item.metadata.resourceVersion)
        token = page.metadata.continue_
        if not token:
            return snapshot


class Watcher:
    """A watch that leaves at random moments and goes on where it was."""

    def __init__(self, position: int, seed: int) -> None:
        self.position = position
        self.changes: list[Change] = []
        self._rng = random.Random(seed)

    async def run(self, client: Client) -> None:
        while True:
            query = [("watch", "1"), ("resourceVersion", str(self.position)), ("allowWatchBookmarks", "true")]
            response = await answered(client, "GET", PODS, query=query)
            assert response.status == 200, response.body
            assert response.stream is not None
            leave = self._rng.randrange(50, 3_000)
            with suppress(ConnectionError):
                async for line in _lines(response.stream):
                    self._take(read_event(line))
                    leave -= 1
                    if not leave:
                        break
            await response.stream.aclose()  # type: ignore[attr-defined]

    def _take(self, event: _Event) -> None:
        meta = event.object.metadata
        self.position = int(meta.resourceVersion)
        if event.type != "BOOKMARK":
            assert event.type in ("ADDED", "MODIFIED", "DELETED"), event
            self.changes.append(Change(event.type, meta.name, self.position))


async def _lines(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in stream:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line


class Writer:
    """Creates, changes and deletes pods of its own at random, and keeps what was acknowledged."""

    def __init__(self, number: int, names: list[str]) -> None:
        self.acknowledged: list[Change] = []
        self._names = names
        self._number = number
        self._count = 0
        self._rng = random.Random(number)

    async def run(self, client: Client) -> None:
        """Write until cancelled; a write whose answer is lost with the server may have happened or not, and its object is left alone."""
        while True:
            await self._write(client)

    async def _write(self, client: Client) -> None:
        what = self._rng.choices(("ADDED", "MODIFIED", "DELETED"), (2, 5, 2))[0]
        if what == "ADDED" or not self._names:
            what, name = "ADDED", f"w{self._number}-{self._count:05d}"
            self._count += 1
        else:
            name = self._names.pop(self._rng.randrange(len(self._names)))
        try:
            response = await self._send(client, what, name)
        except ConnectionError:
            return
        if response.status == 503:
            return
        assert response.status in (200, 201), response.body
        if what != "DELETED":
            self._names.append(name)
        self.acknowledged.append(Change(what, name, int(read_item(response.body).metadata.resourceVersion)))

    async def _send(self, client: Client, what: str, name: str) -> Response:
        if what == "ADDED":
            return await client.raw("POST", PODS, body=pod(name), headers=JSON)
        if what == "MODIFIED":
            change = {"metadata": {"labels": {"n": str(self._rng.randrange(1 << 30))}}}
            return await client.raw("PATCH", f"{PODS}/{name}", body=json.dumps(change).encode(), headers=MERGE)
        return await client.raw("DELETE", f"{PODS}/{name}", query=[("gracePeriodSeconds", "0")])


async def fill(client: Client) -> list[str]:
    account = core.ServiceAccount()
    account.metadata.name, account.metadata.namespace = "default", "default"
    await client.create(account)
    names = [f"pod-{number:05d}" for number in range(OBJECTS)]
    pending = list(names)

    async def make() -> None:
        while pending:
            response = await client.raw("POST", PODS, body=pod(pending.pop()), headers=JSON)
            assert response.status == 201, response.body

    await asyncio.gather(*(make() for _ in range(16)))
    return names


async def test_everybody_sees_one_history(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path)
    await server.start()
    client = server.client()
    try:
        names = await fill(client)
        start = await listed(client)
        assert start.objects.keys() == set(names)
        watchers = [Watcher(start.version, seed) for seed in range(CLIENTS)]
        writers = [Writer(number, names[number::WRITERS]) for number in range(WRITERS)]
        watching = [asyncio.create_task(watcher.run(client)) for watcher in watchers]
        writing = [asyncio.create_task(writer.run(client)) for writer in writers]
        reading = [asyncio.create_task(_rounds(client)) for _ in range(CLIENTS)]
        await eventually(lambda: len(writers[0].acknowledged) >= 100, timeout=60)
        await server.end(signal.SIGKILL)
        await server.start()
        snapshots = [snapshot for found in await asyncio.gather(*reading) for snapshot in found]
        for task in writing:
            task.cancel()
        stopped = await asyncio.gather(*writing, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in stopped), stopped
        end = await listed(client)
        last = int(read_item((await client.raw("POST", PODS, body=pod("zz-last"), headers=JSON)).body).metadata.resourceVersion)
        await eventually(lambda: all(watcher.position >= last or task.done() for watcher, task in zip(watchers, watching, strict=True)))
        for task in watching:
            task.cancel()
        ended = await asyncio.gather(*watching, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ended), ended
    finally:
        await client.close()
        await server.end(signal.SIGTERM)
    seen = {f"watcher {number}": watcher.changes for number, watcher in enumerate(watchers)}
    check_same(seen)
    changes = watchers[0].changes
    check_sequence(start, changes)
    check_snapshots(start, changes, [*snapshots, end])
    check_acknowledged(changes, [write for writer in writers for write in writer.acknowledged])
    assert len({snapshot.version for snapshot in snapshots}) > 4, "the lists were not of different moments"


async def _rounds(client: Client) -> list[Snapshot]:
    return [await listed(client) for _ in range(ROUNDS)]


START = Snapshot(10, {"a": 3, "b": 9})
CHANGES = [Change("MODIFIED", "a", 11), Change("DELETED", "b", 14), Change("ADDED", "b", 15)]


def test_the_checker_accepts_a_history() -> None:
    check_sequence(START, CHANGES)
    check_same({"one": CHANGES, "two": list(CHANGES)})
    check_snapshots(START, CHANGES, [Snapshot(15, {"a": 11, "b": 15}), Snapshot(14, {"a": 11}), Snapshot(10, START.objects)])
    check_acknowledged(CHANGES, CHANGES[1:])


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param([CHANGES[1], CHANGES[0]], id="out of order"),
        pytest.param([CHANGES[0], CHANGES[0]], id="twice"),
        pytest.param([Change("ADDED", "a", 11)], id="added though there"),
        pytest.param([Change("MODIFIED", "c", 11)], id="changed though not there"),
        pytest.param([CHANGES[2]], id="a deletion is missing"),
    ],
)
def test_the_checker_finds_a_wrong_sequence(changes: list[Change]) -> None:
    with pytest.raises(Inconsistent):
        check_sequence(START, changes)


def test_the_checker_finds_what_one_watcher_missed() -> None:
    with pytest.raises(Inconsistent, match="change 1"):
        check_same({"one": CHANGES, "two": [CHANGES[0], CHANGES[2]]})
    with pytest.raises(Inconsistent):
        check_same({"one": CHANGES, "two": CHANGES[:2]})


@pytest.mark.parametrize("objects", [{"a": 3}, {"a": 11, "b": 9}, {"a": 11, "c": 12}, {}], ids=["old", "not deleted", "invented", "empty"])
def test_the_checker_finds_a_wrong_list(objects: dict[str, int]) -> None:
    with pytest.raises(Inconsistent):
        check_snapshots(START, CHANGES, [Snapshot(14, objects)])


def test_the_checker_finds_a_lost_write() -> None:
    with pytest.raises(Inconsistent):
        check_acknowledged(CHANGES[:2], CHANGES)
