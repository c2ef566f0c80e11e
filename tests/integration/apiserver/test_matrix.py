"""Dry run and field validation, on every verb and subresource that writes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.apiserver.api import NS, PODS, Api, Doc, deployment, pod

DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
SCALERS = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers"
MERGE, STRATEGIC = "application/merge-patch+json", "application/strategic-merge-patch+json"
JSON_PATCH, APPLY = "application/json-patch+json", "application/apply-patch+yaml"

SCALE = {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": {"name": "web", "namespace": "default"}, "spec": {"replicas": 5}}
TOKEN = {"spec": {"audiences": ["a"], "expirationSeconds": 600}}
EVICTION = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p", "namespace": "default"}}
BINDING = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}}
APPLIED = {"apiVersion": "apps/v1", "kind": "Deployment", **deployment("web", 7)}
NAMESPACE = {"metadata": {"name": "left"}, "spec": {"finalizers": []}}
SCALER: Doc = {"metadata": {"name": "web"}, "spec": {"maxReplicas": 2, "scaleTargetRef": {"apiVersion": "a/v1", "kind": "A", "name": "a"}}}

WRITES: list[tuple[str, str, Any, str]] = [
    ("POST", PODS, pod("new"), ""),
    ("PUT", f"{DEPLOYMENTS}/web", deployment("web", 9), ""),
    ("PATCH", f"{DEPLOYMENTS}/web", {"spec": {"replicas": 9}}, MERGE),
    ("PATCH", f"{DEPLOYMENTS}/web", {"spec": {"replicas": 9}}, STRATEGIC),
    ("PATCH", f"{DEPLOYMENTS}/web", [{"op": "replace", "path": "/spec/replicas", "value": 9}], JSON_PATCH),
    ("PATCH", f"{DEPLOYMENTS}/web?fieldManager=m&force=true", APPLIED, APPLY),
    ("PATCH", f"{DEPLOYMENTS}/other?fieldManager=m", {**APPLIED, "metadata": {"name": "other"}}, APPLY),
    ("DELETE", f"{DEPLOYMENTS}/web", None, ""),
    ("DELETE", f"{DEPLOYMENTS}/web?propagationPolicy=Foreground", None, ""),
    ("DELETE", DEPLOYMENTS, None, ""),
    ("PUT", f"{DEPLOYMENTS}/web/status", {**deployment("web"), "status": {"replicas": 3}}, ""),
    ("PATCH", f"{DEPLOYMENTS}/web/status", {"status": {"replicas": 3}}, MERGE),
    ("PUT", f"{DEPLOYMENTS}/web/scale", SCALE, ""),
    ("PATCH", f"{DEPLOYMENTS}/web/scale", {"spec": {"replicas": 9}}, MERGE),
    ("POST", f"{PODS}/p/binding", BINDING, ""),
    ("POST", f"{PODS}/p/eviction", EVICTION, ""),
    ("DELETE", f"{PODS}/p", None, ""),
    ("POST", f"{NS}/serviceaccounts/default/token", TOKEN, ""),
    ("PUT", "/api/v1/namespaces/left/finalize", NAMESPACE, ""),
    ("POST", SCALERS, {**SCALER, "metadata": {"name": "another"}}, ""),
    ("PUT", f"{SCALERS}/web", {**SCALER, "spec": {**SCALER["spec"], "maxReplicas": 3}}, ""),
    ("DELETE", f"{SCALERS}/web", None, ""),
]


def ident(write: tuple[str, str, Any, str]) -> str:
    return f"{write[0]} {write[1].rpartition('v1/')[2]} {write[3].partition('-')[0]}"


async def prepare(api: Api) -> int:
    """Objects to write to; returns the store's revision."""
    await api.post(PODS, pod("p"))
    await api.post("/api/v1/nodes", {"metadata": {"name": "n"}})
    await api.post("/api/v1/namespaces", {"metadata": {"name": "left"}})
    await api.post(DEPLOYMENTS, deployment("web"))
    assert (await api.post(SCALERS, SCALER)).status == 201
    return api.server.storage.revision


def with_query(path: str, query: str) -> str:
    return f"{path}{'&' if '?' in path else '?'}{query}"


@pytest.mark.parametrize("write", WRITES, ids=ident)
async def test_a_dry_run_stores_nothing(api: Api, write: tuple[str, str, Any, str]) -> None:
    method, path, body, media = write
    headers = {"content_type": media} if media else {}
    before = await prepare(api)
    tried = await api.send(method, with_query(path, "dryRun=All"), body, **headers)
    assert tried.status in (200, 201), tried.body
    assert api.server.storage.revision == before
    odd = await api.send(method, with_query(path, "dryRun=Some"), body, **headers)
    assert (odd.status, odd.reason) == (422, "Invalid")
    assert api.server.storage.revision == before
    done = await api.send(method, path, body, **headers)
    assert done.status in (200, 201, 202), done.body
    if not path.endswith("/token"):
        assert api.server.storage.revision > before


BODIES = [write for write in WRITES if isinstance(write[2], dict) and write[3] != APPLY]
"""Applies are apart: what a schema does not know cannot be owned, whatever the validation."""


def unknown(body: Doc) -> Doc:
    return {**body, "color": "blue"}


@pytest.mark.parametrize("write", BODIES, ids=ident)
async def test_unknown_fields_are_refused_told_or_dropped(api: Api, write: tuple[str, str, Any, str]) -> None:
    method, path, body, media = write
    headers = {"content_type": media} if media else {}
    await prepare(api)
    before = api.server.storage.revision
    strict = await api.send(method, with_query(path, "fieldValidation=Strict"), unknown(body), **headers)
    assert strict.status in (400, 422), strict.body
    assert 'unknown field "color"' in strict.message
    assert api.server.storage.revision == before
    odd = await api.send(method, with_query(path, "fieldValidation=Odd"), unknown(body), **headers)
    assert odd.status == 422
    assert 'Unsupported value: "Odd": supported values:' in odd.message
    warned = await api.send(method, with_query(path, "fieldValidation=Warn&dryRun=All"), unknown(body), **headers)
    assert warned.status in (200, 201), warned.body
    assert any('unknown field \\"color\\"' in text for text in warned.warnings), warned.warnings
    ignored = await api.send(method, with_query(path, "fieldValidation=Ignore"), unknown(body), **headers)
    assert ignored.status in (200, 201), ignored.body
    assert not any("color" in text for text in ignored.warnings)
