"""Options in queries and bodies: the conversions, the checks, all at once, and the deadline of a request."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.apiserver.api import CONFIGS, NS, PODS, Api, config, pod
from tiphys.apiserver.cache.storage import Storage


@pytest.mark.parametrize("query", ["watch", "watch=yes", "watch=True"])
async def test_a_flag_without_a_value_begins_a_watch(api: Api, query: str) -> None:
    async with api.watch(f"{CONFIGS}?{query}&timeoutSeconds=1") as events:
        await api.post(CONFIGS, config("a"))
        assert await events.take(1) == [("ADDED", "a")]


async def test_force_takes_every_value_but_two(api: Api) -> None:
    body = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"k":"1"}}'
    other = body.replace(b'"1"', b'"2"')
    media = {"content_type": "application/apply-patch+yaml"}
    assert (await api.send("PATCH", f"{CONFIGS}/a?fieldManager=x", body, **media)).status == 201
    for value in ("0", "False"):
        assert (await api.send("PATCH", f"{CONFIGS}/a?fieldManager=y&force={value}", other, **media)).reason == "Conflict"
    assert (await api.send("PATCH", f"{CONFIGS}/a?fieldManager=y&force=yes", other, **media)).status == 200


async def test_a_negative_limit_is_no_limit(api: Api) -> None:
    for name in ("a", "b"):
        await api.post(CONFIGS, config(name))
    assert (await api.get(f"{CONFIGS}?limit=-1")).names == ["a", "b"]


async def test_all_mistakes_of_the_options_are_told_at_once(api: Api) -> None:
    answer = await api.post(f"{CONFIGS}?dryRun=Some&fieldValidation=Maybe&fieldManager=a%00b", config("a"))
    assert (answer.status, answer.doc["details"]["kind"], answer.doc["details"]["group"]) == (422, "CreateOptions", "meta.k8s.io")
    assert [cause["field"] for cause in answer.doc["details"]["causes"]] == ["fieldManager", "dryRun", "fieldValidation"]
    answer = await api.send("PATCH", f"{CONFIGS}/a?force=false&dryRun=", b"{}", content_type="application/merge-patch+json")
    assert [cause["field"] for cause in answer.doc["details"]["causes"]] == ["force", "dryRun"]
    answer = await api.delete(f"{CONFIGS}/a?propagationPolicy=Never&orphanDependents=true&dryRun=x")
    assert answer.doc["details"]["kind"] == "DeleteOptions"
    assert [cause["field"] for cause in answer.doc["details"]["causes"]] == ["propagationPolicy", "propagationPolicy", "dryRun"]


async def test_preconditions_of_a_delete_can_stand_in_the_query(api: Api) -> None:
    made = await api.post(CONFIGS, config("a"))
    assert (await api.delete(f"{CONFIGS}/a?uid=another")).reason == "Conflict"
    assert (await api.delete(f"{CONFIGS}/a?resourceVersion=1")).reason == "Conflict"
    assert (await api.delete(f"{CONFIGS}/a?uid={made.doc['metadata']['uid']}&resourceVersion={made.version}")).status == 200


@pytest.mark.parametrize("media", ["application/json", "application/yaml"])
async def test_a_delete_takes_no_body_of_another_kind(api: Api, media: str) -> None:
    await api.post(CONFIGS, config("a"))
    for kind, status in (("Pod", 400), ("ConfigMap", 400), ("DeleteOptions", 200)):
        body = b'{"apiVersion":"v1","kind":"%s","metadata":{"name":"a"}}' % kind.encode()
        answer = await api.send("DELETE", f"{CONFIGS}/a", body, content_type=media)
        assert answer.status == status, kind
        if status == 400:
            assert answer.doc["message"] == "decoded object cannot be converted to DeleteOptions"


async def test_options_of_an_eviction_are_checked(api: Api) -> None:
    await api.post(PODS, pod("a"))
    for options, fields in (
        ({"propagationPolicy": "x", "orphanDependents": True}, ["propagationPolicy", "propagationPolicy"]),
        ({"dryRun": ["x"]}, ["dryRun"]),
    ):
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "a"}, "deleteOptions": options}
        answer = await api.post(f"{PODS}/a/eviction", eviction)
        assert (answer.status, answer.doc["details"]["kind"]) == (422, "DeleteOptions")
        assert [cause["field"] for cause in answer.doc["details"]["causes"]] == fields
    assert (await api.get(f"{PODS}/a")).status == 200


async def test_an_eviction_that_contradicts_itself_about_a_dry_run_is_refused(api: Api) -> None:
    await api.post(PODS, pod("a"))
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "a"}, "deleteOptions": {"dryRun": ["All"]}}
    assert (await api.post(f"{PODS}/a/eviction?dryRun=All", eviction)).status == 201
    assert (await api.post(f"{PODS}/a/eviction", eviction)).status == 201
    assert (await api.get(f"{PODS}/a")).status == 200


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("tailLines=-1", ["tailLines"]),
        ("limitBytes=0", ["limitBytes"]),
        ("sinceSeconds=0", ["sinceSeconds"]),
        ("sinceSeconds=9&sinceTime=2020-01-01T00:00:00Z", [""]),
        ("stream=Both", ["stream"]),
        ("stream=Stdout&tailLines=1", [""]),
        ("tailLines=-1&limitBytes=-7&sinceSeconds=-2", ["tailLines", "limitBytes", "sinceSeconds"]),
    ],
)
async def test_rejects_options_of_a_log_field_by_field(api: Api, query: str, fields: list[str]) -> None:
    await api.post(PODS, pod("a"))
    answer = await api.get(f"{PODS}/a/log?{query}")
    assert (answer.status, answer.reason, answer.doc["details"]["kind"]) == (422, "Invalid", "PodLogOptions")
    assert [cause.get("field", "") for cause in answer.doc["details"]["causes"]] == fields


async def test_a_log_whose_numbers_are_none_is_a_bad_request(api: Api) -> None:
    await api.post(PODS, pod("a"))
    assert (await api.get(f"{PODS}/a/log?tailLines=many")).message == 'strconv.ParseInt: parsing "many": invalid syntax'
    assert (await api.get(f"{PODS}/a/log?sinceTime=yesterday")).reason == "BadRequest"
    assert (await api.get(f"{PODS}/a/log?tailLines=1&follow=yes")).body == b""


@pytest.mark.parametrize("sub", ["exec?command=ls", "attach", "portforward", "proxy/"])
async def test_a_connection_cannot_be_tried(api: Api, sub: str) -> None:
    await api.post(PODS, pod("a"))
    await api.patch(f"{PODS}/a/status", {"status": {"podIP": "10.0.0.1"}})
    path, _, query = sub.partition("?")
    answer = await api.get(f"{PODS}/a/{path}?{query}&dryRun=All", upgrade="websocket")
    assert (answer.status, answer.message) == (400, "dryRun is not supported")


@pytest.mark.parametrize("verb", ["exec", "attach", "portforward"])
async def test_a_connection_by_get_needs_the_right_to_create_one(api: Api, verb: str) -> None:
    await api.post(PODS, pod("a", node="none"))
    role = {"metadata": {"name": "r"}, "rules": [{"apiGroups": [""], "resources": [f"pods/{verb}"], "verbs": ["get"]}]}
    roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/default"
    await api.post(f"{roles}/roles", role)
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}
    await api.post(f"{roles}/rolebindings", {"metadata": {"name": "r"}, "subjects": [{"kind": "User", "name": "jane"}], "roleRef": ref})
    target = f"{PODS}/a/{verb}?command=ls&stdout=1"
    jane = api.acting_as("jane")
    refused = await jane.get(target, upgrade="websocket")
    assert (refused.status, f'cannot create resource "pods/{verb}"' in refused.message) == (403, True)
    role["rules"][0]["verbs"] = ["get", "create"]  # type: ignore[index]
    await api.put(f"{roles}/roles/r", role)
    assert (await jane.get(target, upgrade="websocket")).reason == "NotFound"  # There is no such node.


async def test_a_timeout_that_is_no_duration_is_refused(api: Api) -> None:
    for value in ("invalid", "5", "1x", "s", "1.2.3s"):
        answer = await api.get(f"{CONFIGS}?timeout={value}")
        expected = f'invalid timeout specified in the request URL - time: invalid duration "{value}"'
        assert (answer.status, answer.message) == (400, expected)
    for value in ("", "0", "5s", "1h2m3.5s", ".5h", "-1s", "100h"):
        assert (await api.get(f"{CONFIGS}?timeout={value}")).status == 200
    async with api.watch(f"{CONFIGS}?watch&timeout=invalid&timeoutSeconds=1"):
        pass  # Watches have a parameter of their own.


async def test_a_request_that_takes_longer_than_its_timeout_is_504_and_is_finished(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    store, let_go = Storage.create, asyncio.Event()

    async def slow(self: Storage, *args: object, **kwargs: object) -> object:
        await let_go.wait()
        return await store(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Storage, "create", slow)
    answer = await api.post(f"{CONFIGS}?timeout=10ms", config("a"))
    assert (answer.status, answer.reason) == (504, "Timeout")
    assert answer.message == "Timeout: request did not complete within the allotted timeout"
    async with api.watch(f"{CONFIGS}?watch") as events:
        let_go.set()
        assert await events.take(1) == [("ADDED", "a")]


async def test_field_selectors_that_a_kind_does_not_have(api: Api) -> None:
    assert (await api.get(f"{NS}/secrets?fieldSelector=spec.x%3D1")).message == "field label not supported: spec.x"
    answer = await api.get(f"{CONFIGS}?fieldSelector=data.x%3D1")
    expected = '"data.x" is not a known field selector: only "metadata.name", "metadata.namespace"'
    assert (answer.status, answer.message) == (400, expected)
