"""A disk that refuses a write for another reason than being full: nobody knows what the file holds, so writing ends until a restart."""

import asyncio
import subprocess
import sys
from pathlib import Path

from tiphys.store.sqlite import SqliteStore

# A limit on the size of files makes the kernel refuse writes (EFBIG), which SQLite reports as an I/O error.
PROGRAM = """
import asyncio, resource, sys
from tiphys.store.contract import StoreError
from tiphys.store.sqlite import SqliteStore

async def main():
    store = SqliteStore(sys.argv[1])
    await store.start()
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    made = 0
    try:
        for number in range(1000):
            await store.create(f"/k/{number:04d}", bytes(20_000))
            made += 1
    except StoreError as error:
        print(type(error).__name__, error)
    print(type(store.failure).__name__, store.failure)
    assert await store.failed() is store.failure
    assert (await store.get("/k/0000")) is not None
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.getrlimit(resource.RLIMIT_FSIZE)[1],) * 2)
    for attempt in range(2):
        try:
            await store.create("/small", b"")
        except StoreError as error:
            print(type(error).__name__, error)
    print(made)
    await store.close()

asyncio.run(main())
"""


async def test_an_io_error_ends_writing_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "tiphys.db"
    command = [sys.executable, "-c", PROGRAM, str(path)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, check=True)
    *errors, made = done.stdout.splitlines()
    assert len(errors) == 4
    assert errors[0].startswith(f"StoreFailed {path}: disk I/O error")
    assert all("until it is restarted" in error for error in errors[1:])
    store = SqliteStore(path)
    await store.start()
    assert len((await store.list("/k/")).items) >= int(made) > 10
    assert await store.create("/small", b"")
    await store.close()
