"""Publication of custom kinds: discovery, OpenAPI, and kubectl's use of them."""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.apiserver.api import Api, Doc
from tests.integration.apiserver.crd.made import CRONTABS, DEFINITIONS, GROUP, NAME, OPEN, SCHEMA, crontab, define, definition, version
from tiphys.testing.api_server import running_api_server
from tiphys.testing.eventually import eventually
from tiphys.testing.kubectl import Kubectl

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
DESCRIBED: Doc = copy.deepcopy(SCHEMA) | {"description": "Crons to be run."}
DESCRIBED["properties"]["spec"]["description"] = "What is wanted."
DESCRIBED["properties"]["spec"]["properties"]["ports"]["description"] = "Doors."
OTHER: Doc = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"dots": {"type": "integer"}}}}}


async def v2(api: Api) -> Doc:
    found: Doc = (await api.get("/openapi/v2")).doc["definitions"]
    return found


async def v3(api: Api, group: str, version_: str) -> Doc:
    index = (await api.get("/openapi/v3")).doc["paths"]
    return dict((await api.get(index[f"apis/{group}/{version_}"]["serverRelativeURL"])).doc["components"]["schemas"])


def name_of(kind: str, version_: str, group: str = GROUP) -> str:
    return f"{'.'.join(reversed(group.split('.')))}.{version_}.{kind}"


def bare(schema: Doc) -> Doc:
    """A published definition without what every object has."""
    found = copy.deepcopy(schema)
    for name in ("apiVersion", "kind", "metadata"):
        found.get("properties", {}).pop(name, None)
    if found.get("properties") == {}:
        del found["properties"]
    found.pop("x-kubernetes-group-version-kind", None)
    return found


def without_defaults(schema: Doc) -> Doc:
    found: Doc = json.loads(json.dumps(schema))
    found["properties"]["spec"]["properties"]["replicas"].pop("default")
    return found


# --- discovery ---


async def test_definitions_are_in_discovery(api: Api) -> None:
    groups = {group["name"]: group for group in (await api.get("/apis")).doc["groups"]}
    assert {"groupVersion": "apiextensions.k8s.io/v1", "version": "v1"} in groups["apiextensions.k8s.io"]["versions"]
    versions = (await api.get("/apis/apiextensions.k8s.io")).doc["versions"]
    assert versions == [{"groupVersion": "apiextensions.k8s.io/v1", "version": "v1"}]
    resources = {one["name"] for one in (await api.get("/apis/apiextensions.k8s.io/v1")).doc["resources"]}
    assert {"customresourcedefinitions", "customresourcedefinitions/status"} <= resources


