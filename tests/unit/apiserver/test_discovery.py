"""Discovery documents follow from the scheme."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
import yaml

from tiphys.api.apps import v1 as apps
from tiphys.api.autoscaling import v1 as autoscaling_v1
from tiphys.api.autoscaling import v2 as autoscaling_v2
from tiphys.api.core import v1 as core
from tiphys.api.machinery import protobuf
from tiphys.api.machinery.errors import NotAcceptable, NotFound
from tiphys.api.machinery.scheme import VERBS, GroupVersionKind, Kind, Scheme, Subresource
from tiphys.api.machinery.versions import version_key
from tiphys.api.meta import v1 as meta
from tiphys.apiserver.discovery import Documents, version
from tiphys.wire.http import Request, Response

SCALE = Subresource("scale", kind=GroupVersionKind("autoscaling", "v1", "Scale"))
KINDS: list[Kind[Any]] = [
    Kind(
        type=core.Pod,
        plural="pods",
        short_names=("po",),
        categories=("all",),
        subresources=(Subresource("status"), Subresource("log", ("get",))),
    ),
    Kind(type=core.Node, plural="nodes", namespaced=False),
    Kind(type=autoscaling_v1.HorizontalPodAutoscaler, plural="horizontalpodautoscalers", group="autoscaling"),
    Kind(type=autoscaling_v2.HorizontalPodAutoscaler, plural="horizontalpodautoscalers", group="autoscaling", version="v2"),
    Kind(type=apps.Deployment, plural="deployments", group="apps", short_names=("deploy",), subresources=(SCALE,)),
]
V2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
KUBECTL = f"{V2},application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"


@pytest.fixture
def documents() -> Documents:
    return Documents(Scheme(KINDS))


def get(documents: Documents, path: str, **headers: str) -> Response:
    return documents.answer(Request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()}))


def body(documents: Documents, path: str, **headers: str) -> Any:
    return json.loads(get(documents, path, **headers).body)


def test_versions_of_the_core_group(documents: Documents) -> None:
    got = body(documents, "/api", host="example:6443")
    assert got["versions"] == ["v1"]
    assert got["serverAddressByClientCIDRs"][0]["serverAddress"] == "example:6443"


def test_groups_stand_in_order_of_priority_with_the_newest_version_first(documents: Documents) -> None:
    got = body(documents, "/apis", accept="application/json, */*")
    assert [group["name"] for group in got["groups"]] == ["apps", "autoscaling"]
    assert got["groups"][1]["preferredVersion"] == {"groupVersion": "autoscaling/v2", "version": "v2"}
    assert [version["version"] for version in got["groups"][1]["versions"]] == ["v2", "v1"]
    one = body(documents, "/apis/autoscaling")
    assert one["kind"] == "APIGroup"
    assert one["preferredVersion"]["version"] == "v2"


def test_resources_of_a_version(documents: Documents) -> None:
    got = body(documents, "/api/v1/")
    assert got["groupVersion"] == "v1"
    assert [resource["name"] for resource in got["resources"]] == ["nodes", "pods", "pods/log", "pods/status"]
    pods = got["resources"][1]
    assert pods == {
        "name": "pods",
        "singularName": "pod",
        "namespaced": True,
        "kind": "Pod",
        "verbs": sorted(VERBS),
        "shortNames": ["po"],
        "categories": ["all"],
        "storageVersionHash": "xPOwRZ+Yhw8=",
    }
    scale = body(documents, "/apis/apps/v1")["resources"][1]
    assert (scale["name"], scale["group"], scale["version"], scale["kind"]) == ("deployments/scale", "autoscaling", "v1", "Scale")


def test_aggregated_discovery(documents: Documents) -> None:
    answer = get(documents, "/apis", accept=KUBECTL)
    assert answer.headers["Content-Type"] == V2
    got = json.loads(answer.body)
    assert (got["kind"], got["apiVersion"]) == ("APIGroupDiscoveryList", "apidiscovery.k8s.io/v2")
    assert [item["metadata"]["name"] for item in got["items"]] == ["apps", "autoscaling"]
    deployments = got["items"][0]["versions"][0]["resources"][0]
    assert deployments["responseKind"] == {"group": "apps", "version": "v1", "kind": "Deployment"}
    assert deployments["scope"] == "Namespaced"
    assert deployments["subresources"] == [
        {
            "subresource": "scale",
            "responseKind": {"group": "autoscaling", "version": "v1", "kind": "Scale"},
            "verbs": ["get", "patch", "update"],
        }
    ]
    core_only = body(documents, "/api", accept=KUBECTL)
    assert [item["metadata"] for item in core_only["items"]] == [{}]
    assert core_only["items"][0]["versions"][0]["resources"][0]["scope"] == "Cluster"


def test_older_clients_get_the_older_form(documents: Documents) -> None:
    beta = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
    answer = get(documents, "/apis", accept=f"{beta},application/json")
    assert answer.headers["Content-Type"] == beta
    assert json.loads(answer.body)["apiVersion"] == "apidiscovery.k8s.io/v2beta1"
    assert json.loads(get(documents, "/apis/apps/v1", accept=KUBECTL).body)["kind"] == "APIResourceList"


def test_unchanged_documents_are_not_sent_again(documents: Documents) -> None:
    first = get(documents, "/apis", accept=V2)
    again = get(documents, "/apis", accept=V2, if_none_match=first.headers["ETag"])
    assert (again.status, again.body) == (304, b"")
    assert get(documents, "/apis", accept=V2, if_none_match='"other"').status == 200


def test_new_kinds_appear() -> None:
    scheme = Scheme(KINDS)
    documents = Documents(scheme)
    before = get(documents, "/api", accept=V2)
    scheme.add(Kind(type=core.Secret, plural="secrets"))
    after = get(documents, "/api", accept=V2, if_none_match=before.headers["ETag"])
    assert b'"secrets"' in after.body


@pytest.mark.parametrize("path", ["/apis/none", "/apis/apps/v2", "/api/v2", "/apis/apps/v1/deployments", "/api/v1/pods"])
def test_unserved_paths_are_not_found(documents: Documents, path: str) -> None:
    with pytest.raises(NotFound):
        get(documents, path)


def test_other_formats_are_not_acceptable(documents: Documents) -> None:
    for accept in ("text/html", "application/cbor", "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io"):
        with pytest.raises(NotAcceptable):
            get(documents, "/apis", accept=accept)


@pytest.mark.parametrize("path", ["/api", "/api/v1", "/apis", "/apis/apps", "/apis/apps/v1"])
def test_the_plain_documents_in_yaml_and_protobuf(documents: Documents, path: str) -> None:
    plain = json.loads(get(documents, path).body)
    as_yaml = get(documents, path, accept="application/yaml")
    assert (as_yaml.headers["Content-Type"], yaml.safe_load(as_yaml.body)) == ("application/yaml", plain)
    sealed = get(documents, path, accept="application/vnd.kubernetes.protobuf")
    assert sealed.headers["Content-Type"] == "application/vnd.kubernetes.protobuf"
    type_ = getattr(meta, plain["kind"])
    opened = protobuf.open_envelope(sealed.body)
    assert (opened.api_version, opened.kind) == ("v1", plain["kind"])
    assert protobuf.read(type_, opened.raw) == msgspec.convert(plain, type_)


def test_versions_sort_as_clients_expect() -> None:
    names = ["v1alpha1", "v1beta1", "v10", "v2", "v1", "v1beta2", "foo1", "v2alpha1"]
    assert sorted(names, key=version_key) == ["v10", "v2", "v1", "v1beta2", "v1beta1", "v2alpha1", "v1alpha1", "foo1"]


def test_the_version_is_compatible() -> None:
    got = json.loads(version())
    assert (got["major"], got["minor"], got["gitVersion"]) == ("1", "36", "v1.36.0+tiphys")
