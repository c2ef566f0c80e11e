"""Microseconds of CPU for each step of a create inside the API server, and for whole requests in-process.

    python -m bench.steps [--json FILE]

No sockets, state in memory; the best of several rounds, so that what else the machine does matters little. Ends in a few seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop

from bench.api import POD, STATUS
from tiphys.api.core import v1 as core
from tiphys.api.kinds import SCHEME
from tiphys.api.machinery import codec
from tiphys.apiserver.cache.entry import EntryCodec
from tiphys.apiserver.chain.context import Context
from tiphys.apiserver.chain.routes import resolve
from tiphys.apiserver.server import ApiServer
from tiphys.apiserver.verbs import ownership, pipeline
from tiphys.http.head import parse_query
from tiphys.testing.api_server import ADMIN, running_api_server
from tiphys.wire.http import Request

ROUNDS = 8
COUNT = 300
NAMESPACE = "/api/v1/namespaces/bench"
MERGE = "application/merge-patch+json"
PODS = SCHEME.of(core.Pod)


class Table:
    def __init__(self) -> None:
        self.best: dict[str, float] = {}

    def note(self, name: str, seconds: float) -> None:
        self.best[name] = min(self.best.get(name, 1e9), seconds * 1e6)

    def time(self, name: str, step: Callable[[Any], object], items: list[Any]) -> None:
        began = time.process_time()
        for item in items:
            step(item)
        self.note(name, (time.process_time() - began) / len(items))

    async def time_all(self, name: str, step: Callable[[int], Awaitable[object]]) -> None:
        began = time.process_time()
        for number in range(COUNT):
            await step(number)
        self.note(name, (time.process_time() - began) / COUNT)


def decoded() -> core.Pod:
    pod = codec.decode(core.Pod, (POD % 1).encode(), validation="Warn").obj
    pod.metadata.namespace, pod.metadata.uid = "bench", "11111111-2222-4333-8444-555555555555"
    pod.metadata.creationTimestamp = datetime(2026, 1, 1, tzinfo=UTC)
    return pod


def prepared() -> core.Pod:
    pod = decoded()
    pipeline.default(PODS, pod)
    PODS.rules.prepare_create(pod)
    return pod


async def steps(server: ApiServer, table: Table) -> None:
    """The steps of a create, in their order."""
    headers = {"content-type": "application/json", "user-agent": "bench/1"}
    request = Request("POST", f"{NAMESPACE}/pods", headers=headers, body=(POD % 1).encode(), peer=ADMIN)
    info = resolve(request)
    services = server.app.services
    user = await server.app._authenticators.authenticate(request)
    ctx = Context(request, info, PODS, user, services)
    encoder = EntryCodec(PODS)
    nothing = [None] * COUNT
    table.time("  resolve the URL", lambda _: resolve(request), nothing)
    table.time("  authorize", lambda _: server.app._authorize(user, info, request), nothing)
    table.time("  decode, with repeated fields found", lambda _: pipeline.decode_body(ctx), nothing)
    table.time("  defaults and quantities", lambda pod: pipeline.default(PODS, pod), [decoded() for _ in nothing])
    table.time("  managedFields", lambda pod: ownership.of_create(ctx, pod), [prepared() for _ in nothing])

    async def admit(pod: core.Pod) -> None:
        admission = pipeline.admission_request(ctx, "CREATE", pod, None)
        if admission is not None:
            await services.admission.admit(admission)
            await services.admission.validate(admission)

    pods = [prepared() for _ in nothing]
    await table.time_all("  admission", lambda number: admit(pods[number]))
    table.time("  validate", lambda pod: pipeline.validate_new(PODS, pod), pods)
    size = pipeline.validate_new(PODS, pods[0])[2]
    encoder.encode_bounded(pods[0], size)  # What an encoder finds out once belongs to no request.
    table.time("  encode", lambda pod: encoder.encode_bounded(pod, size), pods)
    value = encoder.encode(pods[0])
    table.time("  make the entry", lambda pod: encoder.entry(value, 7, pod), pods)


async def measure(table: Table) -> None:
    with tempfile.TemporaryDirectory() as name:
        async with running_api_server(Path(name)) as (server, _):

            async def send(method: str, target: str, body: str = "", media: str = "application/json") -> None:
                path, _, query = target.partition("?")
                headers = {"content-type": media, "user-agent": "bench/1", "accept": "application/json"}
                sent = Request(method, path, query=parse_query(query.encode()), headers=headers, body=body.encode(), peer=ADMIN)
                answer = await server.app.handle(sent)
                assert answer.status < 300, answer.body

            await send("POST", "/api/v1/namespaces", '{"metadata":{"name":"bench"}}')
            await send("POST", f"{NAMESPACE}/serviceaccounts", '{"metadata":{"name":"default"}}')
            gc.collect()
            gc.freeze()
            pods = f"{NAMESPACE}/pods"
            for _ in range(ROUNDS):
                await steps(server, table)
                await table.time_all("create a pod", lambda n: send("POST", pods, POD % n))
                await table.time_all("get a pod", lambda n: send("GET", f"{pods}/p{n}"))
                await table.time_all("merge-patch its status", lambda n: send("PATCH", f"{pods}/p{n}/status", STATUS % (n % 250), MERGE))
                await table.time_all("delete a pod", lambda n: send("DELETE", f"{pods}/p{n}?gracePeriodSeconds=0"))
                await asyncio.sleep(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    table = Table()
    uvloop.run(measure(table))
    for name, microseconds in table.best.items():
        print(f"   {name:<40}{microseconds:8.1f} us")
    if arguments.json:
        arguments.json.write_text(json.dumps({name.strip(): round(value, 2) for name, value in table.best.items()}, indent=2) + "\n")


if __name__ == "__main__":
    main()
