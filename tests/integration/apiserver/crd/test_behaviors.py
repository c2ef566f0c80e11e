"""Custom resources as the conformance suite uses them: one test for each family of its behaviors."""

from __future__ import annotations

import copy
import json
from typing import Any

from tests.integration.apiserver.api import MERGE, Api, Doc
from tests.integration.apiserver.crd.made import CRONTABS, DEFINITIONS, GROUP, NAME, OPEN, crontab, define, definition, gone, version
from tests.integration.apiserver.test_discovery import AGGREGATED
from tiphys.testing.eventually import eventually

V3 = f"/openapi/v3/apis/{GROUP}"
APPLY = "application/apply-patch+yaml"


async def schemas(api: Api, group: str = GROUP, name: str = "v1") -> Doc:
    """Return the schemas that /openapi/v3 publishes of a version, by name; none while it is not served."""
    found = await api.get(f"/openapi/v3/apis/{group}/{name}")
    return dict(found.doc["components"]["schemas"]) if found.status == 200 else {}


async def published(api: Api, kind: str = "CronTab", group: str = GROUP, name: str = "v1") -> Doc:
    """The published schema of a custom resource, the same in both documents; {} while there is none."""
    known = f"{'.'.join(reversed(group.split('.')))}.{name}.{kind}"
    third = (await schemas(api, group, name)).get(known, {})
    second = (await api.get("/openapi/v2")).doc["definitions"].get(known, {})
    assert (third == {}) == (second == {})
    return dict(third)


async def test_definitions_are_listed_watched_changed_and_deleted_together(api: Api) -> None:
    async with api.watch(f"{DEFINITIONS}?watch=1") as events:
        for kind in ("CronTab", "Timer"):
            made = definition(kind)
            made["metadata"]["labels"] = {"suite": "a"}
            await define(api, made)
        assert ("ADDED", NAME) in await events.take(1)
        assert (await api.get(f"{DEFINITIONS}?labelSelector=suite=a")).names == [NAME, f"timers.{GROUP}"]
        patched = await api.patch(f"{DEFINITIONS}/{NAME}", {"metadata": {"annotations": {"a": "b"}}})
        assert patched.doc["metadata"]["annotations"] == {"a": "b"}
        assert (await api.delete(f"{DEFINITIONS}?labelSelector=suite=a")).status == 200
        await gone(api, f"{DEFINITIONS}/{NAME}")
        await gone(api, f"{DEFINITIONS}/timers.{GROUP}")


async def test_the_status_of_a_definition_is_read_updated_and_patched(api: Api) -> None:
    await define(api, definition())
    read = (await api.get(f"{DEFINITIONS}/{NAME}/status")).doc
    condition = {"type": "Tried", "status": "True", "reason": "Test", "message": "by hand", "lastTransitionTime": "2026-01-02T03:04:05Z"}
    read["status"]["conditions"].append(condition)
    updated = await api.put(f"{DEFINITIONS}/{NAME}/status", read)
    assert updated.doc["status"]["conditions"][-1]["type"] == "Tried"
    conditions = [{**one, "message": "patched"} for one in updated.doc["status"]["conditions"]]
    patched = await api.patch(f"{DEFINITIONS}/{NAME}/status", {"status": {"conditions": conditions}}, MERGE)
    assert {one["message"] for one in patched.doc["status"]["conditions"]} == {"patched"}


