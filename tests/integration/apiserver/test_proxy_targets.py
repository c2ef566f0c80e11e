"""Targets of proxies and streams: what somebody writes into a status must not let the server call itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.integration.apiserver.api import NS, PODS, Api, pod, service
from tiphys.node.settings import default_address
from tiphys.wire.http import PeerIdentity, Response

NODES = "/api/v1/nodes"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
UNSAFE = ["127.0.0.1", "169.254.169.254", "::1", "0.0.0.0", "224.0.0.1", "localhost"]


async def with_node(api: Api, name: str, address: str, port: int = 10250) -> None:
    assert (await api.post(NODES, {"metadata": {"name": name}})).status == 201
    status = {"addresses": [{"type": "InternalIP", "address": address}], "daemonEndpoints": {"kubeletEndpoint": {"Port": port}}}
    assert (await api.patch(f"{NODES}/{name}/status", {"status": status})).status == 200


@pytest.mark.parametrize("address", UNSAFE)
async def test_a_node_at_an_address_of_the_server_itself_is_no_target(api: Api, address: str) -> None:
    await with_node(api, "n", address)
    await api.post(PODS, pod("a", node="n"))
    for target in (f"{NODES}/n/proxy/pods", f"{NODES}/https:n:6443/proxy/api", f"{NODES}/n:10250/proxy/", f"{PODS}/a/log"):
        answer = await api.get(target)
        assert (answer.status, answer.message) == (400, "address not allowed"), target
    for target in (f"{PODS}/a/exec?command=ls", f"{PODS}/a/attach", f"{PODS}/a/portforward"):
        answer = await api.get(target, upgrade="websocket")
        assert (answer.status, answer.message) == (400, "address not allowed"), target


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "::1", "224.0.0.1"])
async def test_a_pod_at_an_address_of_the_server_itself_is_no_target(api: Api, address: str) -> None:
    await api.post(PODS, pod("a", node="n"))
    assert (await api.get(f"{PODS}/a:80/proxy/")).message == "address not allowed"  # No address yet.
    await api.patch(f"{PODS}/a/status", {"status": {"podIP": address, "podIPs": [{"ip": address}]}})
    for target in (f"{PODS}/a/proxy/", f"{PODS}/a:80/proxy", f"{PODS}/https:a:6443/proxy/api"):
        answer = await api.get(target)
        assert (answer.status, answer.message) == (400, "address not allowed")


async def test_a_service_leads_to_pods_of_its_namespace_only(api: Api) -> None:
    await api.post(f"{NS}/services", service("s"))
    endpoint: dict[str, Any] = {"addresses": ["192.0.2.9"]}
    slice_ = {
        "metadata": {"name": "s", "labels": {"kubernetes.io/service-name": "s"}},
        "addressType": "IPv4",
        "endpoints": [endpoint],
        "ports": [{"name": "", "port": 80}],
    }
    assert (await api.post(SLICES, slice_)).status == 201
    assert (await api.get(f"{NS}/services/s:80/proxy/")).message == 'no endpoints available for service "s"'
    await api.post(PODS, pod("a", node="n"))
    endpoint["targetRef"] = {"kind": "Pod", "namespace": "default", "name": "a"}
    assert (await api.put(f"{SLICES}/s", slice_)).status == 200
    assert (await api.get(f"{NS}/services/s:80/proxy/")).message == 'no endpoints available for service "s"'
    await api.patch(f"{PODS}/a/status", {"status": {"podIP": "192.0.2.9", "podIPs": [{"ip": "192.0.2.9"}]}})
    assert (await api.get(f"{NS}/services/s:80/proxy")).status == 301


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A port of this machine's own address that answers with the head of the request."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(asyncio.IncompleteReadError):  # Somebody who speaks TLS.
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(head), head))

    server = await asyncio.start_server(serve, default_address(), 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def body(response: Response) -> bytes:
    assert response.stream is not None, response.body
    return b"".join([part async for part in response.stream])


async def test_another_port_of_a_node_is_reached_without_the_kubelets_certificate(api: Api, port: int) -> None:
    await with_node(api, "n", default_address())
    response = await api.respond("GET", f"{NODES}/n:{port}/proxy/metrics?a=b")
    assert (await body(response)).startswith(b"GET /metrics?a=b HTTP/1.1\r\n")
    assert (await api.get(f"{NODES}/https:n:{port}/proxy/")).reason == "ServiceUnavailable"  # It speaks no TLS.
    assert (await api.get(f"{NODES}/n:0/proxy/")).reason == "BadRequest"
    assert (await api.get(f"{NODES}/ftp:n:{port}/proxy/")).message == f'invalid node request "ftp:n:{port}"'


async def test_the_identity_toward_kubelets_reads_no_secrets(api: Api) -> None:
    await with_node(api, "n", "192.0.2.7")
    kubelets = Api(api.server, PeerIdentity(common_name="kube-apiserver-kubelet-client"))
    assert (await kubelets.get(f"{NODES}/n")).status == 200
    assert (await kubelets.get(f"{NODES}/n:0/proxy/")).reason == "BadRequest"
    for target in ("/api/v1/secrets", f"{NS}/secrets", PODS, f"{NS}/configmaps"):
        assert (await kubelets.get(target)).reason == "Forbidden"
    assert (await kubelets.post(f"{NS}/serviceaccounts/default/token", {"spec": {}})).reason == "Forbidden"
