"""Custom objects through every verb, as clients of built-in kinds know it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.apiserver.api import JSON_PATCH, STRATEGIC, Api, Doc
from tests.integration.apiserver.crd.made import CRONTABS, DEFINITIONS, GROUP, NAME, OPEN, SCHEMA, crontab, define, definition, version
from tiphys.testing.eventually import eventually

APPLY = "application/apply-patch+yaml"
SCALED = {
    "status": {},
    "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas", "labelSelectorPath": ".status.selector"},
}


async def strict(api: Api, body: Any, query: str = "?fieldValidation=Strict") -> Any:
    return await api.post(f"{CRONTABS}{query}", body)


# --- what schemas do ---


async def test_unknown_fields_are_pruned_with_a_warning(api: Api) -> None:
    await define(api, definition())
    wanted = crontab("a", bad=1, ports=[{"name": "a", "wrong": 2}], metadata={"strange": True}) | {"extra": {}}
    made = await api.post(CRONTABS, wanted)
    assert made.doc["spec"] == {"ports": [{"name": "a"}], "replicas": 2}
    assert "extra" not in made.doc
    unknown = ["metadata.strange", "extra", "spec.bad", "spec.ports[0].wrong"]
    assert made.warnings == [f'299 - "unknown field \\"{path}\\""' for path in unknown]
    assert (await strict(api, crontab("b", bad=1), "?fieldValidation=Ignore")).warnings == []
    refused = await strict(api, wanted)
    assert (refused.status, refused.reason) == (400, "BadRequest")
    said = ", ".join(f'unknown field "{path}"' for path in unknown)
    assert refused.message == f'CronTab in version "v1" cannot be handled as a CronTab: strict decoding error: {said}'


async def test_repeated_fields_are_told(api: Api) -> None:
    await define(api, definition())
    body = b'{"apiVersion":"%b/v1","kind":"CronTab","metadata":{"name":"a"},"spec":{"schedule":"a","schedule":"b"}}' % GROUP.encode()
    refused = await strict(api, body)
    assert refused.message.endswith('strict decoding error: duplicate field "spec.schedule"')
    made = await api.post(CRONTABS, body)
    assert made.warnings == ['299 - "duplicate field \\"spec.schedule\\""']
    assert made.doc["spec"]["schedule"] == "b"
    yaml = body.decode().replace('"', "").replace(",", ", ").replace(":", ": ").replace("{", "{ ").encode()
    assert (await api.send("POST", f"{CRONTABS}?fieldValidation=Strict", yaml, content_type="application/yaml")).status == 400


async def test_patches_are_validated_as_strictly(api: Api) -> None:
    await define(api, definition())
    await api.post(CRONTABS, crontab("a"))
    refused = await api.patch(f"{CRONTABS}/a?fieldValidation=Strict", {"spec": {"bad": 1}})
    assert refused.status == 422
    assert 'strict decoding error: unknown field "spec.bad"' in refused.message
    warned = await api.patch(f"{CRONTABS}/a", {"spec": {"bad": 1}})
    assert warned.warnings == ['299 - "unknown field \\"spec.bad\\""']
    applied = await api.patch(f"{CRONTABS}/a?fieldManager=me&fieldValidation=Strict", {**crontab("a"), "spec": {"bad": 1}}, media=APPLY)
    assert applied.status >= 400
    assert ".spec.bad: field not declared in schema" in applied.message


async def test_unknown_fields_stay_where_the_schema_wants_it(api: Api) -> None:
    embedded: Doc = {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True}
    known: Doc = {"type": "object", "properties": {"a": {"type": "integer"}}}
    schema: Doc = {
        "type": "object",
        "properties": {
            "spec": {**OPEN, "properties": {"known": known}},
            "template": embedded,
            "map": {"type": "object", "additionalProperties": known},
        },
    }
    await define(api, definition("CronTab", GROUP, version(schema=schema)))
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "odd": 1}, "spec": {"free": True}}
    wanted = crontab("a", free={"deep": [1]}, known={"a": 1, "b": 2}) | {"template": pod, "map": {"k": {"a": 1, "z": 1}}}
    made = await api.post(CRONTABS, wanted)
    assert made.doc["spec"] == {"free": {"deep": [1]}, "known": {"a": 1}}
    assert made.doc["template"] == {**pod, "metadata": {"name": "x"}}
    assert made.doc["map"] == {"k": {"a": 1}}
    assert made.warnings == [f'299 - "unknown field \\"{path}\\""' for path in ("map.k.z", "spec.known.b", "template.metadata.odd")]
    refused = await api.post(CRONTABS, crontab("b") | {"template": {"kind": "Pod", "metadata": {"name": "Not Fine"}}})
    causes = {cause["field"]: cause["reason"] for cause in refused.doc["details"]["causes"]}
    assert causes == {"template.apiVersion": "FieldValueRequired"}


async def test_defaults_come_with_requests_and_from_the_store(api: Api) -> None:
    schema: Doc = json.loads(json.dumps(SCHEMA))
    del schema["properties"]["spec"]["properties"]["replicas"]["default"]
    await define(api, definition("CronTab", GROUP, version(schema=schema)))
    await api.post(CRONTABS, crontab("old"))
    found = (await api.get(f"{DEFINITIONS}/{NAME}")).doc
    spec = found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["properties"]["replicas"]["default"] = 5
    spec["properties"]["replicas"]["nullable"] = False
    spec["properties"]["maybe"] = {"type": "string", "nullable": True, "default": "x"}
    assert (await api.put(f"{DEFINITIONS}/{NAME}", found)).status == 200

    async def defaulted() -> bool:
        return bool((await api.get(f"{CRONTABS}/old")).doc["spec"] == {"replicas": 5, "maybe": "x"})

    await eventually(defaulted)
    made = await api.post(CRONTABS, crontab("new", replicas=None, maybe=None))
    assert made.doc["spec"] == {"replicas": 5, "maybe": None}


async def test_values_that_the_schema_refuses(api: Api) -> None:
    await define(api, definition())
    wrong = crontab("a", schedule="9", replicas=11, mode="slowly", ports=[{"port": 1.5}, {"name": "x"}, {"name": "x"}])
    refused = await api.post(CRONTABS, wrong)
    assert refused.status == 422
    causes = {cause["field"]: (cause["reason"], cause["message"]) for cause in refused.doc["details"]["causes"]}
    assert causes == {
        "spec.schedule": ("FieldValueInvalid", "Invalid value: \"9\": spec.schedule in body should match '^[a-z*]'"),
        "spec.replicas": ("FieldValueInvalid", "Invalid value: 11: spec.replicas in body should be less than or equal to 10"),
        "spec.mode": ("FieldValueNotSupported", 'Unsupported value: "slowly": supported values: "fast", "slow"'),
        "spec.ports[0].port": (
            "FieldValueTypeInvalid",
            'Invalid value: "number": spec.ports[0].port in body must be of type integer: "number"',
        ),
        "spec.ports[0].name": ("FieldValueRequired", "Required value"),
        "spec.ports[2]": ("FieldValueDuplicate", 'Duplicate value: {"name":"x"}'),
    }


async def test_updates_may_keep_old_mistakes(api: Api) -> None:
    await define(api, definition("CronTab", GROUP, version(schema=OPEN)))
    await api.post(CRONTABS, crontab("a", schedule="9", mode="odd"))
    found = (await api.get(f"{DEFINITIONS}/{NAME}")).doc
    found["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = SCHEMA
    await api.put(f"{DEFINITIONS}/{NAME}", found)

    async def tightened() -> bool:
        return (await api.post(f"{CRONTABS}?dryRun=All", crontab("b", schedule="9"))).status == 422

    await eventually(tightened)
    assert (await api.patch(f"{CRONTABS}/a", {"spec": {"replicas": 3}})).status == 200
    refused = await api.patch(f"{CRONTABS}/a", {"spec": {"mode": "other"}})
    assert [cause["field"] for cause in refused.doc["details"]["causes"]] == ["spec.mode"]


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"kind": None}, 400, "the object provided is unrecognized (must be of type CronTab): Object 'Kind' is missing in '"),
        ({"apiVersion": None}, 400, "Object 'apiVersion' is missing in '"),
        ({"apiVersion": f"{GROUP}/v2"}, 400, "the API version in the data (stable.example.com/v2) does not match"),
        ({"kind": "Other"}, 422, 'kind: Invalid value: "Other": must be CronTab'),
        ({"metadata": {"name": "UPPER"}}, 422, "metadata.name: Invalid value"),
        ({"metadata": {"name": "a", "labels": {"x": 1}}}, 400, "json: cannot unmarshal number into Go struct field ObjectMeta.labels"),
    ],
)
async def test_objects_say_what_they_are(api: Api, change: Doc, status: int, message: str) -> None:
    await define(api, definition())
    body = {name: value for name, value in {**crontab("a"), **change}.items() if value is not None}
    refused = await api.post(CRONTABS, body)
    assert refused.status == status
    assert message in refused.message


# --- verbs and answers ---


async def test_updates_count_generations_and_need_a_version(api: Api) -> None:
    await define(api, definition("CronTab", GROUP, version(subresources=SCALED)))
    made = (await api.post(CRONTABS, crontab("a") | {"status": {"replicas": 9}})).doc
    assert "status" not in made
    assert made["metadata"]["generation"] == 1
    made["spec"]["schedule"] = "b"
    made["status"] = {"replicas": 3}
    changed = (await api.put(f"{CRONTABS}/a", made)).doc
    assert (changed["metadata"]["generation"], "status" in changed) == (2, False)
    changed["metadata"]["labels"] = {"x": "y"}
    changed["status"] = {"replicas": 3, "odd": 1}
    status = (await api.put(f"{CRONTABS}/a/status", changed)).doc
    assert status["status"] == {"replicas": 3}
    assert (status["metadata"]["generation"], status["metadata"].get("labels")) == (2, None)
    assert (await api.put(f"{CRONTABS}/a", made)).reason == "Conflict"
    del made["metadata"]["resourceVersion"]
    assert "must be specified for an update" in (await api.put(f"{CRONTABS}/a", made)).message
    same = await api.patch(f"{CRONTABS}/a", {"spec": {"schedule": "b"}})
    assert same.version == status["metadata"]["resourceVersion"]
    wrong = await api.patch(f"{CRONTABS}/a/status", {"status": {"replicas": "many"}})
    assert 'status.replicas: Invalid value: "string": replicas in body must be of type integer: "string"' in wrong.message
    assert ".status.replicas accessor error: many is of the type string, expected int64" in wrong.message


async def test_scale(api: Api) -> None:
    await define(api, definition("CronTab", GROUP, version(subresources=SCALED)))
    await api.post(CRONTABS, crontab("a"))
    await api.patch(f"{CRONTABS}/a/status", {"status": {"replicas": 1, "selector": "app=a"}})
    scale = (await api.get(f"{CRONTABS}/a/scale")).doc
    assert (scale["kind"], scale["spec"], scale["status"]) == ("Scale", {"replicas": 2}, {"replicas": 1, "selector": "app=a"})
    scale["spec"]["replicas"] = 4
    assert (await api.put(f"{CRONTABS}/a/scale", scale)).doc["spec"] == {"replicas": 4}
    assert (await api.get(f"{CRONTABS}/a")).doc["spec"]["replicas"] == 4
    assert (await api.patch(f"{CRONTABS}/a/scale", {"spec": {"replicas": 11}})).status == 422
    applied = {"apiVersion": "autoscaling/v1", "kind": "Scale", "spec": {"replicas": 6}}
    assert (await api.patch(f"{CRONTABS}/a/scale?fieldManager=scaler&force=true", applied, media=APPLY)).status == 200
    found = (await api.get(f"{CRONTABS}/a")).doc
    assert found["spec"]["replicas"] == 6
    owner = next(entry for entry in found["metadata"]["managedFields"] if entry["manager"] == "scaler")
    assert (owner["subresource"], owner["fieldsV1"]) == ("scale", {"f:spec": {"f:replicas": {}}})


async def test_patches_by_format(api: Api) -> None:
    await define(api, definition())
    await api.post(CRONTABS, crontab("a", ports=[{"name": "x"}]))
    moved = await api.patch(f"{CRONTABS}/a", [{"op": "add", "path": "/spec/ports/-", "value": {"name": "y"}}], media=JSON_PATCH)
    assert [port["name"] for port in moved.doc["spec"]["ports"]] == ["x", "y"]
    refused = await api.patch(f"{CRONTABS}/a", {"spec": {}}, media=STRATEGIC)
    assert refused.status == 415
    assert "strategic" not in refused.message


async def test_apply_goes_by_the_schema(api: Api) -> None:
    await define(api, definition())
    mine = crontab("a", ports=[{"name": "x", "port": 1}])
    assert (await api.patch(f"{CRONTABS}/a?fieldManager=me", mine, media=APPLY)).status == 201
    theirs = crontab("a", ports=[{"name": "y", "port": 2}])
    both = await api.patch(f"{CRONTABS}/a?fieldManager=they", theirs, media=APPLY)
    assert {port["name"] for port in both.doc["spec"]["ports"]} == {"x", "y"}
    clash = await api.patch(f"{CRONTABS}/a?fieldManager=they", crontab("a", ports=[{"name": "x", "port": 9}]), media=APPLY)
    assert clash.doc["details"]["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "me"', "field": '.spec.ports[name="x"].port'}
    ]
    less = await api.patch(f"{CRONTABS}/a?fieldManager=me", crontab("a"), media=APPLY)
    assert [port["name"] for port in less.doc["spec"]["ports"]] == ["y"]


async def test_protobuf_is_for_metadata_only(api: Api) -> None:
    await define(api, definition())
    await api.post(CRONTABS, crontab("a"))
    protobuf = "application/vnd.kubernetes.protobuf"
    assert (await api.get(f"{CRONTABS}/a", accept=protobuf)).status == 406
    assert (await api.get(f"{CRONTABS}/a", accept=f"{protobuf},application/json")).doc["kind"] == "CronTab"
    assert (await api.send("POST", CRONTABS, b"k8s\0", content_type=protobuf)).status == 415
    partial = await api.get(f"{CRONTABS}/a", accept=f"{protobuf};as=PartialObjectMetadata;g=meta.k8s.io;v=v1")
    assert partial.body.startswith(b"k8s\0")
    async with api.watch(f"{CRONTABS}?watch=1", accept="application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1") as events:
        event = await events.next()
    assert event is not None
    assert event["object"]["kind"] == "PartialObjectMetadata"
    assert "spec" not in event["object"]


async def test_tables_show_the_columns_of_the_definition(api: Api) -> None:
    columns = [
        {"name": "Schedule", "type": "string", "jsonPath": ".spec.schedule"},
        {"name": "Want", "type": "integer", "jsonPath": ".spec.replicas", "priority": 1, "description": "How many."},
        {"name": "Port", "type": "string", "jsonPath": '.spec.ports[?(@.name=="web")].port'},
        {"name": "Since", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        {"name": "None", "type": "boolean", "jsonPath": ".spec.replicas"},
    ]
    await define(api, definition("CronTab", GROUP, version(additionalPrinterColumns=columns)))
    await api.post(CRONTABS, crontab("a", schedule="x", ports=[{"name": "db", "port": 1}, {"name": "web", "port": 80}]))
    accept = "application/json;as=Table;g=meta.k8s.io;v=v1"
    table = (await api.get(CRONTABS, accept=accept)).doc
    assert [(column["name"], column["type"], column["priority"]) for column in table["columnDefinitions"]] == [
        *[("Name", "string", 0), ("Schedule", "string", 0), ("Want", "integer", 1)],
        *[("Port", "string", 0), ("Since", "date", 0), ("None", "boolean", 0)],
    ]
    cells = table["rows"][0]["cells"]
    assert cells[:4] == ["a", "x", 2, "80"]
    assert cells[4].endswith("s")
    assert cells[5] is None
    whole = (await api.get(f"{CRONTABS}?includeObject=Object", accept=accept)).doc["rows"][0]["object"]
    assert whole["spec"]["schedule"] == "x"


async def test_field_selectors_of_the_definition(api: Api) -> None:
    fields = [{"jsonPath": ".spec.schedule"}, {"jsonPath": ".spec.replicas"}]
    await define(api, definition("CronTab", GROUP, version(selectableFields=fields)))
    async with api.watch(f"{CRONTABS}?watch=1&fieldSelector=spec.schedule=x") as events:
        for name, schedule, replicas in (("a", "x", 1), ("b", "x", 2), ("c", "y", 2)):
            await api.post(CRONTABS, crontab(name, schedule=schedule, replicas=replicas))
        assert (await api.get(f"{CRONTABS}?fieldSelector=spec.schedule=x")).names == ["a", "b"]
        assert (await api.get(f"{CRONTABS}?fieldSelector=spec.schedule=x,spec.replicas!=1")).names == ["b"]
        assert (await api.get(f"{CRONTABS}?fieldSelector=spec.mode=x")).reason == "BadRequest"
        await api.patch(f"{CRONTABS}/a", {"spec": {"schedule": "z"}})
        assert await events.take(3) == [("ADDED", "a"), ("ADDED", "b"), ("DELETED", "a")]
    await api.delete(f"{CRONTABS}?fieldSelector=spec.schedule=x")
    assert (await api.get(CRONTABS)).names == ["a", "c"]


async def test_dry_run_paging_and_label_selectors(api: Api) -> None:
    await define(api, definition())
    assert (await api.post(f"{CRONTABS}?dryRun=All", crontab("a"))).status == 201
    assert (await api.get(CRONTABS)).names == []
    for name in "abc":
        await api.post(CRONTABS, crontab(name, metadata={"labels": {"odd": str(name in "ac").lower()}}))
    assert (await api.get(f"{CRONTABS}?labelSelector=odd=true")).names == ["a", "c"]
    page = (await api.get(f"{CRONTABS}?limit=2")).doc
    token = page["metadata"]["continue"]
    await api.delete(f"{CRONTABS}/c")
    assert (await api.get(f"{CRONTABS}?limit=2&continue={token}")).names == ["c"]


async def test_cluster_scoped_kinds(api: Api) -> None:
    await define(api, definition("CronTab", GROUP, scope="Cluster"))
    path = f"/apis/{GROUP}/v1/crontabs"
    assert (await api.post(path, crontab("a"))).status == 201
    assert (await api.get(f"{path}/a")).doc["metadata"]["name"] == "a"
    assert (await api.get(CRONTABS)).status == 404


# --- versions ---


async def test_versions_share_their_objects(api: Api) -> None:
    second: Doc = json.loads(json.dumps(SCHEMA))
    second["properties"]["spec"]["properties"]["note"] = {"type": "string"}
    del second["properties"]["spec"]["properties"]["mode"]
    await define(api, definition("CronTab", GROUP, version(schema={**SCHEMA}), version("v2", second)))
    newer = CRONTABS.replace("/v1/", "/v2/")
    await api.post(CRONTABS, crontab("a", mode="fast"))
    assert (await api.get(f"{newer}/a")).doc["spec"] == {"replicas": 2}
    async with api.watch(f"{newer}?watch=1") as events:
        made = await api.post(newer, crontab("b", "v2", note="hello"))
        assert made.doc["apiVersion"] == f"{GROUP}/v2"
        assert await events.take(2) == [("ADDED", "a"), ("ADDED", "b")]
    assert (await api.get(CRONTABS)).names == ["a", "b"]
    group = (await api.get(f"/apis/{GROUP}")).doc
    assert [one["version"] for one in group["versions"]] == ["v2", "v1"]


async def test_the_storage_version_can_change(api: Api) -> None:
    await define(api, definition("CronTab", GROUP, version(schema=OPEN), version("v2", OPEN)))
    await api.post(CRONTABS, crontab("a", x=1))
    found = (await api.get(f"{DEFINITIONS}/{NAME}")).doc
    for one in found["spec"]["versions"]:
        one["storage"] = one["name"] == "v2"
    changed = (await api.put(f"{DEFINITIONS}/{NAME}", found)).doc
    assert changed["status"]["storedVersions"] == ["v1", "v2"]
    newer = CRONTABS.replace("/v1/", "/v2/")

    async def stored() -> str:
        page = await api.server.storage.store.list("/registry/stable.example.com/crontabs/")
        return str(json.loads(page.items[0].value)["apiVersion"])

    before = await api.get(f"{CRONTABS}/a")
    assert before.doc["spec"] == {"x": 1}
    await eventually(lambda: _is_stored_as_another(api, "v1"))
    assert await stored() == f"{GROUP}/v1"
    # Writing what is there brings it into the new version.
    assert (await api.put(f"{newer}/a", (await api.get(f"{newer}/a")).doc)).status == 200
    assert await stored() == f"{GROUP}/v2"
    found = (await api.get(f"{DEFINITIONS}/{NAME}")).doc
    dropped = [one for one in found["spec"]["versions"] if one["name"] == "v2"]
    refused = await api.patch(f"{DEFINITIONS}/{NAME}", {"spec": {"versions": dropped}})
    assert "status.storedVersions[0]" in refused.message
    await api.patch(f"{DEFINITIONS}/{NAME}/status", {"status": {"storedVersions": ["v2"]}})
    assert (await api.patch(f"{DEFINITIONS}/{NAME}", {"spec": {"versions": dropped}})).status == 200

    async def unserved() -> bool:
        return (await api.get(CRONTABS)).status == 404

    await eventually(unserved)
    assert (await api.get(f"{newer}/a")).doc["spec"] == {"x": 1}


async def _is_stored_as_another(api: Api, version_: str) -> bool:
    kind = api.server.scheme.by_resource(GROUP, version_, "crontabs")
    return kind is not None and kind.stored is not None


async def test_a_deprecated_version_says_so(api: Api) -> None:
    await define(api, definition("CronTab", GROUP, version("v1", deprecated=True), version("v2")))
    said = f"{GROUP}/v1 CronTab is deprecated; use {GROUP}/v2 CronTab"
    assert (await api.get(CRONTABS)).warnings == [f'299 - "{said}"']


# --- names of built-in kinds ---


@pytest.mark.parametrize(
    ("kind", "scope"),
    [("TokenReview", "Cluster"), ("LocalSubjectAccessReview", "Namespaced"), ("Service", "Namespaced"), ("Namespace", "Namespaced")],
)
async def test_a_custom_kind_with_a_built_in_name_is_an_ordinary_one(api: Api, kind: str, scope: str) -> None:
    await define(api, definition(kind, "example.com", version("v1", OPEN), scope=scope))
    root = f"/apis/example.com/v1/{'' if scope == 'Cluster' else 'namespaces/default/'}{kind.lower()}s"
    made = await api.post(root, {"apiVersion": "example.com/v1", "kind": kind, "metadata": {"name": "a"}, "spec": {"token": "x"}})
    assert (made.status, made.doc["spec"]) == (201, {"token": "x"}), made.body
    assert (await api.get(root)).names == ["a"]
    removed = await api.delete(f"{root}/a")
    assert (removed.doc["kind"], removed.doc["status"]) == ("Status", "Success")
