"""Certificates are renewed while the server runs, and no connection ends for it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.integration.apiserver.api import CONFIGS
from tests.integration.apiserver.process import free_port
from tests.integration.apiserver.raw import RawConnection, request
from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.client import kubeconfig
from tiphys.daemon.saved import cluster_settings
from tiphys.daemon.server import Daemon
from tiphys.testing import eventually
from tiphys.testing.moved_clock import MovedClock


class Running:
    """A server process's inside on a data directory."""

    def __init__(self, directory: Path, clock: MovedClock) -> None:
        self.directory, self.clock = directory, clock
        self.settings = cluster_settings(directory, secure_port=free_port(), store="memory://", node_name="helm")
        self._writers: list[asyncio.StreamWriter] = []

    def close(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def connect(self) -> tuple[RawConnection, str]:
        """A connection as administrator, and the serial number of the certificate that the server shows."""
        context = ssl.create_default_context(cafile=self.directory / "pki" / "ca.crt")
        context.load_cert_chain(self.directory / "pki" / "admin.crt", self.directory / "pki" / "admin.key")
        reader, writer = await asyncio.open_connection("127.0.0.1", self.settings.apiserver.port, ssl=context)
        self._writers.append(writer)
        return RawConnection(reader, writer), str(writer.get_extra_info("peercert")["serialNumber"])


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    clock = MovedClock(timedelta(days=-300))
    made = Running(tmp_path, clock)
    stop = asyncio.Event()
    daemon = Daemon(made.settings, clock=clock)
    task = asyncio.create_task(daemon.run(stop, parts=("apiserver",)))

    def serves() -> bool:
        return task.done() or (daemon.server is not None and not any(daemon.server.health.results("readyz").values()))

    try:
        await eventually(serves, timeout=60)
        yield made
    finally:
        made.close()
        stop.set()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_running_server_renews_its_certificates(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    pki = running.directory / "pki"
    before = {path.name: path.read_bytes() for path in (*pki.iterdir(), running.directory / "admin.kubeconfig")}
    watching, old = await running.connect()
    await watching.send(request("GET", f"{CONFIGS}?watch=1&allowWatchBookmarks=1"))
    assert (await watching.head())[0] == 200
    idle, _ = await running.connect()
    await idle.send(request("GET", "/version"))
    await idle.answer()
    client = kubeconfig.load(running.directory / "node.kubeconfig", clock=running.clock)
    await client.raw("GET", "/version")

    running.clock.move(timedelta())

    async def shows_another() -> bool:
        running.clock.move(running.clock.offset + timedelta(minutes=2))
        try:
            return (await running.connect())[1] != old
        except ssl.SSLError:  # The certificate was read before its renewal, the key after it.
            return False

    await eventually(shows_another, timeout=60)
    # The server may show its own new certificate while the others are still being made.
    await eventually(lambda: any("certificates were renewed" in record.message for record in caplog.records))
    after = {path.name: path.read_bytes() for path in (*pki.iterdir(), running.directory / "admin.kubeconfig")}
    same = {"ca.crt", "ca.key", "sa.key", "sa.pub", "front-proxy-ca.crt", "front-proxy-ca.key"}
    assert {name for name in after if after[name] == before[name]} == same
    # What was open goes on, and who comes later uses the new files: people, the kubelet, and the server toward kubelets.
    await idle.send(request("GET", "/version"))
    assert (await idle.answer()).status == 200
    admin = kubeconfig.load(running.directory / "admin.kubeconfig")
    await admin.create(core.ConfigMap(metadata=ObjectMeta(name="new", namespace="default")))
    assert b'"new"' in await anext(watching.chunks())
    await client.raw("GET", "/version")

    def reloaded() -> set[str]:
        running.clock.move(running.clock.offset + timedelta(minutes=2))
        return {Path(getattr(record, "file", "")).name for record in caplog.records if record.message == "certificate reloaded"}

    await eventually(lambda: reloaded() == {"apiserver.crt", "apiserver-kubelet-client.crt"})
    for one in (admin, client):
        await one.close()


async def test_renewal_that_fails_is_tried_again(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    _, old = await running.connect()
    ca_key = running.directory / "pki" / "ca.key"
    kept = ca_key.read_bytes()
    ca_key.write_bytes(b"damaged")
    running.clock.move(timedelta(hours=-9))
    await eventually(lambda: any("renewal of the cluster's certificates failed" in record.message for record in caplog.records))
    ca_key.write_bytes(kept)
    running.clock.move(timedelta(hours=-7))

    async def shows_another() -> bool:
        running.clock.move(running.clock.offset + timedelta(minutes=2))
        try:
            return (await running.connect())[1] != old
        except ssl.SSLError:  # The certificate was read before its renewal, the key after it.
            return False

    await eventually(shows_another, timeout=60)
