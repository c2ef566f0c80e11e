"""Requests as clients in other languages send them."""

from __future__ import annotations

import pytest

from tests.integration.apiserver.api import CONFIGS, MERGE, PODS, STRATEGIC, Api, config, deployment, pod

DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
REVIEWS = "/apis/authorization.k8s.io/v1"


async def test_a_strategic_merge_patch_is_not_judged_by_its_kind(api: Api) -> None:
    await api.post(DEPLOYMENTS, deployment("d", replicas=0))
    body = {"kind": "Deployment", "metadata": {"name": "d", "namespace": "default"}, "spec": {"replicas": 2}}
    scaled = await api.patch(f"{DEPLOYMENTS}/d/scale", body, STRATEGIC)
    assert (scaled.status, scaled.doc["kind"], scaled.doc["spec"]["replicas"]) == (200, "Scale", 2)
    foreign = {"kind": "Pod", "apiVersion": "v9", "metadata": {"labels": {"x": "y"}}}
    patched = await api.patch(f"{DEPLOYMENTS}/d", foreign, STRATEGIC)
    assert (patched.status, patched.doc["kind"], patched.doc["apiVersion"]) == (200, "Deployment", "apps/v1")
    status = await api.patch(f"{DEPLOYMENTS}/d/status", {**foreign, "status": {"replicas": 1}}, STRATEGIC)
    assert (status.status, status.doc["status"]["replicas"]) == (200, 1)
    assert (await api.patch(f"{DEPLOYMENTS}/d", foreign, MERGE)).status >= 400  # The other patches say what the object is to be.


@pytest.mark.parametrize("version", ["v1", "abc", "0", "-5", "1" * 30])
async def test_a_version_that_is_no_number_is_ignored_on_create(api: Api, version: str) -> None:
    made = await api.post(CONFIGS, {"metadata": {"name": "a", "resourceVersion": version}})
    assert (made.status, made.version.isdigit()) == (201, True)


@pytest.mark.parametrize("version", ["v1", "abc", "-5", "1" * 30])
async def test_a_version_that_is_no_number_is_no_conflict_on_update(api: Api, version: str) -> None:
    await api.post(CONFIGS, config("a"))
    await api.post(PODS, pod("p"))
    body = {"metadata": {"name": "a", "resourceVersion": version}, "data": {"k": "v"}}
    assert (await api.put(f"{CONFIGS}/a", body)).reason == "BadRequest"
    assert (await api.patch(f"{CONFIGS}/a", body)).reason == "BadRequest"
    made = (await api.get(f"{PODS}/p")).doc
    made["metadata"]["resourceVersion"] = version
    assert (await api.put(f"{PODS}/p/status", made)).reason == "BadRequest"
    assert "data" not in (await api.get(f"{CONFIGS}/a")).doc


async def test_an_update_of_what_is_not_there_is_not_found(api: Api) -> None:
    for path in ("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/none", f"{DEPLOYMENTS}/none", f"{PODS}/none"):
        assert (await api.put(path, {"metadata": {"name": path.rpartition("/")[2]}, "spec": {}})).reason == "NotFound"


@pytest.mark.parametrize("kind", ["selfsubjectaccessreviews", "subjectaccessreviews"])
async def test_a_review_with_metadata_is_refused(api: Api, kind: str) -> None:
    body = {"spec": {"user": "jane", "resourceAttributes": {"verb": "get", "resource": "pods"}}}
    if kind.startswith("self"):
        del body["spec"]["user"]
    managed = [{"manager": "x", "operation": "Update", "apiVersion": "v1"}]
    assert (await api.post(f"{REVIEWS}/{kind}", {**body, "metadata": {"managedFields": managed}})).status == 201
    for metadata in ({"name": "a"}, {"labels": {"a": "b"}}, {"generateName": "a"}):
        refused = await api.post(f"{REVIEWS}/{kind}", {**body, "metadata": metadata})
        assert (refused.status, refused.doc["details"]["causes"][-1]["field"]) == (422, "metadata")
        assert refused.message.endswith("must be empty")


async def test_a_local_review_may_name_its_namespace(api: Api) -> None:
    path = f"{REVIEWS}/namespaces/default/localsubjectaccessreviews"
    attributes = {"verb": "get", "resource": "pods", "namespace": "default"}
    body = {"metadata": {"namespace": "default"}, "spec": {"user": "jane", "resourceAttributes": attributes}}
    assert (await api.post(path, body)).status == 201
    refused = await api.post(path, {**body, "metadata": {"namespace": "default", "name": "a"}})
    assert (refused.status, refused.message.endswith("must be empty except for namespace")) == (422, True)
    both = {**body, "spec": {"user": "jane", "resourceAttributes": {**attributes, "fieldSelector": {}}}}
    assert (await api.post(path, both)).doc["details"]["causes"][0]["field"] == "spec.resourceAttributes.fieldSelector.requirements"


async def test_json_is_broken_into_lines_for_people(api: Api) -> None:
    await api.post(CONFIGS, config("a", key="<value>"))
    plain = (await api.get(f"{CONFIGS}/a")).doc
    for query, agent in (("?pretty=true", ""), ("?pretty=1", "kubectl"), ("", "curl/8.5"), ("", "Wget/1.2"), ("", "Mozilla/5.0 (X11)")):
        pretty = await api.get(f"{CONFIGS}/a{query}", user_agent=agent)
        assert pretty.body.startswith(b'{\n  "kind": "ConfigMap",\n  "apiVersion": "v1",\n  "metadata": {\n    "')
        assert pretty.doc == plain
        assert pretty.body.count(b"\n") > 10
    for query, agent in (("", ""), ("", "kubectl/v1.36"), ("?pretty=false", "curl/8.5"), ("?pretty=yes", "curl/8.5")):
        assert (await api.get(f"{CONFIGS}/a{query}", user_agent=agent)).body.count(b"\n") <= 1
    listed = await api.get(f"{CONFIGS}?pretty=true")
    assert listed.body.startswith(b'{\n  "kind": "ConfigMapList",\n')
    assert listed.names == ["a"]
    missing = await api.get(f"{CONFIGS}/none?pretty=true")
    assert missing.body.startswith(b'{\n  "kind": "Status",\n  "apiVersion": "v1",\n')
    assert (await api.get("/api/v1", user_agent="curl/8.5")).body.startswith(b'{\n  "kind": "APIResourceList",\n')
    asked = await api.get(f"{CONFIGS}/a", accept="application/json;pretty=1")
    assert asked.body.count(b"\n") > 10


async def test_objects_and_failures_begin_with_their_kind_and_items_have_none(api: Api) -> None:
    made = await api.post(CONFIGS, config("a"))
    assert made.body.startswith(b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{')
    assert (await api.get(f"{CONFIGS}/none")).body.startswith(b'{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure"')
    listed = (await api.get(CONFIGS)).doc["items"]
    assert listed == [made.item]
    async with api.watch(f"{CONFIGS}?watch=1&timeoutSeconds=1") as events:
        event = await events.next()
    assert event is not None
    assert list(event["object"])[:2] == ["kind", "apiVersion"]
