"""Latencies of a quiet client while another one floods the server: a small GET, alone and beside a flood.

    python -m bench.flood [--seconds 4] [--connections 300] [--lists 50] [--pods 2000] [--only NAME]

A server of its own over TLS in this process, the flood in a second one, the quiet client in a third; both are service accounts, so the same
priority level serves them. The resident memory of this process is shown before, at the end of and after each flood: of watches and lists
that nobody reads it is the bound that counts. Ends in about twelve times `--seconds`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import json
import multiprocessing
import resource
import socket
import ssl
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop

from bench.api import POD
from tiphys.aio.memory import give_back
from tiphys.aio.tasks import cancel_and_wait
from tiphys.apiserver.server import ApiServer
from tiphys.testing.api_server import ADMIN, running_api_server
from tiphys.wire.http import Request

NAMESPACE = "/api/v1/namespaces/bench"
PAUSE = 0.02
SETTLE_SECONDS = 12.0


async def _send(server: ApiServer, method: str, path: str, doc: Any) -> Any:
    body = doc.encode() if isinstance(doc, str) else json.dumps(doc).encode()
    answer = await server.app.handle(Request(method, path, headers={"content-type": "application/json"}, body=body, peer=ADMIN))
    assert answer.status < 300, answer.body
    return json.loads(answer.body)


async def _prepare(server: ApiServer, pods: int) -> dict[str, str]:
    """Pods to list, and the tokens of two accounts that may read them."""
    await _send(server, "POST", "/api/v1/namespaces", {"metadata": {"name": "bench"}})
    tokens = {}
    for name in ("default", "flood", "quiet"):
        await _send(server, "POST", f"{NAMESPACE}/serviceaccounts", {"metadata": {"name": name}})
        asked = await _send(server, "POST", f"{NAMESPACE}/serviceaccounts/{name}/token", {"spec": {"audiences": []}})
        tokens[name] = asked["status"]["token"]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    subjects = [{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "system:serviceaccounts:bench"}]
    binding = {"metadata": {"name": "bench"}, "roleRef": role, "subjects": subjects}
    await _send(server, "POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)
    for number in range(pods):
        await _send(server, "POST", f"{NAMESPACE}/pods", POD % number)
    return tokens


class _Connection:
    """One connection that sends a request and reads its answer."""

    def __init__(self, port: int, ca: str, target: str, token: str, body: str = "") -> None:
        self._port, self._ca = port, ca
        method, _, _ = target.partition(" ")
        if method == "POST":
            body = '{"metadata":{"generateName":"flood-"},"data":{"a":"b"}}'
        media = "application/merge-patch+json" if method == "PATCH" else "application/json"
        lines = (f"{target} HTTP/1.1", "Host: a", f"Authorization: Bearer {token}", f"Content-Length: {len(body)}")
        self.request = ("\r\n".join((*lines, f"Content-Type: {media}", "", "")) + body).encode()

    async def open(self) -> None:
        context = ssl.create_default_context(cafile=self._ca)
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, ssl=context, limit=16 << 20)

    async def ask(self) -> int:
        """The status of one answer."""
        self._writer.write(self.request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        while length:
            length -= len(await self._reader.read(min(length, 1 << 20)))
        return int(head[9:12])


async def _flood(port: int, ca: str, path: str, token: str, connections: int, counts: Any) -> None:
    async def one() -> None:
        connection = _Connection(port, ca, path, token)
        await connection.open()
        while True:
            status = await connection.ask()
            counts[0 if status < 300 else 1] += 1
            if status == 429:
                await asyncio.sleep(1.0)

    await asyncio.gather(*(one() for _ in range(connections)))


async def _ignore(port: int, ca: str, path: str, token: str, connections: int, counts: Any) -> None:
    """Ask and never read the answers; `counts` has how many were asked for. For a watch one more connection makes changes."""
    context = ssl.create_default_context(cafile=ca)
    kept = []
    for _ in range(connections):
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.setblocking(False)
        await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(sock=raw, ssl=context, server_hostname="127.0.0.1", limit=1024)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(_Connection(port, ca, path, token).request)
        kept.append((reader, writer))
        counts[0] += 1
    if "watch=" in path:
        await asyncio.gather(*(_change(port, ca, token, first) for first in range(0, 400, 100)))
    await asyncio.sleep(3600)


async def _change(port: int, ca: str, token: str, first: int) -> None:
    for turn in itertools.count():
        name = f"p{first + turn % 100}"
        connection = _Connection(port, ca, f"PATCH {NAMESPACE}/pods/{name}", token, f'{{"metadata":{{"labels":{{"turn":"{turn}"}}}}}}')
        if not turn:
            await connection.open()
            changing = connection
        changing.request = connection.request
        await changing.ask()


def _run_ignore(*arguments: Any) -> None:
    uvloop.run(_ignore(*arguments))


def _run_flood(*arguments: Any) -> None:
    uvloop.run(_flood(*arguments))


async def _quiet(port: int, ca: str, path: str, token: str, seconds: float) -> list[float]:
    connection = _Connection(port, ca, path, token)
    await connection.open()
    latencies = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.perf_counter()
        status = await connection.ask()
        assert status == 200, status
        latencies.append(time.perf_counter() - began)
        await asyncio.sleep(PAUSE)
    return latencies


def _run_quiet(pipe: Any, *arguments: Any) -> None:
    pipe.send(uvloop.run(_quiet(*arguments)))


async def _measure(server: ApiServer, ca: str, tokens: dict[str, str], name: str, path: str, connections: int, seconds: float) -> None:
    context = multiprocessing.get_context("spawn")
    counts = context.Array("L", 2, lock=False)
    ours, theirs = context.Pipe()
    run = _run_ignore if "unread" in name else _run_flood
    resident = _resident()
    flood = context.Process(target=run, args=(server.port, ca, path, tokens["flood"], connections, counts))
    quiet = context.Process(target=_run_quiet, args=(theirs, server.port, ca, f"GET {NAMESPACE}/pods/p1", tokens["quiet"], seconds))
    if connections:
        flood.start()
        await asyncio.sleep(2.0)
    before, began = tuple(counts), time.monotonic()
    quiet.start()
    await asyncio.to_thread(ours.poll, None)
    took = time.monotonic() - began
    latencies = sorted(value * 1e3 for value in ours.recv())
    done, refused = ((now - then) / took for now, then in zip(counts, before, strict=True))
    peak = _resident()
    if connections:
        flood.terminate()
        flood.join()
    quiet.join()
    await asyncio.sleep(SETTLE_SECONDS)
    p99 = latencies[int(len(latencies) * 0.99)]
    print(
        f"   {name:<28} quiet p50 {statistics.median(latencies):7.2f} ms  p99 {p99:7.2f}  max {latencies[-1]:7.2f}"
        f"   flood {done:7.0f}/s answered, {refused:5.0f}/s refused"
        f"   memory {resident:4d} > {peak:4d} > {_resident():4d} MB",
        flush=True,
    )


def _resident() -> int:
    """Resident memory in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() >> 20


