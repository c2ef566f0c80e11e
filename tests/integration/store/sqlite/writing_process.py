"""Writes to a store from several tasks and prints what was acknowledged, a line each: kind, key, revision. Ends by itself after a while."""

import asyncio
import sys
import time

from tiphys.store.contract import Event
from tiphys.store.sqlite import Options, SqliteStore

SECONDS = 20.0


def value_of(key: str, generation: int) -> bytes:
    return f"{key}#{generation}".encode() * 20


async def main(path: str, prefix: str) -> None:
    store = SqliteStore(path, options=Options(keep_revisions=1_000_000, max_revisions=1_000_000, tick=0.05))
    await store.start()
    end = time.monotonic() + SECONDS

    async def write(writer: int) -> None:
        number = 0
        while time.monotonic() < end:
            key = f"/{prefix}/{writer}/{number}"
            revision = await store.create(key, value_of(key, 0))
            print("create", key, revision, flush=True)
            if number % 2 == 0:
                revision = await store.update(key, value_of(key, 1), expected=revision)
                print("update", key, revision, flush=True)
            if number % 4 == 0:
                event: Event = await store.delete(key)
                print("delete", key, event.revision, flush=True)
            number += 1

    await asyncio.gather(*(write(writer) for writer in range(16)))
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
