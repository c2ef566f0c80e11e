"""Behavior of the client beyond one request: waiting when told to, deriving, streams that break."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from tiphys.api.apps import v1 as apps
from tiphys.api.autoscaling.v1 import Scale
from tiphys.api.core import v1 as core
from tiphys.api.machinery import errors
from tiphys.api.machinery.scheme import Kind
from tiphys.api.meta.v1 import KubeObject
from tiphys.client import Client, InProcessTransport, kubeconfig
from tiphys.client.rest import HttpTransport
from tiphys.testing.certificates import issue
from tiphys.testing.memory_api import MemoryApi
from tiphys.testing.samples import config, pod, replica_set
from tiphys.wire.http import PeerIdentity, Request, Response

pytestmark = pytest.mark.looptime


async def test_retry_after_is_obeyed(api: MemoryApi) -> None:
    api.add(config("c"))
    api.faults.fail("*", errors.TooManyRequests("busy", retry_after=3), times=2)
    began = api.clock.monotonic()
    await api.client().get(core.ConfigMap, "c", "default")
    assert api.clock.monotonic() - began == pytest.approx(6)
    api.faults.fail("*", errors.TooManyRequests("busy"), times=100)
    with pytest.raises(errors.TooManyRequests):
        await api.client().get(core.ConfigMap, "c", "default")


async def test_errors_without_retry_after_are_raised_at_once(api: MemoryApi) -> None:
    api.faults.fail("*", errors.InternalError("broken"))
    with pytest.raises(errors.InternalError, match="broken"):
        await api.client().get(core.ConfigMap, "c", "default")
    assert len(api.calls) == 1


async def test_identity_travels_with_the_transport_and_names_with_the_client(api: MemoryApi) -> None:
    seen: list[Request] = []

    async def handler(request: Request) -> Response:
        seen.append(request)
        return await api.handle(request)

    who = PeerIdentity(common_name="system:kube-scheduler", organizations=("system:masters",))
    client = Client(InProcessTransport(handler, peer=who, headers={"x": "y"}), scheme=api.scheme, user_agent="parent")
    heard: list[tuple[str, str]] = []

    def on_write(kind: Kind[KubeObject], obj: KubeObject) -> None:
        heard.append((kind.plural, obj.metadata.resourceVersion))

    child = client.derive(user_agent="parent/child", on_write=on_write)
    made = await child.create(config("c"))
    await child.get(core.ConfigMap, "c", "default")
    await client.patch(core.ConfigMap, "c", "default", body={"data": {"a": "b"}})
    assert [request.headers["user-agent"] for request in seen] == ["parent/child", "parent/child", "parent"]
    assert all(request.peer == who and request.headers["x"] == "y" for request in seen)
    assert heard == [("configmaps", made.metadata.resourceVersion)]
    await client.close()
    with pytest.raises(ConnectionError):
        await child.get(core.ConfigMap, "c", "default")


async def _broken_off() -> AsyncIterator[bytes]:
    yield b'{"type":"ADDED","obj'


async def _garbage() -> AsyncIterator[bytes]:
    yield b"<html>\n"


@pytest.mark.parametrize("stream", [_broken_off, _garbage])
async def test_a_watch_that_makes_no_sense_is_a_broken_connection(api: MemoryApi, stream: type[AsyncIterator[bytes]]) -> None:
    api.faults.answer("watch", lambda call: Response(stream=stream()))
    with pytest.raises(ConnectionError):
        await anext(api.client().watch(core.Pod))


async def test_leaving_a_watch_closes_it_on_the_server(api: MemoryApi) -> None:
    api.add(pod("a"))
    async with aclosing(api.client().watch(core.Pod)) as events:
        await anext(events)
        assert api.faults.watches
    assert not api.faults.watches


async def test_dry_runs_change_nothing(api: MemoryApi) -> None:
    client = api.client()
    made = await client.create(config("c"), dry_run=True)
    assert made.metadata.uid
    assert api.list(core.ConfigMap, "default") == []


async def test_collections_are_deleted_by_selector(api: MemoryApi) -> None:
    api.add(pod("a", labels={"x": "1"}), pod("b", labels={"x": "2"}), pod("c", "other", labels={"x": "1"}))
    await api.client().delete_collection(core.Pod, "default", labels="x=1")
    assert [obj.metadata.name for obj in api.list(core.Pod)] == ["b", "c"]


async def test_a_scale_counts_as_a_write_of_the_object_it_scales(api: MemoryApi) -> None:
    await api.client().create(replica_set("r", 3))
    heard: list[tuple[str, str]] = []
    client = api.client().derive(on_write=lambda kind, obj: heard.append((kind.plural, obj.metadata.resourceVersion)))
    scale = await client.get_subresource(apps.ReplicaSet, "r", "default", "scale", Scale)
    scale.spec.replicas = 4
    await client.put_subresource(apps.ReplicaSet, "r", "default", "scale", scale)
    assert heard == [("replicasets", api.get(apps.ReplicaSet, "r", "default").metadata.resourceVersion)]


def test_in_a_pod_the_environment_says_where_the_server_is(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not in a cluster"):
        kubeconfig.in_cluster({}, folder=tmp_path)
    (tmp_path / "ca.crt").write_bytes(issue("ca").cert_pem)
    (tmp_path / "token").write_text("t")
    for host, url in (("10.43.0.1", "https://10.43.0.1:443"), ("fd00::1", "https://[fd00::1]:443")):
        client = kubeconfig.in_cluster({"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": "443"}, folder=tmp_path)
        assert isinstance(client.transport, HttpTransport)
        assert client.transport.server == url
