"""Conventions that hold for every kind, and clients that come in other ways: old watch paths, forms of answers, tokens of new nodes."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.integration.apiserver.api import CONFIGS, NS, PODS, Api, Doc, config, deployment, pod
from tiphys.node.settings import default_address
from tiphys.wire.http import PeerIdentity

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
PARTIAL = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


# --- /watch/ ---


@pytest.mark.parametrize("path", ["/api/v1/watch/configmaps", "/api/v1/watch/namespaces/default/configmaps"])
async def test_the_old_paths_of_watches(api: Api, path: str) -> None:
    await api.post(CONFIGS, config("a", labels={"app": "web"}))
    await api.post(CONFIGS, config("b"))
    async with api.watch(f"{path}?labelSelector=app%3Dweb") as events:
        assert await events.take(1) == [("ADDED", "a")]
        await api.delete(f"{CONFIGS}/b")
        await api.delete(f"{CONFIGS}/a")
        assert await events.take(1) == [("DELETED", "a")]
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert (await api.send(method, path, config("c"))).reason == "MethodNotAllowed"


async def test_the_old_path_of_one_object(api: Api) -> None:
    for name in ("a", "b"):
        await api.post(CONFIGS, config(name))
    async with api.watch("/api/v1/watch/namespaces/default/configmaps/b", accept=TABLE) as events:
        first = await events.next()
        assert first is not None
        assert first["object"]["rows"][0]["cells"][0] == "b"
        await api.patch(f"{CONFIGS}/a", {"data": {"x": "1"}})
        await api.delete(f"{CONFIGS}/b")
        last = await events.next()
        assert last is not None
        assert last["type"] == "DELETED"
    assert (await api.get("/api/v1/watch/nothing")).reason == "NotFound"
    someone = api.acting_as("eve")
    assert (await someone.get("/api/v1/watch/configmaps")).reason == "Forbidden"


# --- forms of answers ---


@pytest.mark.parametrize("accept", [TABLE, PARTIAL, "text/html", "application/json;as=Odd;v=v1;g=meta.k8s.io"])
async def test_rejects_tables_and_metadata_of_reviews(api: Api, accept: str) -> None:
    question = {"spec": {"nonResourceAttributes": {"path": "/", "verb": "get"}}}
    answer = await api.post(REVIEWS, question, accept=accept)
    assert (answer.status, answer.reason) == (406, "NotAcceptable")
    assert answer.message.startswith("only the following media types are accepted: application/json")
    assert (
        await api.post(REVIEWS, {"spec": {"nonResourceAttributes": {"path": "/", "verb": "get"}}}, accept=f"{accept},*/*")
    ).status == 201


async def test_a_scale_has_a_table(api: Api) -> None:
    await api.post(DEPLOYMENTS, deployment("web", 3))
    shown = (await api.get(f"{DEPLOYMENTS}/web/scale", accept=TABLE)).doc
    assert [column["name"] for column in shown["columnDefinitions"]] == ["Name", "Desired", "Available", "Age"]
    assert shown["rows"][0]["cells"][:3] == ["web", 3, 0]
    bare = (await api.get(f"{DEPLOYMENTS}/web/scale", accept=PARTIAL)).doc
    assert (bare["kind"], bare["metadata"]["name"]) == ("PartialObjectMetadata", "web")


async def test_tables_in_pages_and_with_whole_objects(api: Api) -> None:
    for n in range(3):
        await api.post(PODS, pod(f"p{n}"))
    first = (await api.get(f"{PODS}?limit=2&includeObject=Object", accept=TABLE)).doc
    assert [row["object"]["kind"] for row in first["rows"]] == ["Pod", "Pod"]
    assert first["metadata"]["remainingItemCount"] == 1
    token = first["metadata"]["continue"]
    second = (await api.get(f"{PODS}?limit=2&continue={token}&includeObject=None", accept=TABLE)).doc
    assert [row["cells"][0] for row in second["rows"]] == ["p2"]
    assert "object" not in second["rows"][0]
    assert "continue" not in second["metadata"]
    refused = await api.get(f"{PODS}?includeObject=All", accept=TABLE)
    expected = (
        "Unable to convert to Table as requested: includeObject: Invalid value: \"All\": must be 'Metadata', 'Object', 'None', or empty"
    )
    assert (refused.status, refused.message) == (400, expected)


async def test_metadata_alone_can_be_patched_and_deleted(api: Api) -> None:
    await api.post(CONFIGS, config("a", x="1"))
    patched = await api.send(
        "PATCH", f"{CONFIGS}/a", {"metadata": {"labels": {"b": "c"}}}, accept=PARTIAL, content_type="application/merge-patch+json"
    )
    assert (patched.doc["kind"], patched.doc["metadata"]["labels"]) == ("PartialObjectMetadata", {"b": "c"})
    assert (await api.get(f"{CONFIGS}/a")).doc["data"] == {"x": "1"}
    deleted = await api.send("DELETE", f"{CONFIGS}/a", accept=f"{PARTIAL},application/json")
    assert (deleted.status, deleted.doc["kind"]) == (200, "Status")


async def test_yaml_answers_are_the_same_objects(api: Api) -> None:
    import yaml

    await api.post(CONFIGS, config("a", text="ein Wort: ü\n", number="1", truth="true"))
    answer = await api.get(f"{CONFIGS}/a", accept="application/yaml")
    assert answer.headers["Content-Type"] == "application/yaml"
    shown = yaml.safe_load(answer.body)
    assert shown == (await api.get(f"{CONFIGS}/a")).doc
    again = await api.send("PUT", f"{CONFIGS}/a", answer.body, content_type="application/yaml")
    assert again.version == shown["metadata"]["resourceVersion"], "the order of keys is no change"
    failed = await api.get(f"{CONFIGS}/nothing", accept="application/yaml")
    assert (failed.status, failed.reason) == (404, "NotFound")


async def test_bodies_of_other_media_are_refused_with_those_that_are_taken(api: Api) -> None:
    answer = await api.send("POST", CONFIGS, b"a=b", content_type="application/x-www-form-urlencoded")
    assert (answer.status, answer.reason) == (415, "UnsupportedMediaType")
    assert answer.message == (
        "the body of the request was in an unknown format - accepted media types include:"
        " application/json, application/yaml, application/vnd.kubernetes.protobuf"
    )
    await api.post(CONFIGS, config("a"))
    patched = await api.send("PATCH", f"{CONFIGS}/a", {"data": {}}, content_type="application/json")
    assert (patched.status, patched.reason) == (415, "UnsupportedMediaType")


# --- tokens of new nodes ---


def bootstrap_token() -> Doc:
    data = {"token-id": "abcdef", "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true"}
    encoded = {name: base64.b64encode(value.encode()).decode() for name, value in data.items()}
    return {"metadata": {"name": "bootstrap-token-abcdef"}, "type": "bootstrap.kubernetes.io/token", "data": encoded}


async def test_a_new_node_introduces_itself_with_a_token(api: Api) -> None:
    nobody = Api(api.server, PeerIdentity())
    who = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    bearer = {"authorization": "Bearer abcdef.0123456789abcdef"}
    assert (await nobody.post(who, {}, **bearer)).reason == "Unauthorized"
    await api.post("/api/v1/namespaces/kube-system/secrets", bootstrap_token())
    asked = await nobody.post(who, {}, **bearer)
    assert asked.status == 201
    assert asked.doc["status"]["userInfo"] == {
        "username": "system:bootstrap:abcdef",
        "groups": ["system:bootstrappers", "system:authenticated"],
    }
    review = {"spec": {"token": "abcdef.0123456789abcdef"}}
    assert (await api.post("/apis/authentication.k8s.io/v1/tokenreviews", review)).doc["status"]["authenticated"] is True
    await api.delete("/api/v1/namespaces/kube-system/secrets/bootstrap-token-abcdef")
    assert (await nobody.post(who, {}, **bearer)).reason == "Unauthorized"


async def test_acting_as_somebody_with_a_uid_and_extras(api: Api) -> None:
    who = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    headers = {
        "impersonate-user": "jane",
        "impersonate-uid": "u-1",
        "impersonate-group": "dev, ops",
        "impersonate-extra-example.com%2fscopes": "view, edit",
    }
    asked = await api.send("POST", who, {}, **headers)
    assert asked.doc["status"]["userInfo"] == {
        "username": "jane",
        "uid": "u-1",
        "groups": ["dev", "ops", "system:authenticated"],
        "extra": {"example.com/scopes": ["view", "edit"]},
    }
    refused = await api.send("POST", who, {}, **{"impersonate-uid": "u-1"})
    assert (refused.status, refused.reason) == (400, "BadRequest")


# --- proxies ---


@pytest.fixture
async def secure(api: Api, keys: Path) -> AsyncIterator[tuple[str, int]]:
    """A pod's web server behind TLS, with a certificate for another name: its address and port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(keys / "pki" / "apiserver.crt", keys / "pki" / "apiserver.key")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        said = head.split(b"\r\n")[0]
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(said), said))
        writer.close()

    server = await asyncio.start_server(serve, default_address(), 0, ssl=context)
    yield server.sockets[0].getsockname()
    server.close()


