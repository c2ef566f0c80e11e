"""Requests per second of a real API server over TLS, on SQLite, with 16 connections. Count- and time-bounded, on loopback.

    python -m bench.api [--count 2000] [--json FILE] [--driver auto|python|loadgen]

The driver shares the machine with the server. The load generator that the project is judged with is used where its source and Go are at
hand; otherwise one written in Python, which takes more of the machine, so that its figures are lower bounds. The CPU column says what a
request costs the server itself, both threads together.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import uvloop

CONNECTIONS = 16
LISTS = 60
SECONDS = 3
"""Seconds for which the load generator reads and lists."""
LOADGEN = Path(__file__).resolve().parents[2] / "shared" / "bench" / "loadgen"
WATCHERS = 100
WRITES = 500
WATCH_ROW = f"{WATCHERS} watchers x {WRITES} writes"
TICKS = os.sysconf("SC_CLK_TCK")
TOKEN = "bench-token"
PODS = "/api/v1/namespaces/bench/pods"
POD = (
    '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p%d","labels":{"app":"bench","tier":"web"},"annotations":{"example.com/owner":'
    '"bench team"}},"spec":{"automountServiceAccountToken":false,"containers":[{"name":"main","image":"registry.example/pause:3","env":['
    '{"name":"A","value":"1"},{"name":"POD","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}],"ports":[{"containerPort":8080,"name":'
    '"http"}],"resources":{"requests":{"cpu":"100m","memory":"128Mi"},"limits":{"cpu":"200m","memory":"256Mi"}},"readinessProbe":{"httpGet":'
    '{"path":"/healthz","port":8080}},"volumeMounts":[{"name":"data","mountPath":"/data"}]}],"volumes":[{"name":"data","emptyDir":{}}]}}'
)
STATUS = '{"status":{"phase":"Running","podIP":"10.0.0.%d","conditions":[{"type":"Ready","status":"True"}]}}'


def request(method: str, path: str, body: str = "", media: str = "application/json") -> bytes:
    """The bytes of a request."""
    head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {TOKEN}\r\nAccept: application/json\r\n"
    if body:
        head += f"Content-Type: {media}\r\nContent-Length: {len(body)}\r\n"
    return (head + "\r\n" + body).encode()


class Connection:
    """A keep-alive connection that sends one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, port: int, context: ssl.SSLContext) -> Connection:
        return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=context, limit=1 << 24))

    async def send(self, data: bytes) -> int:
        """The status of the answer."""
        self.writer.write(data)
        head = await self.reader.readuntil(b"\r\n\r\n")
        at = head.index(b"Content-Length: ") + 16
        await self.reader.readexactly(int(head[at : head.index(b"\r", at)]))
        return int(head[9:12])

    def close(self) -> None:
        self.writer.close()


