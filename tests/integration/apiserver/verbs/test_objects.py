"""Create, read, update and patch one object ("Kubernetes API Concepts")."""

from __future__ import annotations

import json

import pytest

from tests.integration.apiserver.api import CONFIGS, JSON_PATCH, MERGE, NS, PODS, STRATEGIC, Api, config, deployment, pod

DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


async def test_a_created_object_has_what_only_the_server_gives(api: Api) -> None:
    made = await api.post(PODS, pod("web", uid="mine", generation=7, creationTimestamp="2001-01-01T00:00:00Z"))
    assert made.status == 201
    meta = made.doc["metadata"]
    assert (meta["name"], meta["namespace"], meta["generation"]) == ("web", "default", 1)
    assert meta["uid"] not in ("", "mine")
    assert not meta["creationTimestamp"].startswith("2001")
    assert int(meta["resourceVersion"]) > 0
    assert made.doc["status"] == {"phase": "Pending", "qosClass": "BestEffort"}


async def test_reads_return_the_answer_to_the_write(api: Api) -> None:
    made = await api.post(CONFIGS, config("a", x="1"))
    assert (await api.get(f"{CONFIGS}/a")).doc == made.doc
    assert (await api.get(CONFIGS)).doc["items"] == [made.item]


async def test_names_are_taken_once(api: Api) -> None:
    await api.post(CONFIGS, config("a"))
    again = await api.post(CONFIGS, config("a"))
    assert (again.status, again.reason, again.message) == (409, "AlreadyExists", 'configmaps "a" already exists')
    assert again.doc["details"] == {"name": "a", "kind": "configmaps"}


async def test_generated_names_differ_and_fit(api: Api) -> None:
    prefix = "a" * 70
    names = {(await api.post(CONFIGS, {"metadata": {"generateName": prefix}})).doc["metadata"]["name"] for _ in range(20)}
    assert len(names) == 20
    assert {len(name) for name in names} == {63}
    assert all(name.startswith("a" * 58) for name in names)


async def test_every_mistake_is_told_at_once(api: Api) -> None:
    bad = deployment("UPPER", replicas=-1)
    bad["spec"]["template"]["spec"]["containers"][0]["image"] = ""
    refused = await api.post(DEPLOYMENTS, bad)
    assert (refused.status, refused.reason) == (422, "Invalid")
    causes = {cause["field"]: cause["reason"] for cause in refused.doc["details"]["causes"]}
    assert causes["metadata.name"] == "FieldValueInvalid"
    assert causes["spec.replicas"] == "FieldValueInvalid"
    assert causes["spec.template.spec.containers[0].image"] == "FieldValueRequired"
    assert refused.message.startswith('Deployment.apps "UPPER" is invalid: [')


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({**config("a"), "metadata": {"name": "a", "namespace": "other"}}, 400, "BadRequest"),
        ({**config("a"), "kind": "Secret"}, 400, "BadRequest"),
        ({**config("a"), "apiVersion": "v2"}, 400, "BadRequest"),
        ({**config("a"), "metadata": {"name": "a", "resourceVersion": "5"}}, 400, "BadRequest"),
        ({"metadata": {}}, 422, "Invalid"),
        ([], 400, "BadRequest"),
        (b"", 400, "BadRequest"),
        (b"{", 400, "BadRequest"),
        (b'{"metadata": {"name": 5}}', 400, "BadRequest"),
    ],
)
async def test_a_body_that_does_not_belong_here(api: Api, body: object, status: int, reason: str) -> None:
    refused = await api.post(CONFIGS, body)
    assert (refused.status, refused.reason) == (status, reason)


async def test_content_types(api: Api) -> None:
    yaml = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: y}\ndata: {x: '1'}\n"
    made = await api.send("POST", CONFIGS, yaml, content_type="application/yaml", accept="application/yaml")
    assert (made.status, made.headers["Content-Type"]) == (201, "application/yaml")
    assert b"name: y" in made.body
    assert (await api.send("POST", CONFIGS, b"<a/>", content_type="application/xml")).reason == "UnsupportedMediaType"
    assert (await api.send("PATCH", f"{CONFIGS}/y", b"{}", content_type="application/json")).reason == "UnsupportedMediaType"
    assert (await api.get(f"{CONFIGS}/y", accept="image/png")).reason == "NotAcceptable"


