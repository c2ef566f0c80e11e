"""OpenAPI documents follow from the types."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.kinds import SCHEME
from tiphys.api.machinery.errors import NotAcceptable, NotFound
from tiphys.api.machinery.scheme import GroupVersionKind, Kind, Scheme, Subresource
from tiphys.apiserver.openapi import Documents
from tiphys.wire.http import Request, Response

SCALE = Subresource("scale", kind=GroupVersionKind("autoscaling", "v1", "Scale"))
KINDS: list[Kind[Any]] = [
    Kind(
        type=core.Pod,
        plural="pods",
        subresources=(Subresource("status"), Subresource("log", ("get",)), Subresource("exec", ("create", "get"))),
    ),
    Kind(type=core.Node, plural="nodes", namespaced=False),
    Kind(type=apps.Deployment, plural="deployments", group="apps", subresources=(SCALE,)),
]


@pytest.fixture(scope="module")
def documents() -> Documents:
    return Documents(Scheme(KINDS))


def get(documents: Documents, path: str, query: tuple[tuple[str, str], ...] = (), **headers: str) -> Response:
    return documents.answer(Request("GET", path, query, headers={name.replace("_", "-"): value for name, value in headers.items()}))


def v3(documents: Documents, root: str) -> Any:
    return json.loads(get(documents, f"/openapi/v3/{root}").body)


def refs(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "$ref" and isinstance(item, str):
                yield item
            else:
                yield from refs(item)
    elif isinstance(value, list):
        for item in value:
            yield from refs(item)


def test_definitions_have_the_names_clients_know(documents: Documents) -> None:
    schemas = v3(documents, "apis/apps/v1")["components"]["schemas"]
    for name in (
        "io.k8s.api.apps.v1.Deployment",
        "io.k8s.api.apps.v1.DeploymentList",
        "io.k8s.api.core.v1.PodTemplateSpec",
        "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
        "io.k8s.apimachinery.pkg.api.resource.Quantity",
        "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
        "io.k8s.api.autoscaling.v1.Scale",
    ):
        assert name in schemas
    kind = schemas["io.k8s.api.apps.v1.Deployment"]
    assert kind["x-kubernetes-group-version-kind"] == [{"group": "apps", "version": "v1", "kind": "Deployment"}]
    assert schemas["io.k8s.api.autoscaling.v1.Scale"]["x-kubernetes-group-version-kind"][0]["group"] == "autoscaling"


def test_every_reference_leads_somewhere() -> None:
    documents = Documents(SCHEME)
    index = json.loads(get(documents, "/openapi/v3").body)
    for root in index["paths"]:
        document = v3(documents, root)
        assert {ref.removeprefix("#/components/schemas/") for ref in refs(document)} <= set(document["components"]["schemas"])
    two = json.loads(get(documents, "/openapi/v2").body)
    assert {ref.removeprefix("#/definitions/") for ref in refs(two)} <= set(two["definitions"])
    ids = [operation["operationId"] for path in two["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids))


def test_list_and_patch_semantics_are_told(documents: Documents) -> None:
    schemas = v3(documents, "api/v1")["components"]["schemas"]
    containers = schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
    assert containers["x-kubernetes-list-type"] == "map"
    assert containers["x-kubernetes-list-map-keys"] == ["name"]
    assert containers["x-kubernetes-patch-strategy"] == "merge"
    assert containers["x-kubernetes-patch-merge-key"] == "name"
    assert containers["items"]["allOf"] == [{"$ref": "#/components/schemas/io.k8s.api.core.v1.Container"}]
    meta = schemas["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"]["properties"]
    assert meta["finalizers"]["x-kubernetes-list-type"] == "set"
    assert schemas["io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector"]["x-kubernetes-map-type"] == "atomic"


def test_types_and_required_fields(documents: Documents) -> None:
    schemas = v3(documents, "apis/apps/v1")["components"]["schemas"]
    spec = schemas["io.k8s.api.apps.v1.DeploymentSpec"]
    assert spec["required"] == ["selector", "template"]
    replicas = spec["properties"]["replicas"]
    assert (replicas["type"], replicas["format"], "$ref" in replicas) == ("integer", "int32", False)
    assert schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["activeDeadlineSeconds"]["format"] == "int64"
    assert "required" not in schemas["io.k8s.api.apps.v1.Deployment"]
    assert schemas["io.k8s.api.core.v1.Container"]["required"] == ["name"]
    assert schemas["io.k8s.api.core.v1.ResourceRequirements"]["properties"]["limits"]["type"] == "object"


def test_paths_say_what_kubectl_looks_for(documents: Documents) -> None:
    paths = v3(documents, "apis/apps/v1")["paths"]
    item = paths["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]
    assert set(item) == {"get", "put", "patch", "delete"}
    patch = item["patch"]
    assert {"fieldValidation", "dryRun", "fieldManager", "force", "name", "namespace"} <= {
        parameter["name"] for parameter in patch["parameters"]
    }
    assert patch["x-kubernetes-group-version-kind"] == {"group": "apps", "version": "v1", "kind": "Deployment"}
    assert patch["x-kubernetes-action"] == "patch"
    assert "application/strategic-merge-patch+json" in patch["requestBody"]["content"]
    collection = paths["/apis/apps/v1/namespaces/{namespace}/deployments"]
    assert set(collection) == {"get", "post", "delete"}
    assert collection["post"]["operationId"] == "createAppsV1NamespacedDeployment"
    assert collection["get"]["x-kubernetes-action"] == "list"
    assert paths["/apis/apps/v1/deployments"]["get"]["operationId"] == "listAppsV1DeploymentForAllNamespaces"
    scale = paths["/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"]
    assert scale["put"]["x-kubernetes-group-version-kind"]["kind"] == "Scale"
    core_paths = v3(documents, "api/v1")["paths"]
    assert "/api/v1/nodes/{name}" in core_paths
    assert core_paths["/api/v1/namespaces/{namespace}/pods/{name}/exec"]["post"]["x-kubernetes-action"] == "connect"
    assert set(core_paths["/api/v1/namespaces/{namespace}/pods/{name}/log"]) == {"get"}


def test_the_second_version(documents: Documents) -> None:
    two = json.loads(get(documents, "/openapi/v2").body)
    assert two["swagger"] == "2.0"
    assert set(two["definitions"]) >= {"io.k8s.api.core.v1.Pod", "io.k8s.api.apps.v1.Deployment"}
    template = two["definitions"]["io.k8s.api.apps.v1.DeploymentSpec"]["properties"]["template"]
    assert template["$ref"] == "#/definitions/io.k8s.api.core.v1.PodTemplateSpec"
    post = two["paths"]["/api/v1/namespaces/{namespace}/pods"]["post"]
    assert post["parameters"][0] == {
        "name": "body",
        "in": "body",
        "required": True,
        "schema": {"$ref": "#/definitions/io.k8s.api.core.v1.Pod"},
    }


def test_documentation_comes_from_the_types(documents: Documents) -> None:
    properties = v3(documents, "api/v1")["components"]["schemas"]["io.k8s.api.core.v1.Pod"]["properties"]
    assert properties["kind"]["description"] == "The name of the object's type, such as `Pod`."
    assert properties["metadata"]["description"]


def test_compressed_for_those_who_can(documents: Documents) -> None:
    plain = get(documents, "/openapi/v2")
    packed = get(documents, "/openapi/v2", accept_encoding="gzip")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert get(documents, "/openapi/v2", if_none_match=plain.headers["ETag"]).status == 304


def test_new_kinds_change_the_hash() -> None:
    scheme = Scheme(KINDS)
    documents = Documents(scheme)
    before = json.loads(get(documents, "/openapi/v3").body)["paths"]
    scheme.add(Kind(type=core.Secret, plural="secrets"))
    after = json.loads(get(documents, "/openapi/v3").body)["paths"]
    assert before["api/v1"] != after["api/v1"]
    assert before["apis/apps/v1"] == after["apis/apps/v1"]
    assert "io.k8s.api.core.v1.Secret" in v3(documents, "api/v1")["components"]["schemas"]


def test_unserved_paths_and_unknown_formats_are_refused(documents: Documents) -> None:
    for path in ("/openapi/v3/apis/none/v1", "/openapi/v3/api", "/openapi/v3/apis"):
        with pytest.raises(NotFound):
            get(documents, path)
    with pytest.raises(NotAcceptable):
        get(documents, "/openapi/v3", accept="text/html")


def test_client_go_gets_the_second_version_in_protobuf(documents: Documents) -> None:
    answer = get(documents, "/openapi/v2", accept="application/com.github.proto-openapi.spec.v2@v1.0+protobuf")
    assert answer.headers["Content-Type"] == "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
    # Field 1 of the message: swagger, "2.0".
    assert answer.body.startswith(b"\x0a\x032.0")
    assert b"io.k8s.api.apps.v1.Deployment" in answer.body
    assert get(documents, "/openapi/v2", accept="application/json").body.startswith(b"{")
    with pytest.raises(NotAcceptable):
        get(documents, "/openapi/v3/api/v1", accept="application/com.github.proto-openapi.spec.v3@v1.0+protobuf")


def test_the_old_paths_of_watches_are_listed(documents: Documents) -> None:
    paths = json.loads(get(documents, "/openapi/v2").body)["paths"]
    found = {path: (item["get"]["operationId"], item["get"]["x-kubernetes-action"]) for path, item in paths.items() if "/watch/" in path}
    assert found == {
        "/api/v1/watch/pods": ("watchCoreV1PodListForAllNamespaces", "watchlist"),
        "/api/v1/watch/namespaces/{namespace}/pods": ("watchCoreV1NamespacedPodList", "watchlist"),
        "/api/v1/watch/namespaces/{namespace}/pods/{name}": ("watchCoreV1NamespacedPod", "watch"),
        "/api/v1/watch/nodes": ("watchCoreV1NodeList", "watchlist"),
        "/api/v1/watch/nodes/{name}": ("watchCoreV1Node", "watch"),
        "/apis/apps/v1/watch/deployments": ("watchAppsV1DeploymentListForAllNamespaces", "watchlist"),
        "/apis/apps/v1/watch/namespaces/{namespace}/deployments": ("watchAppsV1NamespacedDeploymentList", "watchlist"),
        "/apis/apps/v1/watch/namespaces/{namespace}/deployments/{name}": ("watchAppsV1NamespacedDeployment", "watch"),
    }
    answer = paths["/api/v1/watch/pods"]["get"]["responses"]["200"]["schema"]
    assert answer == {"$ref": "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent"}