class Bench:
    """The server's process and what is measured of it."""

    def __init__(self, port: int, pid: int, context: ssl.SSLContext) -> None:
        self.port, self.pid, self.context = port, pid, context
        self.results: dict[str, dict[str, float]] = {}

    def cpu(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self) -> float:
        """Resident memory in MB."""
        status = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return int(next(line for line in status if line.startswith("VmRSS")).split()[1]) / 1000

    async def load(self, name: str, requests: Iterable[bytes]) -> None:
        """Send requests over all connections and note rate, latencies and the server's CPU time for each."""
        pending = list(requests)
        pending.reverse()
        count, latencies, wrong = len(pending), [], 0
        connections = [await Connection.open(self.port, self.context) for _ in range(CONNECTIONS)]

        async def work(connection: Connection) -> None:
            nonlocal wrong
            while pending:
                data = pending.pop()
                began = time.perf_counter()
                wrong += await connection.send(data) >= 300
                latencies.append(time.perf_counter() - began)

        used, began = self.cpu(), time.perf_counter()
        await asyncio.gather(*map(work, connections))
        took, used = time.perf_counter() - began, self.cpu() - used
        for connection in connections:
            connection.close()
        latencies.sort()
        self.note(name, count / took, latencies[len(latencies) // 2], latencies[int(len(latencies) * 0.99)], used / count, wrong)

    def note(self, name: str, rate: float, p50: float, p99: float, cpu: float, wrong: int) -> None:
        self.results[name] = {"per s": rate, "p50 ms": p50 * 1e3, "p99 ms": p99 * 1e3, "server CPU us": cpu * 1e6, "errors": wrong}
        print(f"   {name:<28}{rate:10.0f}/s   p50 {p50 * 1e3:7.1f} ms   p99 {p99 * 1e3:7.1f} ms   CPU {cpu * 1e6:7.0f} us   errors {wrong}")

    async def watch(self) -> None:
        """`WATCHERS` watches while `WRITES` objects are written; every watcher must see every write."""
        seen = [0] * WATCHERS
        done = asyncio.Event()

        async def follow(index: int, connection: Connection) -> None:
            connection.writer.write(request("GET", "/api/v1/namespaces/bench/configmaps?watch=1"))
            await connection.reader.readuntil(b"\r\n\r\n")
            rest = b""
            while seen[index] < WRITES:
                rest += await connection.reader.read(1 << 18)
                lines = rest.split(b'{"type":"ADDED"')
                seen[index] += len(lines) - 1
                # A marker cut in two must still be found.
                rest = lines[-1][-16:]
            if min(seen) >= WRITES:
                done.set()

        connections = [await Connection.open(self.port, self.context) for _ in range(WATCHERS)]
        tasks = [asyncio.create_task(follow(index, connection)) for index, connection in enumerate(connections)]
        await asyncio.sleep(0.5)
        body = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c%d"},"data":{"key":"' + "x" * 600 + '"}}'
        pending = list(range(WRITES))
        wrong = 0

        async def write(writer: Connection) -> None:
            nonlocal wrong
            while pending:
                wrong += await writer.send(request("POST", "/api/v1/namespaces/bench/configmaps", body % pending.pop())) >= 300

        writers = [await Connection.open(self.port, self.context) for _ in range(CONNECTIONS)]
        used, began = self.cpu(), time.perf_counter()
        await asyncio.gather(*map(write, writers))
        async with asyncio.timeout(60):
            await done.wait()
        took, used = time.perf_counter() - began, self.cpu() - used
        for connection in (*connections, *writers):
            connection.close()
        await asyncio.gather(*tasks, return_exceptions=True)
        events = WATCHERS * WRITES
        self.note(WATCH_ROW, events / took, 0.0, 0.0, used / events, wrong + events - sum(seen))


def build_loadgen(directory: Path) -> Path | None:
    """The load generator built in `directory`, or None without its source or Go."""
    go = shutil.which("go")
    if go is None or not (LOADGEN / "main.go").exists():
        return None
    source, binary = directory / "loadgen-source", directory / "loadgen"
    shutil.copytree(LOADGEN, source)
    environment = {**os.environ, "GOFLAGS": "-mod=mod"}
    built = subprocess.run([go, "build", "-o", str(binary), "."], cwd=source, env=environment, check=False)
    return binary if built.returncode == 0 else None


def measure_with(loadgen: Path, bench: Bench, directory: Path, count: int) -> None:
    """The same rows by the load generator."""
    connect = ["-server", f"https://127.0.0.1:{bench.port}", "-ca", str(directory / "pki" / "ca.crt"), "-token", TOKEN]
    for row, mode, more in (
        ("create a pod", "create", ["-keep"]),
        ("get a pod", "get", []),
        (f"list {count} pods", "list", []),
        ("merge-patch a pod's status", "patch", []),
        ("delete a pod", "delete", []),
        (WATCH_ROW, "watch", ["-watchers", str(WATCHERS)]),
    ):
        number = WRITES if mode == "watch" else count
        command = [str(loadgen), *connect, "-mode", mode, "-n", str(number), "-seconds", str(SECONDS), "-c", str(CONNECTIONS), *more]
        used = bench.cpu()
        done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
        used = bench.cpu() - used
        if done.returncode:
            sys.exit(f"{' '.join(command)}: {done.stderr}")
        told = json.loads(done.stdout.splitlines()[-1])
        bench.note(row, told["per_s"], told["p50_ms"] / 1e3, told["p99_ms"] / 1e3, used / max(told["ops"], 1), told["errors"])


async def measure(bench: Bench, count: int) -> None:
    first = await Connection.open(bench.port, bench.context)
    namespace = '{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"bench"}}'
    await first.send(request("POST", "/api/v1/namespaces", namespace))
    account = '{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"default"}}'
    await first.send(request("POST", "/api/v1/namespaces/bench/serviceaccounts", account))
    first.close()
    merge = "application/merge-patch+json"
    await bench.load("create a pod", (request("POST", PODS, POD % n) for n in range(count)))
    await bench.load("get a pod", (request("GET", f"{PODS}/p{n % count}") for n in range(4 * count)))
    await bench.load(f"list {count} pods", (request("GET", PODS) for _ in range(LISTS)))
    await bench.load(
        "merge-patch a pod's status", (request("PATCH", f"{PODS}/p{n}/status", STATUS % (n % 250), merge) for n in range(count))
    )
    await bench.load("delete a pod", (request("DELETE", f"{PODS}/p{n}?gracePeriodSeconds=0") for n in range(count)))
    await bench.watch()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000, help="pods")
    parser.add_argument("--port", type=int, default=17443)
    parser.add_argument("--driver", choices=("auto", "python", "loadgen"), default="auto")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        loadgen = build_loadgen(directory) if arguments.driver != "python" else None
        if loadgen is None and arguments.driver == "loadgen":
            sys.exit(f"the load generator needs Go and its source in {LOADGEN}")
        tokens = directory / "tokens.csv"
        tokens.write_text(f"{TOKEN},bench,1,system:masters\n")
        command = [sys.executable, "-m", "tiphys", "apiserver", "--data-dir", name, "--secure-port", str(arguments.port)]
        log = (directory / "server.log").open("wb")
        process = subprocess.Popen([*command, "--token-auth-file", str(tokens)], stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 20
            while b"server is ready" not in (directory / "server.log").read_bytes():
                if process.poll() is not None or time.monotonic() > deadline:
                    sys.exit((directory / "server.log").read_text())
                time.sleep(0.05)
            context = ssl.create_default_context(cafile=str(directory / "pki" / "ca.crt"))
            context.check_hostname = False
            bench = Bench(arguments.port, process.pid, context)
            print(f"   driver: {'loadgen' if loadgen is not None else 'python'}")
            if loadgen is not None:
                measure_with(loadgen, bench, directory, arguments.count)
            else:
                uvloop.run(measure(bench, arguments.count))
            bench.results["memory afterwards"] = {"MB": bench.memory()}
            print(f"   {'memory afterwards':<28}{bench.memory():10.0f} MB")
        finally:
            process.terminate()
            process.wait(20)
            log.close()
    if arguments.json:
        arguments.json.write_text(json.dumps(bench.results, indent=2) + "\n")


if __name__ == "__main__":
    main()