async def test_reviews_have_no_table(api: Api) -> None:
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    asked = {"spec": {"nonResourceAttributes": {"path": "/", "verb": "get"}}}
    table = "application/json;as=Table;v=v1;g=meta.k8s.io"
    refused = await api.post(path, asked, accept=table)
    assert (refused.status, refused.reason) == (406, "NotAcceptable")
    assert (await api.post(path, asked, accept=f"{table},application/json")).doc["kind"] == "SelfSubjectAccessReview"


async def test_field_validation(api: Api) -> None:
    body = b'{"metadata": {"name": "a", "color": 1}, "data": {"x": "1"}, "data": {"x": "2"}}'
    strict = await api.send("POST", f"{CONFIGS}?fieldValidation=Strict", body)
    assert (strict.status, strict.reason) == (400, "BadRequest")
    assert 'unknown field "metadata.color"' in strict.message
    assert 'duplicate field "data"' in strict.message
    warned = await api.send("POST", f"{CONFIGS}?fieldValidation=Warn", body)
    assert warned.status == 201
    assert sorted(warned.warnings) == ['299 - "duplicate field \\"data\\""', '299 - "unknown field \\"metadata.color\\""']
    ignored = await api.send("POST", f"{CONFIGS}?fieldValidation=Ignore", body.replace(b'"a"', b'"b"'))
    assert (ignored.status, ignored.warnings) == (201, [])
    assert (await api.send("POST", f"{CONFIGS}?fieldValidation=Maybe", body)).status == 422
    patched = await api.send("PATCH", f"{CONFIGS}/a?fieldValidation=Strict", b'{"color": 1}', content_type=MERGE)
    assert patched.status == 422
    assert 'unknown field "color"' in patched.message


async def test_a_dry_run_answers_and_stores_nothing(api: Api) -> None:
    tried = await api.post(f"{CONFIGS}?dryRun=All", config("a", x="1"))
    assert (tried.status, tried.doc["data"]) == (201, {"x": "1"})
    assert (await api.get(f"{CONFIGS}/a")).reason == "NotFound"
    made = await api.post(CONFIGS, config("a", x="1"))
    assert (await api.post(f"{CONFIGS}?dryRun=All", config("a"))).reason == "AlreadyExists"
    assert (await api.send("PATCH", f"{CONFIGS}/a?dryRun=All", {"data": {"x": "2"}}, content_type=MERGE)).doc["data"] == {"x": "2"}
    assert (await api.put(f"{CONFIGS}/a?dryRun=All", config("a", x="3"))).doc["data"] == {"x": "3"}
    assert (await api.delete(f"{CONFIGS}/a?dryRun=All")).status == 200
    assert (await api.get(f"{CONFIGS}/a")).doc == made.doc
    assert (await api.post(f"{CONFIGS}?dryRun=Some", config("b"))).status == 422


async def test_an_update_replaces_the_version_it_names(api: Api) -> None:
    first = (await api.post(CONFIGS, config("a", x="1"))).doc
    second = await api.put(f"{CONFIGS}/a", {**first, "data": {"x": "2"}})
    assert second.status == 200
    late = await api.put(f"{CONFIGS}/a", {**first, "data": {"x": "3"}})
    assert (late.status, late.reason) == (409, "Conflict")
    assert late.message == (
        'Operation cannot be fulfilled on configmaps "a": '
        "the object has been modified; please apply your changes to the latest version and try again"
    )
    assert (await api.get(f"{CONFIGS}/a")).doc == second.doc
    anyhow = await api.put(f"{CONFIGS}/a", config("a", x="4"))
    assert (anyhow.status, anyhow.doc["data"]) == (200, {"x": "4"})
    assert anyhow.doc["metadata"]["uid"] == first["metadata"]["uid"]


async def test_an_update_that_changes_nothing_writes_nothing(api: Api) -> None:
    made = await api.post(CONFIGS, config("a", x="1"))
    assert (await api.put(f"{CONFIGS}/a", config("a", x="1"))).version == made.version
    assert (await api.patch(f"{CONFIGS}/a", {"data": {"x": "1"}})).version == made.version


async def test_rejects_updates_of_identity(api: Api) -> None:
    made = (await api.post(CONFIGS, config("a"))).doc
    other_name = await api.put(f"{CONFIGS}/a", config("b"))
    assert (other_name.status, other_name.reason) == (400, "BadRequest")
    other_uid = await api.put(f"{CONFIGS}/a", {**made, "metadata": {**made["metadata"], "uid": "another"}})
    assert (other_uid.status, other_uid.reason) == (409, "Conflict")
    assert (await api.put(f"{CONFIGS}/none", config("none"))).reason == "NotFound"
    moved = await api.patch(f"{CONFIGS}/a", {"metadata": {"namespace": "kube-system"}})
    assert moved.status in (400, 422)