async def main_async(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as directory:
        async with running_api_server(Path(directory), listen=True) as (server, _):
            tokens = await _prepare(server, arguments.pods)
            giving_back = asyncio.create_task(give_back(server.clock))
            # As the daemon does when it has started: what is there now is not walked over again and again.
            gc.collect()
            gc.freeze()
            ca = str(Path(directory) / "pki" / "ca.crt")
            for name, path, connections in (
                ("alone", "", 0),
                (f"beside {arguments.connections} x GET", f"GET {NAMESPACE}/pods/p2", arguments.connections),
                (f"beside {arguments.lists} x LIST", f"GET {NAMESPACE}/pods", arguments.lists),
                (f"beside {arguments.connections} x POST", f"POST {NAMESPACE}/configmaps", arguments.connections),
                (f"beside {arguments.connections} unread watches", f"GET {NAMESPACE}/pods?watch=1", arguments.connections),
                (f"beside {arguments.lists} unread lists", f"GET {NAMESPACE}/pods?labelSelector=x!%3Dy", arguments.lists),
            ):
                if arguments.only not in name:
                    continue
                await _measure(server, ca, tokens, name, path, connections, arguments.seconds)
            await cancel_and_wait(giving_back)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--connections", type=int, default=300)
    parser.add_argument("--lists", type=int, default=50)
    parser.add_argument("--pods", type=int, default=2000)
    parser.add_argument("--only", default="", help="Only the floods with this in their name.")
    uvloop.run(main_async(parser.parse_args()))


if __name__ == "__main__":
    main()