async def test_a_proxy_to_https_takes_any_certificate(api: Api, secure: tuple[str, int]) -> None:
    address, port = secure
    await api.post(PODS, pod("web"))
    await api.patch(f"{PODS}/web/status", {"status": {"podIP": address, "podIPs": [{"ip": address}]}})
    response = await api.respond("GET", f"{PODS}/https:web:{port}/proxy/a/b?c=d")
    assert response.status == 200
    assert response.stream is not None
    assert b"".join([part async for part in response.stream]) == b"GET /a/b?c=d HTTP/1.1"
    plain = await api.get(f"{PODS}/http:web:{port}/proxy/")
    assert plain.reason == "ServiceUnavailable"
    slice_ = {
        "metadata": {"name": "web", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.1"]}],
        "ports": [{"name": "", "port": 1}],
    }
    assert (await api.post("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", slice_)).status == 201
    assert (await api.get(f"{NS}/services/ftp:web:1/proxy/")).reason == "BadRequest"


# --- kinds of the past ---


async def test_component_statuses_are_asked_when_they_are_read(api: Api) -> None:
    path = "/api/v1/componentstatuses"
    listed = await api.get(path)
    assert listed.doc["kind"] == "ComponentStatusList"
    assert listed.names == ["controller-manager", "etcd-0", "scheduler"]
    assert listed.warnings == ['299 - "v1 ComponentStatus is deprecated in v1.19+"']
    assert (await api.get(f"{path}/etcd-0")).doc == {
        "apiVersion": "v1",
        "kind": "ComponentStatus",
        "metadata": {"name": "etcd-0"},
        "conditions": [{"type": "Healthy", "status": "True", "message": "ok"}],
    }
    assert (await api.get(f"{path}/scheduler")).doc["conditions"] == [
        {"type": "Healthy", "status": "False", "error": "nobody holds the lease kube-system/kube-scheduler"}
    ]
    lease = {"holderIdentity": "me", "leaseDurationSeconds": 600, "renewTime": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"}
    await api.post("/apis/coordination.k8s.io/v1/namespaces/kube-system/leases", {"metadata": {"name": "kube-scheduler"}, "spec": lease})
    assert (await api.get(f"{path}/scheduler")).doc["conditions"][0]["status"] == "True"
    api.server.components["scheduler"] = lambda: "it sleeps"
    assert (await api.get(f"{path}/scheduler")).doc["conditions"][0]["error"] == "it sleeps"
    assert (await api.get(f"{path}?fieldSelector=metadata.name%3Detcd-0")).names == ["etcd-0"]
    assert (await api.get(f"{path}?labelSelector=a%3Db")).names == []
    assert (await api.get(f"{path}/nothing")).message == 'componentstatuses "nothing" not found'
    rows = (await api.get(path, accept=TABLE)).doc["rows"]
    assert [row["cells"] for row in rows][:2] == [
        ["controller-manager", "Unhealthy", "", "nobody holds the lease kube-system/kube-controller-manager"],
        ["etcd-0", "Healthy", "ok", ""],
    ]
    for method, target in (("POST", path), ("DELETE", f"{path}/etcd-0"), ("PUT", f"{path}/etcd-0"), ("GET", f"{path}?watch=true")):
        assert (await api.send(method, target, None if method == "GET" else {})).reason == "MethodNotAllowed"


async def test_clients_of_endpoints_are_told_of_slices(api: Api) -> None:
    warning = ['299 - "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"']
    assert (await api.get(f"{NS}/endpoints")).warnings == warning
    assert (await api.post(f"{NS}/endpoints", {"metadata": {"name": "a"}})).warnings == warning
    assert (await api.get(f"{NS}/endpoints/a")).warnings == warning