async def test_generation_counts_changes_of_the_spec_alone(api: Api) -> None:
    path = f"{DEPLOYMENTS}/d"
    assert (await api.post(DEPLOYMENTS, deployment("d"))).doc["metadata"]["generation"] == 1
    assert (await api.patch(path, {"metadata": {"labels": {"a": "b"}}})).doc["metadata"]["generation"] == 1
    assert (await api.patch(path, {"spec": {"replicas": 2}})).doc["metadata"]["generation"] == 2
    status = await api.patch(f"{path}/status", {"status": {"replicas": 2}, "spec": {"replicas": 9}})
    assert (status.doc["metadata"]["generation"], status.doc["spec"]["replicas"], status.doc["status"]["replicas"]) == (2, 2, 2)
    spec = await api.patch(path, {"spec": {"replicas": 3}, "status": {"replicas": 9}})
    assert (spec.doc["spec"]["replicas"], spec.doc["status"]["replicas"]) == (3, 2)


async def test_the_three_patches(api: Api) -> None:
    await api.post(DEPLOYMENTS, deployment("d"))
    path = f"{DEPLOYMENTS}/d"
    merged = await api.patch(path, {"metadata": {"annotations": {"a": "1", "b": "2"}}})
    assert merged.doc["metadata"]["annotations"] == {"a": "1", "b": "2"}
    assert (await api.patch(path, {"metadata": {"annotations": {"a": None}}})).doc["metadata"]["annotations"] == {"b": "2"}
    second = {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "registry.example/side:1"}]}}}}
    strategic = await api.patch(path, second, STRATEGIC)
    assert [c["name"] for c in strategic.doc["spec"]["template"]["spec"]["containers"]] == ["side", "main"]
    steps = [{"op": "test", "path": "/spec/replicas", "value": 1}, {"op": "replace", "path": "/spec/replicas", "value": 4}]
    assert (await api.patch(path, steps, JSON_PATCH)).doc["spec"]["replicas"] == 4
    failed = await api.patch(path, steps, JSON_PATCH)
    assert (failed.status, failed.reason) == (422, "Invalid")
    assert (await api.patch(f"{DEPLOYMENTS}/none", {})).reason == "NotFound"


async def test_a_patch_may_pin_a_version(api: Api) -> None:
    made = await api.post(CONFIGS, config("a"))
    await api.patch(f"{CONFIGS}/a", {"data": {"x": "1"}})
    pinned = {"metadata": {"resourceVersion": made.version}, "data": {"x": "2"}}
    assert (await api.patch(f"{CONFIGS}/a", pinned)).reason == "Conflict"


async def test_unicode_survives(api: Api) -> None:
    text = "Tiphys Ἀργώ 舵 🚢 \u0000 \u2028"
    made = await api.post(CONFIGS, config("a", x=text))
    assert made.doc["data"]["x"] == text
    assert json.loads((await api.get(CONFIGS)).body)["items"][0]["data"]["x"] == text


