"""Ownership of fields that a write does not set: the managedFields of whole objects ("Server-Side Apply")."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.apiserver.api import Api
from tests.unit.api.certificates.test_certificate_signing_request import PEM
from tiphys.store.sqlite import SqliteStore
from tiphys.testing.api_server import running_api_server

DEFAULT = "/api/v1/namespaces/default"


@pytest.fixture
async def api(keys: Path, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api_server(keys, store=SqliteStore(tmp_path / "server.db")) as (server, _):
        yield Api(server)


def owned(obj: dict[str, Any]) -> list[tuple[str, set[str]]]:
    """The subresource and the first level of fields of each entry."""
    return [(entry.get("subresource", ""), set(entry["fieldsV1"])) for entry in obj["metadata"].get("managedFields", [])]


CREATED = [
    ("/api/v1/namespaces", {"kind": "Namespace"}, {"f:metadata"}),
    (
        "/api/v1/persistentvolumes",
        {"kind": "PersistentVolume", "spec": {"capacity": {"storage": "1"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"}}},
        {"f:spec"},
    ),
    (
        f"{DEFAULT}/persistentvolumeclaims",
        {"kind": "PersistentVolumeClaim", "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1"}}}},
        {"f:spec"},
    ),
    ("/api/v1/nodes", {"kind": "Node", "metadata": {"labels": {"a": "b"}}, "status": {"capacity": {"cpu": "1"}}}, {"f:metadata"}),
]


@pytest.mark.parametrize(("path", "body", "fields"), CREATED, ids=lambda value: value if isinstance(value, str) else "")
async def test_the_maker_of_an_object_does_not_own_its_status(api: Api, path: str, body: dict[str, Any], fields: set[str]) -> None:
    made = await api.post(path, {"apiVersion": "v1", **body, "metadata": {"name": "owned", **body.get("metadata", {})}})
    assert made.status == 201, made.message
    assert owned(made.doc) == [("", fields)]


async def test_a_write_of_the_status_of_a_deployment_changes_none_of_its_labels(api: Api) -> None:
    path = "/apis/apps/v1/namespaces/default/deployments"
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    await api.post(path, {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "labels": {"a": "b"}}, "spec": spec})
    change = {"metadata": {"labels": {"a": "c"}, "annotations": {"x": "y"}}, "status": {"replicas": 1}}
    changed = await api.patch(f"{path}/d/status", change)
    assert changed.doc["metadata"]["labels"] == {"a": "b"}
    entries = {entry.get("subresource", ""): entry["fieldsV1"] for entry in changed.doc["metadata"]["managedFields"]}
    assert entries["status"] == {"f:metadata": {"f:annotations": {".": {}, "f:x": {}}}, "f:status": {"f:replicas": {}}}


async def test_an_apply_of_a_status_owns_no_metadata_that_it_cannot_set(api: Api) -> None:
    path = "/apis/networking.k8s.io/v1/servicecidrs"
    head = {"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR"}
    await api.post(path, {**head, "metadata": {"name": "z"}, "spec": {"cidrs": ["10.99.0.0/24"]}})
    condition = {"type": "X", "status": "True", "reason": "R", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    applied = await api.patch(
        f"{path}/z/status?fieldManager=m",
        {**head, "metadata": {"name": "z", "labels": {"a": "b"}}, "status": {"conditions": [condition]}},
        media="application/apply-patch+yaml",
    )
    assert "labels" not in applied.doc["metadata"]
    assert ("status", {"f:status"}) in owned(applied.doc)


async def test_nobody_comes_to_own_what_an_apply_cannot_set(api: Api) -> None:
    """The spec of a signing request is the author's once and for all."""
    path = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
    spec = {"request": base64.b64encode(PEM).decode(), "signerName": "example.com/a", "usages": ["client auth"]}
    await api.post(path, {"metadata": {"name": "a"}, "spec": spec})
    body = {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": "a", "labels": {"a": "b"}}}
    made = await api.patch(f"{path}/a?fieldManager=m", {**body, "spec": spec}, "application/apply-patch+yaml")
    assert [(entry["manager"], set(entry["fieldsV1"])) for entry in made.doc["metadata"]["managedFields"]] == [("m", {"f:metadata"})]


async def test_defaults_are_owned_as_upstream_owns_them(api: Api) -> None:
    """Families come with the address and are nobody's; the template's generation was a field once, which its author owns."""
    made = (await api.post(f"{DEFAULT}/services", {"metadata": {"name": "a"}, "spec": {"ports": [{"port": 80}]}})).doc
    spec = set(made["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"])
    assert spec == {"f:internalTrafficPolicy", "f:ports", "f:sessionAffinity", "f:type"}
    assert (made["spec"]["ipFamilies"], made["spec"]["ipFamilyPolicy"]) == (["IPv4"], "SingleStack")
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    body = {"metadata": {"name": "a"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}}
    path = "/apis/apps/v1/namespaces/default/daemonsets"
    made = (await api.post(f"{path}?fieldManager=m", body)).doc
    count = "deprecated.daemonset.template.generation"
    assert made["metadata"]["annotations"] == {count: "1"}
    assert made["metadata"]["managedFields"][0]["fieldsV1"]["f:metadata"] == {"f:annotations": {".": {}, f"f:{count}": {}}}
    made = (await api.put(f"{path}/a?fieldManager=other", body)).doc
    assert made["metadata"]["annotations"] == {count: "1"}
    owned = {entry["manager"]: entry["fieldsV1"]["f:metadata"] for entry in made["metadata"]["managedFields"]}
    assert owned == {"m": {"f:annotations": {}}, "other": {"f:annotations": {f"f:{count}": {}}}}
