"""metrics.k8s.io from a kubelet's page, over TLS, as clients read it."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.integration.apiserver.api import PODS, Api, pod
from tests.integration.apiserver.conftest import with_default_account
from tests.integration.apiserver.test_proxy_targets import with_node
from tiphys.daemon import pki
from tiphys.testing.api_server import running_api_server

GROUP = "/apis/metrics.k8s.io/v1beta1"
STARTED = time.monotonic()


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The page of a node that uses two cores, one of them for the container `main` of the pod `a`."""
    request = await reader.readuntil(b"\r\n\r\n")
    assert request.startswith(b"GET /metrics/resource ")
    passed = time.monotonic() - STARTED
    labels = '{container="main",namespace="default",pod="a"}'
    page = (
        f"container_cpu_usage_seconds_total{labels} {passed}\ncontainer_memory_working_set_bytes{labels} {3 << 20}\n"
        f"node_cpu_usage_seconds_total {2 * passed}\nnode_memory_working_set_bytes {9 << 20}\n"
    ).encode()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(page), page))
    writer.close()


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    made_keys = await asyncio.to_thread(pki.ensure, tmp_path / "pki", datetime.now(UTC), names=pki.Names(), nodes=["n"])
    serving = made_keys.pair("kubelet-server")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(serving.cert, serving.key)
    kubelet = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)
    async with running_api_server(tmp_path, local_kubelets={"n": kubelet.sockets[0].getsockname()[:2]}) as (server, _):
        made = Api(server)
        await with_default_account(made)
        await with_node(made, "n", "127.0.0.1")
        assert (await made.post(PODS, pod("a", node="n", labels={"app": "web"}))).status == 201
        yield made
    kubelet.close()
    await kubelet.wait_closed()


async def test_use_of_nodes_and_pods(api: Api) -> None:
    nodes = (await api.get(f"{GROUP}/nodes")).doc
    assert nodes["kind"] == "NodeMetricsList"
    assert [node["metadata"]["name"] for node in nodes["items"]] == ["n"]
    usage = nodes["items"][0]["usage"]
    assert usage["memory"] == f"{9 << 10}Ki"
    assert float(usage["cpu"].removesuffix("n")) == pytest.approx(2e9, rel=0.2)
    one = (await api.get(f"{GROUP}/namespaces/default/pods/a")).doc
    assert one["metadata"]["labels"] == {"app": "web"}
    assert one["containers"][0]["name"] == "main"
    assert one["containers"][0]["usage"]["memory"] == f"{3 << 10}Ki"
    assert one["window"].endswith("s")

    assert len((await api.get(f"{GROUP}/pods?labelSelector=app%3Dweb")).doc["items"]) == 1
    assert (await api.get(f"{GROUP}/pods?labelSelector=app%3Dother")).doc["items"] == []
    assert (await api.get(f"{GROUP}/namespaces/other/pods")).doc["items"] == []
    missing = await api.get(f"{GROUP}/namespaces/default/pods/b")
    assert (missing.status, missing.message) == (404, 'pods.metrics.k8s.io "b" not found')
    assert (await api.post(f"{GROUP}/nodes", {"metadata": {"name": "x"}})).status == 405


async def test_the_group_is_found_behind_the_core_group(api: Api) -> None:
    groups = [group["name"] for group in (await api.get("/apis")).doc["groups"]]
    assert groups[-1] == "metrics.k8s.io"
    service = (await api.get("/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io")).doc
    assert service["spec"]["groupPriorityMinimum"] == 100
    reader = (await api.get("/apis/rbac.authorization.k8s.io/v1/clusterroles/view")).doc
    assert any("metrics.k8s.io" in rule.get("apiGroups", []) for rule in reader["rules"])