async def test_a_get_of_a_version_that_is_not_there_yet(api: Api) -> None:
    made = await api.post(CONFIGS, config("a"))
    assert (await api.get(f"{CONFIGS}/a?resourceVersion={made.version}")).doc == made.doc
    assert (await api.get(f"{CONFIGS}/a?resourceVersion=0")).doc == made.doc
    ahead = await api.get(f"{CONFIGS}/a?resourceVersion=999999999")
    assert (ahead.status, ahead.reason, ahead.doc["details"]["retryAfterSeconds"]) == (504, "Timeout", 1)
    assert ahead.doc["details"]["causes"] == [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    assert (await api.get(f"{CONFIGS}/a?resourceVersion=new")).reason == "BadRequest"


async def test_authorization_comes_before_all_other_checks(api: Api) -> None:
    guest = api.acting_as("guest")
    refused = await guest.get(f"{NS}/secrets/a")
    assert (refused.status, refused.reason) == (403, "Forbidden")
    assert 'User "guest" cannot get resource "secrets" in API group "" in the namespace "default"' in refused.message
    assert (await guest.post(f"{NS}/nonsense", b"{")).reason == "Forbidden"


async def test_a_negative_grace_period_becomes_a_second_in_pods_and_stays_in_templates(api: Api) -> None:
    body = pod("hasty")
    body["spec"]["terminationGracePeriodSeconds"] = -5
    assert (await api.post(PODS, body)).doc["spec"]["terminationGracePeriodSeconds"] == 1
    owner = deployment("hasty")
    owner["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = -5
    made = await api.post("/apis/apps/v1/namespaces/default/deployments", owner)
    assert made.doc["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == -5


async def test_a_dry_run_of_a_create_has_no_version(api: Api) -> None:
    """Nothing was stored, so there is none; one that was sent is shown as it was sent."""
    new = {"metadata": {"name": "dry"}}
    assert "resourceVersion" not in (await api.post(f"{CONFIGS}?dryRun=All", new)).doc["metadata"]
    new["metadata"]["resourceVersion"] = "5"
    assert (await api.post(f"{CONFIGS}?dryRun=All", new)).version == "5"
    assert (await api.post(CONFIGS, new)).reason == "BadRequest"


async def test_a_generation_that_was_sent(api: Api) -> None:
    """It is kept where the kind does not count its own, and must not be negative."""
    made = await api.post(CONFIGS, {"metadata": {"name": "sent", "generation": 7}})
    assert made.doc["metadata"]["generation"] == 7
    refused = await api.post(CONFIGS, {"metadata": {"name": "sent-2", "generation": -1}})
    assert refused.status == 422
    assert refused.message.endswith("metadata.generation: Invalid value: -1: must be greater than or equal to 0")
    template = {"template": {"spec": {"containers": [{"name": "c", "image": "i"}]}}, "metadata": {"name": "t", "generation": 7}}
    assert (await api.post(f"{NS}/podtemplates", template)).doc["metadata"]["generation"] == 1


async def test_owners_that_are_named_twice(api: Api) -> None:
    """One of them is kept. A patch owns what it sent before that (`handlers/rest.go`: after mutating admission)."""
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "u"}
    made = await api.post(CONFIGS, {"metadata": {"name": "owned", "ownerReferences": [owner, owner]}})
    assert made.doc["metadata"]["ownerReferences"] == [owner]
    assert made.doc["metadata"]["managedFields"][0]["fieldsV1"] == {"f:metadata": {"f:ownerReferences": {".": {}, 'k:{"uid":"u"}': {}}}}
    said = ".metadata.ownerReferences contains duplicate entries; API server dedups"
    assert [said in warning for warning in made.warnings] == [True]
    patched = await api.patch(f"{CONFIGS}/owned?fieldManager=other", {"metadata": {"ownerReferences": [owner, owner]}}, MERGE)
    assert patched.doc["metadata"]["ownerReferences"] == [owner]
    assert ["duplicate entries after mutating admission happens; API" in warning for warning in patched.warnings] == [True]
    # Their order depends on whether a second began between the two writes.
    owned = {entry["manager"]: entry["fieldsV1"]["f:metadata"] for entry in patched.doc["metadata"]["managedFields"]}
    other = owned.pop("other")
    assert (other, list(owned.values())) == ({"f:ownerReferences": {'k:{"uid":"u"}': {}}}, [{"f:ownerReferences": {}}])


async def test_a_status_write_may_change_owners_and_finalizers(api: Api) -> None:
    """As everywhere but for kinds whose strategy puts metadata back."""
    await api.post(DEPLOYMENTS, deployment("web"))
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "u"}
    change = {"metadata": {"finalizers": ["example.com/a"], "ownerReferences": [owner]}}
    meta = (await api.patch(f"{DEPLOYMENTS}/web/status", change)).doc["metadata"]
    assert (meta["finalizers"], meta["ownerReferences"]) == (["example.com/a"], [owner])
    await api.post(PODS, pod("web"))
    meta = (await api.patch(f"{PODS}/web/status", change)).doc["metadata"]
    assert (meta["finalizers"], "ownerReferences" in meta) == (["example.com/a"], False)


async def test_the_write_that_lets_an_object_go_answers_with_it(api: Api) -> None:
    await api.post(CONFIGS, config("a"))
    await api.patch(f"{CONFIGS}/a", {"metadata": {"finalizers": ["example.com/a"]}})
    await api.delete(f"{CONFIGS}/a")
    last = await api.patch(f"{CONFIGS}/a", {"metadata": {"finalizers": None}, "data": {"last": "words"}})
    assert (last.status, last.doc["data"], "finalizers" in last.doc["metadata"]) == (200, {"last": "words"}, False)
    assert (await api.get(f"{CONFIGS}/a")).status == 404


async def test_an_update_without_a_version(api: Api) -> None:
    """Refused for kinds whose strategy allows no unconditional update; the error names the resource."""
    webhooks = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    await api.post(webhooks, {"metadata": {"name": "a"}})
    refused = await api.put(f"{webhooks}/a", {"metadata": {"name": "a"}})
    assert (refused.status, refused.message) == (
        422,
        'validatingwebhookconfigurations.admissionregistration.k8s.io "a" is invalid:'
        " metadata.resourceVersion: Invalid value: 0: must be specified for an update",
    )


async def test_the_namespace_of_what_has_none_is_dropped(api: Api) -> None:
    path = "/apis/scheduling.k8s.io/v1/priorityclasses"
    made = await api.post(path, {"metadata": {"name": "a", "namespace": "default"}, "value": 1})
    assert (made.status, "namespace" in made.doc["metadata"]) == (201, False)
    patched = await api.patch(f"{path}/a", {"metadata": {"namespace": "default"}})
    assert (patched.status, "namespace" in patched.doc["metadata"]) == (200, False)


async def test_a_failed_request_is_warned_too(api: Api) -> None:
    refused = await api.post(f"{NS}/endpoints", {"metadata": {"name": "A"}, "spare": 1})
    assert refused.status == 422
    assert ["deprecated" in warning for warning in refused.warnings] == [True, False]
    assert 'unknown field \\"spare\\"' in refused.warnings[1]


async def test_a_job_that_goes_without_its_pods(api: Api) -> None:
    jobs = "/apis/batch/v1/namespaces/default/jobs"
    await api.post(jobs, {"metadata": {"name": "a"}, "spec": {"template": {"spec": {**pod("a")["spec"], "restartPolicy": "Never"}}}})
    assert "child pods are preserved by default when jobs are deleted" in (await api.delete(f"{jobs}/a?dryRun=All")).warnings[0]
    assert not (await api.delete(f"{jobs}/a?propagationPolicy=Orphan")).warnings


async def test_refusals_show_missing_fields_as_upstream_does(api: Api) -> None:
    """Null, as of a list or a map that nobody made, in the order of the API; of a group that is served over another, its kind there."""
    refused = await api.post("/apis/batch/v1/namespaces/default/cronjobs", {"metadata": {"name": "a"}})
    assert [cause["field"] for cause in refused.doc["details"]["causes"]][:2] == [
        "spec.schedule",
        "spec.jobTemplate.spec.template.spec.containers",
    ]
    refused = await api.post(DEPLOYMENTS, {"metadata": {"name": "a"}})
    assert "spec.template.metadata.labels: Invalid value: null: `selector` does not match" in refused.message
    refused = await api.post("/apis/events.k8s.io/v1/namespaces/default/events", {"metadata": {"name": "a/b"}})
    assert refused.message.startswith('Event "a/b" is invalid: ')


async def test_unknown_fields_of_a_patch_are_told_in_order(api: Api) -> None:
    await api.post(CONFIGS, config("a"))
    patched = await api.patch(f"{CONFIGS}/a", {"spare": 1, "metadata": {"other": 1}, "extra": 1})
    assert [warning.split('\\"')[1] for warning in patched.warnings] == ["extra", "metadata.other", "spare"]


async def test_deletions_that_have_no_dependents_to_wait_for(api: Api) -> None:
    """Events are never owners, and a namespace has no time of grace."""
    event = {"metadata": {"name": "a", "finalizers": ["example.com/a"]}, "involvedObject": {"namespace": "default"}}
    await api.post(f"{NS}/events", event)
    kept = (await api.delete(f"{NS}/events/a?propagationPolicy=Foreground")).doc["metadata"]
    assert (kept["finalizers"], "deletionTimestamp" in kept) == (["example.com/a"], True)
    await api.post("/api/v1/namespaces", {"metadata": {"name": "going"}})
    going = (await api.delete("/api/v1/namespaces/going")).doc["metadata"]
    assert ("deletionTimestamp" in going, "deletionGracePeriodSeconds" in going) == (True, False)
    phase = await api.patch("/api/v1/namespaces/default/status", {"status": None})
    assert phase.doc["status"] == {"phase": "Active"}
