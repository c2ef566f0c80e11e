"""Real kubectl understands discovery and OpenAPI, from a server of nothing but these that sends back what is posted."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from tiphys.api.kinds import SCHEME
from tiphys.api.machinery.errors import StatusError
from tiphys.apiserver import discovery, openapi
from tiphys.testing.kubectl import Kubectl
from tiphys.wire.http import Request

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: web}]}
"""


@pytest.fixture
async def seen() -> list[str]:
    """The paths and queries that clients asked for."""
    return []


@pytest.fixture
async def server(seen: list[str]) -> AsyncIterator[str]:
    described, specified = discovery.Documents(SCHEME), openapi.Documents(SCHEME)

    async def handle(request: web.Request) -> web.Response:
        seen.append(request.path_qs)
        if request.method == "POST":
            return web.Response(status=201, body=await request.read(), content_type="application/json")
        ours = Request(
            request.method, request.path, tuple(request.query.items()), {name.lower(): value for name, value in request.headers.items()}
        )
        try:
            if request.path == "/version":
                return web.Response(body=discovery.version(), content_type="application/json")
            if request.path.startswith("/openapi/"):
                answer = specified.answer(ours)
            else:
                answer = described.answer(ours)
        except StatusError as error:
            return web.json_response(
                {"kind": "Status", "status": "Failure", "message": error.message, "code": error.code}, status=error.code
            )
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://{runner.addresses[0][0]}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
def kubectl(server: str, tmp_path: Path) -> Kubectl:
    return Kubectl(tmp_path, f"--server={server}")


async def test_api_resources_and_versions(kubectl: Kubectl, seen: list[str]) -> None:
    lines = [line.split() for line in (await kubectl("api-resources", "--no-headers")).splitlines()]
    rows = {line[0]: line for line in reversed(lines)}
    assert [line[1] for line in lines if line[0] == "pods"] == ["po", "metrics.k8s.io/v1beta1"], "pods are those of the core group"
    assert set(rows) == {kind.plural for kind in SCHEME if "list" in kind.verbs or "create" in kind.verbs}
    assert rows["pods"] == ["pods", "po", "v1", "true", "Pod"]
    assert rows["deployments"] == ["deployments", "deploy", "apps/v1", "true", "Deployment"]
    assert (await kubectl("api-versions")).split() == sorted({kind.api_version for kind in SCHEME})
    # Two requests tell everything: nothing is asked group by group.
    assert set(seen) <= {"/api", "/apis", "/api?timeout=32s", "/apis?timeout=32s"}


async def test_api_resources_by_verb_category_and_subresource(kubectl: Kubectl) -> None:
    assert "deployments.apps" in (await kubectl("api-resources", "--verbs=list,watch", "--namespaced", "-o", "name")).split()
    assert "pods" in (await kubectl("api-resources", "--categories=all", "-o", "name")).split()


async def test_explain(kubectl: Kubectl) -> None:
    text = await kubectl("explain", "pod.spec.containers")
    assert "FIELD: containers <[]Container>" in text
    assert "name\t<string> -required-" in text
    assert "ports\t<[]ContainerPort>" in text
    recursive = await kubectl("explain", "deployment", "--recursive")
    assert "GROUP:      apps" in recursive
    assert "selector\t<LabelSelector> -required-" in recursive
    assert "maxSurge\t<IntOrString>" in recursive
    assert "limits\t<map[string]Quantity>" in recursive
    assert "FIELD: httpGet <HTTPGetAction>" in await kubectl("explain", "po.spec.containers.livenessProbe.httpGet")


async def test_every_kind_can_be_explained(kubectl: Kubectl) -> None:
    for kind in SCHEME:
        if "list" in kind.verbs:
            assert f"KIND:       {kind.kind}" in await kubectl("explain", kind.plural, f"--api-version={kind.api_version}")


async def test_explain_from_the_older_document(kubectl: Kubectl) -> None:
    text = await kubectl("explain", "deployment.spec.strategy", "--output", "plaintext-openapiv2")
    assert "rollingUpdate" in text
    assert "RESOURCE: strategy <Object>" in text or "FIELD: strategy" in text


async def test_kubectl_leaves_validation_to_the_server(kubectl: Kubectl, seen: list[str]) -> None:
    assert "created" in await kubectl("create", "-f", "-", "--validate=strict", stdin=DEPLOYMENT)
    (post,) = [path for path in seen if path.startswith("/apis/apps/v1/namespaces/default/deployments")]
    assert "fieldValidation=Strict" in post


async def test_version(kubectl: Kubectl) -> None:
    got = json.loads(await kubectl("version", "-o", "json"))
    assert got["serverVersion"]["gitVersion"] == "v1.36.0+tiphys"


async def test_documents_can_be_kept_for_ever(server: str) -> None:
    async with aiohttp.ClientSession(server) as session:
        index = await (await session.get("/openapi/v3")).json()
        url = index["paths"]["apis/apps/v1"]["serverRelativeURL"]
        first = await session.get(url)
        assert "immutable" in first.headers["Cache-Control"]
        assert (await first.json())["openapi"] == "3.0.0"
        assert (await session.get(url, headers={"If-None-Match": first.headers["ETag"]})).status == 304
        old = await session.get("/openapi/v3/apis/apps/v1", params={"hash": "OLD"}, allow_redirects=False)
        assert (old.status, old.headers["Location"]) == (301, url)