async def test_objects_are_watched_one_by_one(api: Api) -> None:
    await define(api, definition())
    async with api.watch(f"{CRONTABS}?watch=1&fieldSelector=metadata.name=a") as first, api.watch(f"{CRONTABS}?watch=1") as every:
        await api.post(CRONTABS, crontab("a"))
        await api.post(CRONTABS, crontab("b"))
        await api.patch(f"{CRONTABS}/a", {"spec": {"schedule": "*"}})
        await api.delete(f"{CRONTABS}/b")
        await api.delete(f"{CRONTABS}/a")
        assert await first.take(3) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
        assert await every.take(5) == [("ADDED", "a"), ("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "b"), ("DELETED", "a")]


async def test_defaults_are_for_requests_and_for_what_was_stored_before(api: Api) -> None:
    plain = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}
    await define(api, definition("CronTab", GROUP, version(schema=plain)))
    assert (await api.post(CRONTABS, crontab("old"))).doc["spec"] == {}
    changed = (await api.get(f"{DEFINITIONS}/{NAME}")).doc
    size = changed["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["size"]
    size["default"] = 3
    assert (await api.put(f"{DEFINITIONS}/{NAME}", changed)).status == 200

    async def defaulted() -> bool:
        return bool((await api.get(f"{CRONTABS}/old")).doc["spec"] == {"size": 3})

    await eventually(defaulted)
    assert (await api.post(CRONTABS, crontab("new"))).doc["spec"] == {"size": 3}
    assert [item["spec"] for item in (await api.get(CRONTABS)).doc["items"]] == [{"size": 3}, {"size": 3}]


async def test_every_form_of_discovery_has_them(api: Api) -> None:
    definitions = (await api.get("/apis/apiextensions.k8s.io/v1")).doc["resources"]
    assert {"customresourcedefinitions", "customresourcedefinitions/status"} <= {resource["name"] for resource in definitions}
    await define(api, definition("CronTab", GROUP, version(), version("v2"), shortNames=["ct"], categories=["all"]))
    assert GROUP in [group["name"] for group in (await api.get("/apis")).doc["groups"]]
    assert (await api.get(f"/apis/{GROUP}")).doc["preferredVersion"]["version"] == "v2"
    for name in ("v1", "v2"):
        (resource,) = (await api.get(f"/apis/{GROUP}/{name}")).doc["resources"]
        assert (resource["name"], resource["kind"], resource["shortNames"], resource["categories"]) == (
            "crontabs",
            "CronTab",
            ["ct"],
            ["all"],
        )
        assert resource["namespaced"] is True
        assert set(resource["verbs"]) == {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
    (group,) = (g for g in (await api.get("/apis", accept=AGGREGATED)).doc["items"] if g["metadata"]["name"] == GROUP)
    assert [entry["version"] for entry in group["versions"]] == ["v2", "v1"]
    (resource,) = group["versions"][0]["resources"]
    assert (resource["resource"], resource["scope"], resource["responseKind"]["kind"]) == ("crontabs", "Namespaced", "CronTab")
    await api.delete(f"{DEFINITIONS}/{NAME}")
    await gone(api, f"/apis/{GROUP}")
    assert GROUP not in [g["metadata"].get("name") for g in (await api.get("/apis", accept=AGGREGATED)).doc["items"]]


async def test_selectable_fields_narrow_lists_and_watches(api: Api) -> None:
    fields = [{"jsonPath": ".spec.mode"}]
    await define(api, definition("CronTab", GROUP, version(selectableFields=fields)))
    for name, mode in (("a", "fast"), ("b", "slow"), ("c", "fast")):
        await api.post(CRONTABS, crontab(name, mode=mode))
    assert (await api.get(f"{CRONTABS}?fieldSelector=spec.mode=fast")).names == ["a", "c"]
    assert (await api.get(f"{CRONTABS}?fieldSelector=spec.mode!=fast")).names == ["b"]
    assert (await api.get(f"{CRONTABS}?fieldSelector=spec.schedule=x")).status == 400
    async with api.watch(f"{CRONTABS}?watch=1&fieldSelector=spec.mode=slow") as events:
        assert await events.take(1) == [("ADDED", "b")]
        await api.patch(f"{CRONTABS}/a", {"spec": {"mode": "slow"}})
        await api.patch(f"{CRONTABS}/b", {"spec": {"mode": "fast"}})
        assert await events.take(2) == [("ADDED", "a"), ("DELETED", "b")]


async def test_schemas_are_published_with_their_rules(api: Api) -> None:
    await define(api, definition())

    async def there() -> bool:
        return bool(await published(api))

    await eventually(there)
    found = await published(api)
    assert found["properties"]["spec"]["properties"]["schedule"]["pattern"] == "^[a-z*]"
    assert found["properties"]["apiVersion"]["type"] == found["properties"]["kind"]["type"] == "string"
    assert found["properties"]["apiVersion"]["description"].startswith("APIVersion defines")
    assert found["properties"]["metadata"]["description"].startswith("Standard object's metadata")
    assert found["x-kubernetes-group-version-kind"] == [{"group": GROUP, "kind": "CronTab", "version": "v1"}]


async def test_schemas_without_rules_keep_everything(api: Api) -> None:
    embedded = {"type": "object", "properties": {"spec": {"x-kubernetes-embedded-resource": True, **OPEN}}}
    empty: Doc = {"type": "object"}
    for kind, schema in (("Root", OPEN), ("Inner", embedded), ("Empty", empty)):
        await define(api, definition(kind, GROUP, version(schema=schema)))

    async def there() -> bool:
        return all([await published(api, kind) for kind in ("Root", "Inner", "Empty")])

    await eventually(there)
    assert (await published(api, "Root"))["x-kubernetes-preserve-unknown-fields"] is True
    second = (await api.get("/openapi/v2")).doc["definitions"]["com.example.stable.v1.Root"]
    assert set(second) <= {"type", "description", "x-kubernetes-group-version-kind"}
    assert (await published(api, "Inner"))["properties"]["spec"]["x-kubernetes-preserve-unknown-fields"] is True
    assert (await published(api, "Empty"))["type"] == "object"
    made = {"apiVersion": f"{GROUP}/v1", "kind": "Root", "metadata": {"name": "a"}, "any": {"thing": [1]}}
    assert (await api.post(f"/apis/{GROUP}/v1/namespaces/default/roots", made)).doc["any"] == {"thing": [1]}


async def test_many_definitions_are_published_side_by_side(api: Api) -> None:
    await define(api, definition("CronTab", GROUP, version(), version("v2")))
    await define(api, definition("Timer"))
    await define(api, definition("CronTab", "other.example.com"))

    async def there() -> bool:
        both = {name: await schemas(api, name=name) for name in ("v1", "v2")}
        return (
            {"com.example.stable.v1.CronTab", "com.example.stable.v1.Timer"} <= set(both["v1"])
            and "com.example.stable.v2.CronTab" in both["v2"]
            and "com.example.other.v1.CronTab" in await schemas(api, "other.example.com")
        )

    await eventually(there)


async def test_published_schemas_follow_the_versions(api: Api) -> None:
    await define(api, definition("CronTab", GROUP, version(), version("v2")))

    async def change(*versions: Doc) -> None:
        found = (await api.get(f"{DEFINITIONS}/{NAME}")).doc
        found["spec"]["versions"] = [copy.deepcopy(one) for one in versions]
        answer = await api.put(f"{DEFINITIONS}/{NAME}", found)
        assert answer.status == 200, answer.body

    async def names() -> list[str]:
        return [name for name in ("v1", "v2", "v3") if await published(api, name=name)]

    async def are(*expected: str) -> None:
        async def they_are() -> bool:
            return await names() == list(expected)

        await eventually(they_are)

    await are("v1", "v2")
    await change(version(), version("v3"))
    await are("v1", "v3")
    await change(version(), version("v3", served=False))
    await are("v1")


async def strict(api: Api, body: Any, how: str = "Strict") -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await api.send("POST", f"{CRONTABS}?fieldValidation={how}", data)


async def test_unknown_and_repeated_fields_are_told(api: Api) -> None:
    await define(api, definition())
    refused = await strict(api, {**crontab("a", foo="bar"), "extra": 1})
    assert (refused.status, refused.reason) == (400, "BadRequest")
    assert 'unknown field "spec.foo"' in refused.message
    assert 'unknown field "extra"' in refused.message
    warned = await strict(api, crontab("a", foo="bar"), "Warn")
    assert (warned.status, warned.warnings) == (201, ['299 - "unknown field \\"spec.foo\\""'])
    assert "foo" not in warned.doc["spec"]
    assert (await strict(api, crontab("b", schedule="*"))).status == 201
    applied = await api.patch(f"{CRONTABS}/c?fieldManager=me&fieldValidation=Strict", crontab("c", schedule="*"), APPLY)
    assert applied.status == 201
    wrong = await api.patch(f"{CRONTABS}/c?fieldManager=me&fieldValidation=Strict", crontab("c", foo="*"), APPLY)
    assert wrong.status in (400, 500)
    assert ".spec.foo: field not declared in schema" in wrong.message


async def test_open_schemas_still_report_repeated_fields_and_unknown_metadata(api: Api) -> None:
    await define(api, definition("CronTab", GROUP, version(schema=OPEN)))
    assert (await strict(api, {**crontab("a", anything=1), "more": 2})).doc["more"] == 2
    head = f'"apiVersion":"{GROUP}/v1","kind":"CronTab"'
    repeated = f'{{{head},"metadata":{{"name":"b"}},"spec":{{"x":1,"x":2}}}}'
    assert 'duplicate field "spec.x"' in (await strict(api, repeated.encode())).message
    metadata = f'{{{head},"metadata":{{"name":"b","unknownMeta":"x"}}}}'
    refused = await strict(api, metadata.encode())
    assert 'unknown field "metadata.unknownMeta"' in refused.message
    assert (await api.send("POST", f"{CRONTABS}?fieldValidation=Ignore", metadata.encode())).status == 201
