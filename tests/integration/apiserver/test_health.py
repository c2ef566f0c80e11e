"""/healthz, /livez and /readyz: the checks by name, and the answers when one fails."""

from __future__ import annotations

import asyncio
import resource
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.integration.apiserver.api import CONFIGS, Api
from tests.integration.apiserver.process import ServerProcess
from tests.integration.store.sqlite.sql import execute
from tiphys.api.core import v1 as core
from tiphys.api.machinery import errors
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.apiserver.server import ApiServer
from tiphys.apiserver.settings import ApiServerSettings
from tiphys.client import Client
from tiphys.daemon import pki
from tiphys.store.contract import StoreFailed
from tiphys.store.memory import MemoryStore
from tiphys.testing.api_server import running_api_server

STEPS = [
    "poststarthook/crd-informer-synced", "poststarthook/rbac/bootstrap-roles", "poststarthook/scheduling/bootstrap-system-priority-classes",
    "poststarthook/start-service-ip-repair-controllers", "poststarthook/priority-and-fairness-config-producer",
    "poststarthook/apiservice-registration-controller",
]  # fmt: skip
LIVE = ["ping", "log", "etcd", *STEPS]
READY = ["ping", "log", "etcd", "etcd-readiness", "informer-sync", *STEPS, "shutdown"]
CHECKS = {"healthz": LIVE, "livez": LIVE, "readyz": READY}


@pytest.mark.parametrize(("endpoint", "names"), CHECKS.items())
async def test_every_check_has_its_line_and_its_page(api: Api, endpoint: str, names: list[str]) -> None:
    plain = await api.get(f"/{endpoint}")
    assert (plain.status, plain.body) == (200, b"ok")
    assert plain.headers["Content-Type"] == "text/plain; charset=utf-8"
    lines = (await api.get(f"/{endpoint}?verbose")).body.decode()
    assert lines == "".join(f"[+]{name} ok\n" for name in names) + f"{endpoint} check passed\n"
    assert (await api.get(f"/{endpoint}?verbose=false")).body.decode() == lines
    for name in names:
        answer = await api.get(f"/{endpoint}/{name}")
        assert (answer.status, answer.body) == (200, b"ok")
    assert {f"/{endpoint}", f"/{endpoint}/etcd"} <= set((await api.get("/")).doc["paths"])


@pytest.mark.parametrize("path", ["/livez/nothing", "/livez/shutdown", "/healthz/etcd-readiness", "/livezz", "/readyz/poststarthook"])
async def test_a_check_that_is_not_there(api: Api, path: str) -> None:
    assert (await api.get(path)).status == 404


async def test_excluded_checks(api: Api) -> None:
    lines = (await api.get("/livez?verbose&exclude=etcd&exclude=nothing&exclude=no")).body.decode().splitlines()
    assert lines[:3] == ["[+]ping ok", "[+]log ok", "[+]etcd excluded: ok"]
    assert lines[-2:] == ['warn: some health checks cannot be excluded: no matches for "no","nothing"', "livez check passed"]


async def test_a_failing_check_is_named_and_its_reason_withheld(api: Api) -> None:
    api.server.storage.trouble = "the store cannot be followed: no route"
    for endpoint, names in CHECKS.items():
        failing = {"etcd", "etcd-readiness", "informer-sync"}
        answer = await api.get(f"/{endpoint}")
        assert answer.status == 500
        lines = [f"[-]{name} failed: reason withheld" if name in failing else f"[+]{name} ok" for name in names]
        assert answer.body.decode() == "\n".join((*lines, f"{endpoint} check failed")) + "\n"
    one = await api.get("/livez/etcd")
    assert (one.status, one.body) == (500, b"internal server error: the store cannot be followed: no route\n")
    assert (await api.get("/livez?exclude=etcd")).body == b"ok"
    assert (await api.get("/readyz?exclude=etcd")).status == 500


async def test_a_server_that_retires_lives(api: Api) -> None:
    api.server.retire()
    assert (await api.get("/livez")).body == b"ok"
    assert b"[-]shutdown failed: reason withheld\nreadyz check failed\n" in (await api.get("/readyz")).body
    assert (await api.get("/readyz/shutdown")).body == b"internal server error: process is shutting down\n"
    assert (await api.get("/readyz?exclude=shutdown")).body == b"ok"


async def test_a_server_that_starts_is_not_ready(tmp_path: Path) -> None:
    keys = await asyncio.to_thread(pki.ensure, tmp_path, datetime.now(UTC), names=pki.Names())
    serving = keys.pair("apiserver")
    settings = ApiServerSettings(certificate=serving.cert, key=serving.key, client_ca=keys.ca, service_account_key=keys.service_account.key)
    server = ApiServer(settings, MemoryStore())
    results = server.health.results("readyz")
    assert results["informer-sync"] == "the caches are not filled yet"
    assert {name for name, reason in results.items() if reason == "not finished"} == set(STEPS)


async def test_anybody_reads_the_pages_and_few_a_single_check(api: Api) -> None:
    guest = api.acting_as("guest")
    assert (await guest.get("/readyz?verbose")).status == 200
    assert (await guest.get("/readyz/etcd")).status == 403


async def test_a_failed_store_shows_at_once(keys: Path) -> None:
    store = MemoryStore()
    async with running_api_server(keys, store=store) as (server, _):
        api = Api(server)
        waiting = asyncio.create_task(server.failed())
        await asyncio.sleep(0)
        assert not waiting.done()
        store._failure.set(StoreFailed("server.db: disk I/O error"))
        for endpoint in CHECKS:
            answer = await api.get(f"/{endpoint}")
            assert answer.status == 500
            assert b"[-]etcd failed: reason withheld" in answer.body
        assert b"disk I/O error" in (await api.get("/readyz/etcd-readiness")).body
        status = (await api.get("/api/v1/componentstatuses/etcd-0")).doc
        assert [condition["status"] for condition in status["conditions"]] == ["False"]
        assert str(await waiting) == "server.db: disk I/O error"
        assert (await api.get(CONFIGS)).status == 200  # reads go on until the process ends


async def _write_on(client: Client) -> None:
    for number in range(100):
        big = core.ConfigMap(metadata=ObjectMeta(name=f"big-{number}", namespace="default"), data={"a": "x" * 100_000})
        await client.create(big)


async def test_a_process_ends_after_an_io_error_and_says_why(tmp_path: Path) -> None:
    """The kernel refuses writes past a size, which SQLite reports as an I/O error: the process ends, and the next one has everything."""
    process = ServerProcess(tmp_path)
    await process.start()
    client = process.client()
    await client.create(core.ConfigMap(metadata=ObjectMeta(name="kept", namespace="default"), data={"a": "b"}))
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
    with pytest.raises((errors.ServiceUnavailable, ConnectionError)):
        await _write_on(client)
    assert await process.wait() == 1
    await client.close()
    log = (tmp_path / "log").read_text()
    said = [line for line in log.splitlines() if line.startswith("tiphys: ")]
    assert said == [f"tiphys: {tmp_path}/server.db: disk I/O error; the store takes no more writes until it is restarted"]
    # Nothing claims that the file needs no checking.
    assert await execute(tmp_path / "server.db", "SELECT number FROM meta WHERE name = 'clean'") == [(0,)]
    await process.start()
    client = process.client()
    assert (await client.get(core.ConfigMap, "kept", "default")).data == {"a": "b"}
    assert await client.create(core.ConfigMap(metadata=ObjectMeta(name="more", namespace="default")))
    await client.close()
    await process.end(signal.SIGTERM)
