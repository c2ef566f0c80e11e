"""Commits per second of the stores, one by one and with many writers, and memory per key. Ends by itself in less than ten seconds.

python bench/store.py [--json FILE] [--directory DIR]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import uvloop

from tiphys.store.contract import Store
from tiphys.store.memory import MemoryStore
from tiphys.store.sqlite import SqliteStore

VALUE = os.urandom(900)
SECONDS = 1.0


def key_of(writer: int, number: int) -> str:
    return f"/registry/pods/default/web-{writer:03d}-{number:07d}"


async def creates(store: Store, writers: int, *, watched: bool = False) -> float:
    """Creates per second by so many concurrent writers."""
    end = time.perf_counter() + SECONDS
    counts = [0] * writers

    async def write(writer: int) -> None:
        while time.perf_counter() < end:
            await store.create(key_of(writer + 1000 * writers, counts[writer]), VALUE)
            counts[writer] += 1

    seen = 0

    async def follow() -> None:
        nonlocal seen
        async for events in await store.watch("/registry/pods/", after=store.current_revision()):
            seen += len(events)

    follower = asyncio.create_task(follow()) if watched else None
    began = time.perf_counter()
    await asyncio.gather(*(write(writer) for writer in range(writers)))
    rate = sum(counts) / (time.perf_counter() - began)
    if follower:
        follower.cancel()
        assert seen >= sum(counts) - writers
    return rate


async def mixed(store: Store, writers: int) -> float:
    """Create, update, update, delete; writes per second."""
    end = time.perf_counter() + SECONDS
    counts = [0] * writers

    async def write(writer: int) -> None:
        while time.perf_counter() < end:
            key = key_of(writer, counts[writer])
            revision = await store.create(key, VALUE)
            revision = await store.update(key, VALUE, expected=revision)
            revision = await store.update(key, VALUE, expected=revision)
            await store.delete(key, expected=revision)
            counts[writer] += 4

    began = time.perf_counter()
    await asyncio.gather(*(write(writer) for writer in range(writers)))
    return sum(counts) / (time.perf_counter() - began)


async def memory_per_key(store: Store, keys: int) -> float:
    """Bytes of Python objects per live key."""
    await store.create("/warm", VALUE)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for at in range(0, keys, 500):
        await asyncio.gather(*(store.create(key_of(999, number), VALUE) for number in range(at, at + 500)))
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return grown / keys


async def start_up(path: str, keys: int) -> tuple[float, float]:
    """Milliseconds until an existing store of so many keys is open, and until all of it is listed."""
    store = SqliteStore(path)
    await store.start()
    for at in range(0, keys, 500):
        await asyncio.gather(*(store.create(f"/start/{number:07d}", VALUE) for number in range(at, at + 500)))
    await store.close()
    began = time.perf_counter()
    store = SqliteStore(path)
    await store.start()
    opened = time.perf_counter()
    assert len((await store.list("/start/")).items) == keys
    listed = time.perf_counter()
    await store.close()
    return (opened - began) * 1e3, (listed - opened) * 1e3


async def run(directory: Path) -> dict[str, float]:
    results: dict[str, float] = {}
    number = 0

    async def measure(name: str, make: Callable[[], Store], work: Callable[[Store], object]) -> None:
        store = make()
        await store.start()
        results[name] = await work(store)  # type: ignore[misc]
        await store.close()

    def sqlite() -> SqliteStore:
        nonlocal number
        number += 1
        return SqliteStore(directory / f"bench{number}.db")

    await measure("sqlite creates/s, one by one", sqlite, lambda store: creates(store, 1))
    await measure("sqlite creates/s, 16 writers", sqlite, lambda store: creates(store, 16))
    await measure("sqlite creates/s, 16 writers, watched", sqlite, lambda store: creates(store, 16, watched=True))
    await measure("sqlite creates/s, 64 writers", sqlite, lambda store: creates(store, 64))
    await measure("sqlite mixed writes/s, 64 writers", sqlite, lambda store: mixed(store, 64))
    await measure("memory creates/s, 16 writers", MemoryStore, lambda store: creates(store, 16))
    await measure("sqlite bytes of memory per key", sqlite, lambda store: memory_per_key(store, 10_000))
    opened, listed = await start_up(str(directory / "start.db"), 10_000)
    results["sqlite start with 10,000 keys, ms"] = opened
    results["sqlite list of 10,000 keys, ms"] = listed
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--directory", type=Path, help="where the files go (their disk is what is measured)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.directory) as directory, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        results = runner.run(run(Path(directory)))
    for name, value in results.items():
        print(f"{name:45} {value:12,.1f}")
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
