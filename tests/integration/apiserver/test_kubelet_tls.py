"""The connection to a kubelet whose certificate is not the cluster's: refused, unless the caller of a log asks for it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.integration.apiserver.api import Api
from tiphys.apiserver.server import ApiServer
from tiphys.apiserver.settings import ApiServerSettings
from tiphys.daemon import pki
from tiphys.store.memory import MemoryStore

POD: dict[str, Any] = {"metadata": {"name": "web"}, "spec": {"nodeName": "n1", "containers": [{"name": "main", "image": "i"}]}}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    """An API server whose one node answers with a certificate of another cluster."""
    now, names = datetime.now(UTC), pki.Names()
    ours, theirs = [await asyncio.to_thread(pki.ensure, tmp_path / name, now, names=names, nodes=["n1"]) for name in ("ours", "theirs")]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nline")
        await writer.drain()
        writer.close()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving = theirs.pair("kubelet-server")
    context.load_cert_chain(serving.cert, serving.key)
    client = ours.pair("apiserver-kubelet-client")
    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context) as listening:
        port = listening.sockets[0].getsockname()[1]
        settings = ApiServerSettings(
            port=6443, advertise="192.0.2.1", certificate=ours.pair("apiserver").cert, key=ours.pair("apiserver").key, client_ca=ours.ca,
            service_account_key=ours.service_account.key, kubelet_certificate=client.cert, kubelet_key=client.key,
            local_kubelets={"n1": ("127.0.0.1", port)},
        )  # fmt: skip
        server = ApiServer(settings, MemoryStore())
        await server.start(listen=False)
        yield Api(server)
        await server.stop(grace=0.1)


async def test_a_log_may_come_from_anybody_when_it_is_asked_for(api: Api) -> None:
    address = [{"type": "InternalIP", "address": "127.0.0.1"}]
    await api.post("/api/v1/nodes", {"metadata": {"name": "n1"}, "status": {"addresses": address}})
    await api.post("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
    made = await api.post("/api/v1/namespaces/default/pods", POD)
    assert made.status == 201, made.body
    refused = await api.get("/api/v1/namespaces/default/pods/web/log")
    assert refused.status >= 500
    assert "certificate verify failed" in refused.message
    shown = await api.respond("GET", "/api/v1/namespaces/default/pods/web/log?insecureSkipTLSVerifyBackend=true")
    assert shown.status == 200
    assert shown.stream is not None
    assert b"".join([part async for part in shown.stream]) == b"line"
    assert (await api.get("/api/v1/nodes/n1/proxy/pods?insecureSkipTLSVerifyBackend=true")).status >= 500
