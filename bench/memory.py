"""Memory of an API server: what a pod costs at 10,000 and 100,000 pods, and what a watcher costs. Ends by itself, on loopback.

    python -m bench.memory [--json FILE]

One pod is made through the API; copies of it are put into the store of a server that is not running, which is quicker than creating them,
and costs the running server the same. Rows: resident memory (MB) once the server is ready, and the difference for each object (KB).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop

from bench.api import POD, PODS, TOKEN, Bench, Connection, request
from tiphys.store.sqlite import SqliteStore

COUNTS = (10_000, 100_000)
WATCHERS = 1_000
WRITERS = 64
PORT = 17_444
KEY = "/registry/core/pods/bench/p%07d"


@contextmanager
def serving(directory: Path) -> Iterator[Bench]:
    """A server on the data of `directory`."""
    tokens = directory / "tokens.csv"
    tokens.write_text(f"{TOKEN},bench,1,system:masters\n")
    log = directory / "server.log"
    command = [sys.executable, "-m", "tiphys", "apiserver", "--data-dir", str(directory), "--secure-port", str(PORT)]
    with log.open("wb") as output:
        process = subprocess.Popen([*command, "--token-auth-file", str(tokens)], stdout=output, stderr=output)
        try:
            deadline = time.monotonic() + 120
            while b"server is ready" not in log.read_bytes():
                if process.poll() is not None or time.monotonic() > deadline:
                    sys.exit(log.read_text())
                time.sleep(0.05)
            context = ssl.create_default_context(cafile=str(directory / "pki" / "ca.crt"))
            context.check_hostname = False
            yield Bench(PORT, process.pid, context)
        finally:
            process.terminate()
            process.wait(30)


async def template(bench: Bench) -> bytes:
    """A pod as the server stores it."""
    connection = await Connection.open(bench.port, bench.context)
    for path, body in (
        ("/api/v1/namespaces", '{"metadata":{"name":"bench"}}'),
        ("/api/v1/namespaces/bench/serviceaccounts", '{"metadata":{"name":"default"}}'),
        (PODS, POD % 0),
    ):
        if await connection.send(request("POST", path, body)) >= 300:
            sys.exit(f"POST {path} failed")
    connection.writer.write(request("GET", f"{PODS}/p0"))
    head = await connection.reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)", head)
    assert length is not None
    body_read = await connection.reader.readexactly(int(length[1]))
    connection.close()
    return re.sub(rb'"resourceVersion":"\d+",', b"", body_read)


async def fill(directory: Path, pod: bytes, first: int, end: int) -> None:
    """Put copies of the pod into the store, with names and UIDs of their own."""
    store = SqliteStore(directory / "server.db")
    await store.start()
    pending = iter(range(first, end))

    async def put() -> None:
        for number in pending:
            copy = pod.replace(b'"name":"p0"', b'"name":"p%07d"' % number)
            copy = re.sub(rb'"uid":"[^"]+"', b'"uid":"00000000-0000-4000-8000-%012d"' % number, copy, count=1)
            await store.create(KEY % number, copy)

    await asyncio.gather(*(put() for _ in range(WRITERS)))
    await store.close()


async def watchers(bench: Bench) -> float:
    """KB of server memory for each watch of one namespace's pods, TLS connection included."""
    version = "resourceVersion=0"
    before = bench.memory()
    connections = [await Connection.open(bench.port, bench.context) for _ in range(WATCHERS)]
    for connection in connections:
        connection.writer.write(request("GET", f"/api/v1/namespaces/other/pods?watch=1&{version}"))
    for connection in connections:
        await connection.reader.readuntil(b"\r\n\r\n")
    after = bench.memory()
    for connection in connections:
        connection.close()
    return (after - before) * 1000 / WATCHERS


def measure() -> dict[str, dict[str, float]]:
    results: dict[str, dict[str, float]] = {}

    def note(name: str, value: float, unit: str) -> None:
        results[name] = {unit: value}
        print(f"   {name:<34}{value:10.1f} {unit}", flush=True)

    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with serving(directory) as bench:
            pod = uvloop.run(template(bench))
        with serving(directory) as bench:
            empty = bench.memory()
            note("empty", empty, "MB")
            note(f"a watcher ({WATCHERS:,} of them)", uvloop.run(watchers(bench)), "KB")
        note("a pod's JSON", len(pod) / 1000, "KB")
        done = 0
        for count in COUNTS:
            uvloop.run(fill(directory, pod, done, count))
            done = count
            with serving(directory) as bench:
                used = bench.memory()
            note(f"{count:,} pods", used, "MB")
            note(f"a pod, of {count:,}", (used - empty) * 1000 / count, "KB")
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results = measure()
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
