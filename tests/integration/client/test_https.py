"""The client over HTTPS."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from urllib.parse import unquote

import pytest

from tiphys.api.core import v1 as core
from tiphys.api.machinery import errors
from tiphys.client import Client, credentials, kubeconfig
from tiphys.client.rest import HttpTransport
from tiphys.runtime import InformerFactory
from tiphys.testing import eventually
from tiphys.testing.certificates import issue
from tiphys.testing.https import Listener
from tiphys.testing.samples import config, pod
from tiphys.wire.http import Response


@pytest.fixture
async def client(listener: Listener) -> AsyncIterator[Client]:
    who = issue("ann", listener.ca, organization="system:masters")
    transport = HttpTransport(listener.url, ca=listener.ca.cert_pem, cert=who.cert_pem, key=who.key_pem, token="secret")
    client = Client(transport)
    yield client
    await client.close()


async def test_verbs_travel_with_certificate_and_token(listener: Listener, client: Client) -> None:
    made = await client.create(config("a", text="grüße & more"))
    made.data["x"] = "y"
    await client.update(made)
    assert (await client.get(core.ConfigMap, "a", "default")).data == {"text": "grüße & more", "x": "y"}
    await client.delete(core.ConfigMap, "a", "default")
    with pytest.raises(errors.NotFound, match='configmaps "a" not found'):
        await client.get(core.ConfigMap, "a", "default")
    assert {request.peer.common_name for request in listener.requests} == {"ann"}
    assert {request.headers["authorization"] for request in listener.requests} == {"Bearer secret"}


async def test_queries_and_names_are_quoted(listener: Listener, client: Client) -> None:
    await client.create(pod("a", labels={"app": "x"}))
    listed = await client.list(core.Pod, labels="app in (x, y),other notin (z)", fields="metadata.name!=b")
    assert len(listed.items) == 1
    with pytest.raises(errors.NotFound):
        await client.get(core.ConfigMap, "50% ü:b", "default")
    assert unquote(listener.requests[-1].path).endswith("/50% ü:b")


async def test_watches_stream_and_can_be_left(listener: Listener, client: Client) -> None:
    listed = await client.list(core.Pod)
    async with aclosing(client.watch(core.Pod, resource_version=listed.resourceVersion)) as events:
        await client.create(pod("a"))
        await client.create(pod("b"))
        assert [(await anext(events)).object.metadata.name for _ in range(2)] == ["a", "b"]
    await eventually(lambda: not listener.api.faults.watches)


async def test_the_server_ends_a_watch_after_its_timeout(listener: Listener, client: Client) -> None:
    listed = await client.list(core.Pod)
    watch = client.watch(core.Pod, resource_version=listed.resourceVersion, bookmarks=False, timeout=1)
    assert [event async for event in watch] == []


async def test_an_informer_survives_a_broken_stream(listener: Listener, client: Client) -> None:
    factory = InformerFactory(client)
    informer = factory.of(core.Pod)
    factory.start()
    await informer.wait_synced()
    await eventually(lambda: listener.api.faults.watches)
    listener.api.faults.end_watches(error=ConnectionResetError())
    await client.create(pod("a"))
    await eventually(lambda: len(informer) == 1)
    await factory.stop()


async def test_a_stranger_s_server_is_not_trusted(listener: Listener) -> None:
    client = Client(HttpTransport(listener.url, ca=issue("other").cert_pem))
    with pytest.raises(ConnectionError, match="certificate verify failed"):
        await client.list(core.Pod)
    await client.close()


async def test_no_server_no_answer() -> None:
    client = Client(HttpTransport("http://127.0.0.1:1"))
    with pytest.raises(ConnectionError):
        await client.list(core.Pod)
    await client.close()
    with pytest.raises(ConnectionError, match="closed"):
        await client.list(core.Pod)


async def test_answers_that_are_no_status_become_errors_too(listener: Listener, client: Client) -> None:
    listener.api.faults.answer("*", lambda call: Response(status=502, body=b"<html>bad gateway</html>"))
    with pytest.raises(errors.StatusError, match="bad gateway") as caught:
        await client.list(core.Pod)
    assert caught.value.status().code in (500, 502)


@pytest.mark.parametrize("inline", [True, False])
async def test_kubeconfigs_load_inline_and_from_files(listener: Listener, tmp_path: Path, inline: bool) -> None:
    who = issue("bob", listener.ca, organization="system:masters")
    made = kubeconfig.build(listener.url, ca=listener.ca.cert_pem, cert=who.cert_pem, key=who.key_pem)
    if not inline:
        for name, data in (("ca.crt", listener.ca.cert_pem), ("bob.crt", who.cert_pem), ("bob.key", who.key_pem)):
            (tmp_path / name).write_bytes(data)
        made.clusters[0].cluster = kubeconfig.Cluster(server=listener.url, certificate_authority="ca.crt")
        made.users[0].user = kubeconfig.User(client_certificate="bob.crt", client_key=str(tmp_path / "bob.key"))
    path = tmp_path / "config"
    await asyncio.to_thread(kubeconfig.save, path, made)
    assert path.stat().st_mode & 0o777 == 0o600
    client = kubeconfig.load(path)
    await client.create(pod("a"))
    assert listener.requests[-1].peer.common_name == "bob"
    await client.close()


async def test_replaced_files_are_read_again(listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "REFRESH_SECONDS", 0.0)

    def write(name: str, token: str) -> None:
        who = issue(name, listener.ca, organization="system:masters")
        for file, data in (("token", token.encode()), ("c.crt", who.cert_pem), ("c.key", who.key_pem)):
            (tmp_path / f"{file}.new").write_bytes(data)
            os.replace(tmp_path / f"{file}.new", tmp_path / file)

    write("old", "one")
    transport = HttpTransport(
        listener.url, ca=listener.ca.cert_pem, cert=tmp_path / "c.crt", key=tmp_path / "c.key", token_file=tmp_path / "token"
    )
    client = Client(transport)
    await client.list(core.Pod)
    write("new", "two")
    # A watch keeps the old connection busy, so that the next request needs a new one.
    async with aclosing(client.watch(core.Pod)) as events:
        event = asyncio.create_task(anext(events))
        await eventually(lambda: listener.api.faults.watches)
        await client.create(pod("a"))
        await event
    await client.close()
    assert {request.headers["authorization"] for request in listener.requests[1:]} == {"Bearer two"}
    assert {request.peer.common_name for request in listener.requests} == {"old", "new"}


async def test_kubectl_understands_the_file(listener: Listener, tmp_path: Path) -> None:
    made = kubeconfig.build(listener.url, ca=listener.ca.cert_pem, token="t", namespace="team")
    await asyncio.to_thread(kubeconfig.save, tmp_path / "config", made)
    again = kubeconfig.read(tmp_path / "config")
    assert again == made
    assert again.select()[2].namespace == "team"
    with pytest.raises(ValueError, match="no context"):
        again.select("other")
    (tmp_path / "bad").write_text("clusters: 7")
    with pytest.raises(ValueError, match="not a kubeconfig"):
        kubeconfig.read(tmp_path / "bad")