@pytest.mark.parametrize("accept", [AGGREGATED, f"{AGGREGATED},application/json"])
async def test_custom_kinds_are_in_aggregated_discovery(api: Api, accept: str) -> None:
    scaled = {"status": {}, "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}}
    made = definition("CronTab", GROUP, version(subresources=scaled), version("v2alpha1"), shortNames=["ct"], categories=["all"])
    await define(api, made)
    found = await api.get("/apis", accept=accept)
    assert found.headers["Content-Type"] == AGGREGATED
    group = next(item for item in found.doc["items"] if item["metadata"]["name"] == GROUP)
    assert [one["version"] for one in group["versions"]] == ["v1", "v2alpha1"]
    resource = group["versions"][0]["resources"][0]
    assert resource["resource"] == "crontabs"
    assert resource["responseKind"] == {"group": GROUP, "version": "v1", "kind": "CronTab"}
    assert (resource["scope"], resource["singularResource"], resource["shortNames"]) == ("Namespaced", "crontab", ["ct"])
    assert resource["categories"] == ["all"]
    assert [sub["subresource"] for sub in resource["subresources"]] == ["scale", "status"]
    await api.delete(f"{DEFINITIONS}/{NAME}")

    async def forgotten() -> bool:
        items = (await api.get("/apis", accept=accept)).doc["items"]
        return all(item["metadata"]["name"] != GROUP for item in items)

    await eventually(forgotten)


# --- OpenAPI ---


async def test_schemas_are_published(api: Api) -> None:
    await define(api, definition("CronTab", GROUP, version(schema=DESCRIBED)))
    second = (await v2(api))[name_of("CronTab", "v1")]
    assert bare(second) == without_defaults(DESCRIBED)
    assert second["x-kubernetes-group-version-kind"] == [{"group": GROUP, "version": "v1", "kind": "CronTab"}]
    third = (await v3(api, GROUP, "v1"))[name_of("CronTab", "v1")]
    assert bare(third) == DESCRIBED
    assert name_of("CronTabList", "v1") in await v2(api)
    protobuf = await api.get("/openapi/v2", accept="application/com.github.proto-openapi.spec.v2@v1.0+protobuf")
    assert b"Crons to be run." in protobuf.body


async def test_a_schema_that_keeps_everything_is_published_as_an_object(api: Api) -> None:
    await define(api, definition("CronTab", GROUP, version(schema=OPEN)))
    assert bare((await v2(api))[name_of("CronTab", "v1")]) == {"type": "object"}


async def test_a_part_that_keeps_everything_is_published_open(api: Api) -> None:
    kept = {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "x-kubernetes-embedded-resource": True}
    await define(api, definition("CronTab", GROUP, version(schema={"type": "object", "properties": {"spec": kept}})))
    assert bare((await v2(api))[name_of("CronTab", "v1")]) == {"type": "object", "properties": {"spec": kept}}
    spec = (await v3(api, GROUP, "v1"))[name_of("CronTab", "v1")]["properties"]["spec"]
    assert set(spec["properties"]) == {"apiVersion", "kind", "metadata"}


async def test_kinds_of_several_groups_versions_and_names_are_published(api: Api) -> None:
    await define(api, definition("CronTab", GROUP, version(schema=SCHEMA), version("v2", SCHEMA)))
    await define(api, definition("Dot", GROUP, version(schema=OTHER)))
    await define(api, definition("Dot", "other.example.com", version(schema=OTHER)))
    found = await v2(api)
    for name in (name_of("CronTab", "v1"), name_of("CronTab", "v2")):
        assert bare(found[name]) == without_defaults(SCHEMA)
    for name in (name_of("Dot", "v1"), name_of("Dot", "v1", "other.example.com")):
        assert bare(found[name]) == OTHER
    assert name_of("Dot", "v1") in await v3(api, GROUP, "v1")
    assert name_of("Dot", "v1") not in await v3(api, GROUP, "v2")


async def test_a_renamed_version_is_published_under_its_new_name(api: Api) -> None:
    await define(api, definition("CronTab", GROUP, version(), version("v3")))
    patch = [{"op": "test", "path": "/spec/versions/1/name", "value": "v3"}]
    patch.append({"op": "replace", "path": "/spec/versions/1/name", "value": "v4"})
    assert (await api.patch(f"{DEFINITIONS}/{NAME}", patch, media="application/json-patch+json")).status == 200

    async def renamed() -> bool:
        found = await v2(api)
        return name_of("CronTab", "v4") in found and name_of("CronTab", "v3") not in found and name_of("CronTab", "v1") in found

    await eventually(renamed)


async def test_a_version_that_is_served_no_more_is_published_no_more(api: Api) -> None:
    await define(api, definition("CronTab", GROUP, version(), version("v3")))
    before = (await api.get("/openapi/v3")).doc["paths"]
    patch = [{"op": "replace", "path": "/spec/versions/1/served", "value": False}]
    await api.patch(f"{DEFINITIONS}/{NAME}", patch, media="application/json-patch+json")

    async def hidden() -> bool:
        return name_of("CronTab", "v3") not in await v2(api)

    await eventually(hidden)
    after = (await api.get("/openapi/v3")).doc["paths"]
    assert f"apis/{GROUP}/v3" not in after
    assert after[f"apis/{GROUP}/v1"] == before[f"apis/{GROUP}/v1"]
    assert bare((await v2(api))[name_of("CronTab", "v1")]) == without_defaults(SCHEMA)


async def test_another_schema_has_another_hash(api: Api) -> None:
    await define(api, definition())
    path = f"apis/{GROUP}/v1"
    before = (await api.get("/openapi/v3")).doc["paths"][path]
    patch = [{"op": "add", "path": "/spec/versions/0/schema/openAPIV3Schema/description", "value": "New."}]
    await api.patch(f"{DEFINITIONS}/{NAME}", patch, media="application/json-patch+json")

    async def changed() -> bool:
        return bool((await api.get("/openapi/v3")).doc["paths"][path] != before)

    await eventually(changed)


# --- kubectl ---


@pytest.fixture
async def served(keys: Path) -> AsyncIterator[Api]:
    async with running_api_server(keys, listen=True) as (server, _):
        yield Api(server)


async def test_kubectl_finds_validates_and_explains(served: Api, keys: Path) -> None:
    kubectl = Kubectl.of(keys)
    columns = [{"name": "Schedule", "type": "string", "jsonPath": ".spec.schedule"}]
    v1 = version(schema=DESCRIBED, additionalPrinterColumns=columns, subresources={"status": {}})
    await kubectl("create", "-f", "-", stdin=json.dumps(definition("CronTab", GROUP, v1, shortNames=["ct"], categories=["all"])))
    await kubectl("wait", "--for=condition=Established", f"crd/{NAME}", "--timeout=20s")
    await kubectl("apply", "-f", "-", stdin=json.dumps(crontab("a", schedule="x", ports=[{"name": "p"}])))
    assert (await kubectl("get", "ct", "--no-headers")).split() == ["a", "x"]
    assert "crontab.stable.example.com/a" in await kubectl("get", "all", "-o", "name")
    unknown = json.dumps(crontab("b", foo=True))
    for verb in ("create", "apply"):
        assert 'unknown field "spec.foo"' in await kubectl.fails(verb, "-f", "-", stdin=unknown)
    enum = json.dumps(crontab("b", mode="odd"))
    assert 'Unsupported value: "odd"' in await kubectl.fails("create", "-f", "-", stdin=enum)
    missing = json.dumps(crontab("b", ports=[{"port": 1}]))
    assert "spec.ports[0].name: Required value" in await kubectl.fails("create", "-f", "-", stdin=missing)
    explained = await kubectl("explain", "crontabs")
    assert "Crons to be run." in explained
    assert "APIVersion defines" in explained
    assert "Doors." in await kubectl("explain", "crontabs.spec")
    assert 'field "ports2" does not exist' in await kubectl.fails("explain", "crontabs.spec.ports2")
    await kubectl("patch", "ct/a", "--type=merge", "-p", '{"spec":{"schedule":"y"}}')
    assert (await kubectl("get", "ct", "a", "-o", "jsonpath={.spec.schedule}")) == "y"
    assert "deleted" in await kubectl("delete", "crontabs", "a")
    assert "deleted" in await kubectl("delete", "crd", NAME)


async def test_kubectl_accepts_anything_where_the_schema_does(served: Api, keys: Path) -> None:
    kubectl = Kubectl.of(keys)
    await define(served, definition("CronTab", GROUP, version(schema={**OPEN, "description": "Anything goes."})))
    free = json.dumps(crontab("a", a=None, b=[{"c": "d"}]))
    await kubectl("create", "-f", "-", stdin=free)
    assert (await served.get(f"{CRONTABS}/a")).doc["spec"] == {"a": None, "b": [{"c": "d"}]}
    await kubectl("apply", "-f", "-", stdin=free)
    assert "CronTab" in await kubectl("explain", "crontabs")


async def test_kubectl_applies_on_the_server_as_strictly_as_the_schema(served: Api, keys: Path) -> None:
    """Unknown fields of metadata, at the root and embedded, and keys that stand twice."""
    kubectl = Kubectl.of(keys)
    template = {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"spec": {**OPEN, "properties": {"template": template}}}}
    await define(served, definition("CronTab", GROUP, version(schema=schema)))
    inner = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "unknownSubMeta": 1}}
    odd = json.dumps(crontab("a", template=inner, metadata={"unknownMeta": 1}))
    apply = ("apply", "--server-side", "-f", "-")
    assert "field not declared in schema" in await kubectl.fails(*apply, stdin=odd)
    refused = await served.post(f"{CRONTABS}?fieldValidation=Strict", odd.encode())
    assert 'unknown field "metadata.unknownMeta", unknown field "spec.template.metadata.unknownSubMeta"' in refused.message
    twice = f"""apiVersion: {GROUP}/v1
kind: CronTab
metadata:
  name: a
spec:
  foo: one
  bar: x
  baz: y
  foo: two
"""
    said = await served.send(
        "PATCH", f"{CRONTABS}/a?fieldManager=me&fieldValidation=Strict", twice.encode(), content_type="application/apply-patch+yaml"
    )
    assert 'line 9: key "foo" already set in map' in said.message
