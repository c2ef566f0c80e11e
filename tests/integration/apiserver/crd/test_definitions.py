"""Definitions themselves: what is refused, names, conditions, and what becomes of objects when they go."""

from __future__ import annotations

import gc
import json
import weakref
from pathlib import Path
from typing import Any

import pytest

from tests.integration.apiserver.api import Api
from tests.integration.apiserver.crd.made import (
    CRONTABS,
    DEFINITIONS,
    GROUP,
    NAME,
    OPEN,
    conditions,
    crontab,
    define,
    definition,
    gone,
    version,
)
from tiphys.store.memory import MemoryStore
from tiphys.store.sqlite.store import SqliteStore
from tiphys.testing.api_server import running_api_server
from tiphys.testing.eventually import eventually


async def test_a_definition_is_completed_established_and_served(api: Api) -> None:
    made = (await define(api, definition(shortNames=["ct"], categories=["all"]))).doc
    assert made["spec"]["names"] == {
        "plural": "crontabs",
        "singular": "crontab",
        "kind": "CronTab",
        "listKind": "CronTabList",
        "shortNames": ["ct"],
        "categories": ["all"],
    }
    assert made["spec"]["conversion"] == {"strategy": "None"}
    assert made["status"]["storedVersions"] == ["v1"]
    found = (await api.get(f"{DEFINITIONS}/{NAME}")).doc
    assert found["status"]["acceptedNames"] == found["spec"]["names"]
    assert await conditions(api) == {"NamesAccepted": ("True", "NoConflicts"), "Established": ("True", "InitialNamesAccepted")}
    assert (await api.post(CRONTABS, crontab(schedule="*"))).status == 201
    assert (await api.get(CRONTABS)).names == ["a"]


async def test_objects_go_with_their_definition(api: Api) -> None:
    await define(api, definition())
    await api.post(CRONTABS, crontab("a"))
    await api.post(CRONTABS, crontab("held", metadata={"finalizers": ["example.com/wait"]}))
    async with api.watch(f"{CRONTABS}?watch=1") as events:
        assert (await api.delete(f"{DEFINITIONS}/{NAME}")).status == 200
        await gone(api, f"{CRONTABS}/a")
        assert await conditions(api) == {
            "NamesAccepted": ("True", "NoConflicts"),
            "Established": ("True", "InitialNamesAccepted"),
            "Terminating": ("True", "InstanceDeletionInProgress"),
        }
        refused = await api.post(CRONTABS, crontab("late"))
        assert (refused.status, refused.message) == (405, "create not allowed while custom resource definition is terminating")
        assert (await api.get(CRONTABS)).names == ["held"]
        await api.patch(f"{CRONTABS}/held", {"metadata": {"finalizers": None}})
        await gone(api, f"{DEFINITIONS}/{NAME}")
        told = [(event["type"], event["object"]["metadata"]["name"]) for event in await events.rest()]
    assert ("DELETED", "a") in told
    assert told[-1] == ("DELETED", "held")
    await gone(api, CRONTABS)
    assert (await api.get(f"/apis/{GROUP}")).status == 404
    await define(api, definition())
    assert (await api.get(CRONTABS)).names == []


async def test_names_belong_to_who_came_first(api: Api) -> None:
    await define(api, definition(shortNames=["ct"]))
    second = definition("CronTab", GROUP, plural="others", singular="other", shortNames=["ct"])
    assert (await api.post(DEFINITIONS, second)).status == 201

    async def refused() -> bool:
        return await conditions(api, f"others.{GROUP}") == {
            "NamesAccepted": ("False", "ListKindConflict"),
            "Established": ("False", "NotAccepted"),
        }

    await eventually(refused)
    found = (await api.get(f"{DEFINITIONS}/others.{GROUP}")).doc
    assert found["status"]["acceptedNames"] == {"plural": "others", "singular": "other", "kind": ""}
    assert found["status"]["conditions"][0]["message"] == '"CronTabList" is already in use'
    assert (await api.get(f"/apis/{GROUP}/v1/namespaces/default/others")).status == 404
    await api.delete(f"{DEFINITIONS}/{NAME}")

    async def served() -> bool:
        return (await api.get(f"/apis/{GROUP}/v1/namespaces/default/others")).status == 200

    await eventually(served)


@pytest.mark.parametrize(
    ("path", "value", "field", "message"),
    [
        ("metadata.name", "wrong.example.com", "metadata.name", 'must be spec.names.plural+"."+spec.group'),
        ("spec.group", "example", "spec.group", "should be a domain with at least one dot"),
        ("spec.scope", "World", "spec.scope", 'supported values: "Cluster", "Namespaced"'),
        ("spec.scope", "", "spec.scope", "Required value"),
        ("spec.names.kind", "Cron_Tab", "spec.names.kind", "may have mixed case, but should otherwise match: "),
        ("spec.names.listKind", "CronTab", "spec.names.listKind", "kind and listKind may not be the same"),
        ("spec.names.shortNames", ["A"], "spec.names.shortNames[0]", "a DNS-1035 label must consist of"),
        ("spec.versions", [version(), version(storage=False)], "spec.versions", "must contain unique version names"),
        ("spec.versions", [version(storage=False)], "spec.versions", "must have exactly one version marked as storage version"),
        ("spec.versions.0.name", "V1", "spec.versions[0].name", "a DNS-1035 label must consist of"),
        ("spec.versions.0.schema", None, "spec.versions[0].schema.openAPIV3Schema", "Required value"),
        ("spec.versions.0.deprecationWarning", "old", "spec.versions[0].deprecationWarning", "can only be set for deprecated versions"),
        ("spec.preserveUnknownFields", True, "spec.preserveUnknownFields", "cannot set to true, set x-kubernetes-preserve-unknown-fields"),
        (
            "spec.versions.0.additionalPrinterColumns",
            [{"name": "A", "type": "text", "jsonPath": "spec"}],
            "spec.additionalPrinterColumns[0].type",
            "must be one of boolean,date,integer,number,string",
        ),
        (
            "spec.versions.0.subresources",
            {"scale": {"specReplicasPath": ".status.x", "statusReplicasPath": ".status.replicas"}},
            "spec.subresources.scale.specReplicasPath",
            "should be a json path under .spec",
        ),
        (
            "spec.versions.0.selectableFields",
            [{"jsonPath": ".spec.ports"}],
            "spec.selectableFields[0].jsonPath",
            "must point to a field of type string, boolean or integer.",
        ),
        (
            "spec.versions.0.selectableFields",
            [{"jsonPath": ".spec.nothing"}],
            "spec.selectableFields[0].jsonPath",
            "is an invalid path: does not refer to a valid field",
        ),
        ("spec.conversion", {"strategy": "Webhook"}, "spec.conversion.strategy", "this server does not call conversion webhooks yet"),
        ("spec.conversion", {"webhook": {"clientConfig": {}}}, "spec.conversion.webhookClientConfig", "should not be set when strategy"),
        (
            "spec.conversion",
            {"strategy": "None", "webhook": {"conversionReviewVersions": ["v1"]}},
            "spec.conversion.conversionReviewVersions",
            "should not be set when strategy",
        ),
        ("spec.versions.0.schema.openAPIV3Schema.type", "", "spec.validation.openAPIV3Schema.type", "must not be empty at the root"),
        (
            "spec.versions",
            [version(), version(name="v2", storage=False, schema={"openAPIV3Schema": {"type": ""}})],
            "spec.versions[1].schema.openAPIV3Schema.type",
            "must not be empty at the root",
        ),
        ("spec.conversion", {"strategy": "Magic"}, "spec.conversion.strategy", 'supported values: "None", "Webhook"'),
    ],
)
async def test_mistakes_of_a_definition(api: Api, path: str, value: object, field: str, message: str) -> None:
    wrong = definition()
    *above, last = path.split(".")
    place: Any = wrong
    for name in above:
        place = place[int(name)] if isinstance(place, list) else place[name]
    place[last] = value
    refused = await api.post(DEFINITIONS, wrong)
    assert (refused.status, refused.reason) == (422, "Invalid")
    causes = {cause["field"]: cause["message"] for cause in refused.doc["details"]["causes"]}
    assert message in causes[field], causes


@pytest.mark.parametrize("where", ["items", "additionalProperties"])
async def test_rejects_documents_that_are_no_schema(api: Api, where: str) -> None:
    inner = {"type": "object", "properties": {"a": 5}}
    spec = {
        "type": "array" if where == "items" else "object",
        where: {"type": "object", "properties": {"b": {"type": "array", "items": inner}}},
    }
    refused = await api.post(DEFINITIONS, definition("CronTab", GROUP, version(schema={"type": "object", "properties": {"spec": spec}})))
    assert (refused.status, refused.reason) == (400, "BadRequest")
    assert "json: cannot unmarshal number into Go struct field JSONSchemaProps" in refused.message
    deep: Any = {"type": "string"}
    for _ in range(300):
        deep = {"type": "array", "items": deep}
    wanted = definition("CronTab", GROUP, version(schema={"type": "object", "properties": {"spec": deep}}))
    assert (await api.post(DEFINITIONS, wanted)).status in (201, 400)


async def test_a_schema_is_the_same_when_it_is_sent_again(api: Api) -> None:
    items = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 3}}, "odd": 1}
    made = definition("CronTab", GROUP, version(schema={"type": "object", "properties": {"spec": {"type": "array", "items": items}}}))
    await define(api, made)
    found = (await api.get(f"{DEFINITIONS}/{NAME}")).doc
    assert "odd" not in found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["items"]
    again = (await api.patch(f"{DEFINITIONS}/{NAME}", {"spec": made["spec"]})).doc
    assert again["metadata"]["generation"] == 1


async def test_groups_of_the_community_need_approval(api: Api) -> None:
    wanted = definition("Thing", "mine.k8s.io")
    refused = await api.post(DEFINITIONS, wanted)
    assert refused.doc["details"]["causes"][0]["field"] == "metadata.annotations[api-approved.kubernetes.io]"
    wanted["metadata"]["annotations"] = {"api-approved.kubernetes.io": "unapproved, a test"}
    await define(api, wanted)
    said = await conditions(api, "things.mine.k8s.io")
    assert said["KubernetesAPIApprovalPolicyConformant"] == ("False", "UnapprovedAnnotation")


async def test_an_established_definition_keeps_its_scope_and_kind(api: Api) -> None:
    await define(api, definition())
    found = (await api.get(f"{DEFINITIONS}/{NAME}")).doc
    found["spec"]["scope"] = "Cluster"
    found["spec"]["names"]["kind"] = "Tab"
    found["spec"]["names"]["plural"] = "tabs"
    refused = await api.put(f"{DEFINITIONS}/{NAME}", found)
    fields = {cause["field"] for cause in refused.doc["details"]["causes"]}
    assert {"spec.scope", "spec.names.kind", "spec.names.plural"} <= fields


async def test_rules_that_nobody_evaluates_are_told(api: Api) -> None:
    schema = {**OPEN, "x-kubernetes-validations": [{"rule": "self.spec.a > 1", "message": "too little"}]}
    made = await define(api, definition("CronTab", GROUP, version(schema=schema)))
    assert made.warnings == [
        '299 - "spec.versions[0].schema.openAPIV3Schema: x-kubernetes-validations are kept and published, but this server does not'
        ' evaluate them yet"'
    ]


async def test_unknown_formats_are_told(api: Api) -> None:
    schema = {"type": "object", "properties": {"spec": {"type": "string", "format": "tea"}}}
    assert (await define(api, definition("CronTab", GROUP, version(schema=schema)))).warnings == ['299 - "unrecognized format \\"tea\\""']


async def test_definitions_and_objects_survive_a_restart(keys: Path, tmp_path: Path) -> None:
    async with running_api_server(keys, store=SqliteStore(tmp_path / "state.db")) as (server, _):
        api = Api(server)
        await define(api, definition())
        await api.post(CRONTABS, crontab("a", schedule="*"))
    async with running_api_server(keys, store=SqliteStore(tmp_path / "state.db")) as (server, _):
        assert (await Api(server).get(f"{CRONTABS}/a")).doc["spec"] == {"schedule": "*", "replicas": 2}


class _Lent(MemoryStore):
    """A store that somebody else starts and closes."""

    def __init__(self, owner: MemoryStore) -> None:
        self.__dict__ = owner.__dict__

    async def start(self) -> None:
        return None

    async def close(self) -> None:
        return None


async def test_two_servers_on_one_store_serve_the_same(keys: Path) -> None:
    store = MemoryStore()
    async with running_api_server(keys, store=store) as (first, _), running_api_server(keys, store=_Lent(store)) as (second, _):
        one, other = Api(first), Api(second)
        await define(one, definition())
        await eventually(lambda: _served(other))
        await one.post(CRONTABS, crontab("a"))
        await eventually(lambda: _listed(other, ["a"]))
        changed = (await other.get(f"{DEFINITIONS}/{NAME}")).doc
        changed["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = OPEN
        assert (await other.put(f"{DEFINITIONS}/{NAME}", changed)).status == 200

        async def kept() -> bool:
            made = (await one.post(f"{CRONTABS}?dryRun=All", crontab("b", free=1))).doc
            return bool(made["spec"] == {"free": 1})

        await eventually(kept)
        await other.delete(f"{DEFINITIONS}/{NAME}")
        await gone(one, CRONTABS)
        await gone(other, CRONTABS)


async def _served(api: Api) -> bool:
    return (await api.get(CRONTABS)).status == 200


async def _listed(api: Api, names: list[str]) -> bool:
    return (await api.get(CRONTABS)).names == names


async def test_a_kind_that_is_gone_leaves_nothing_behind(api: Api) -> None:
    before = list(api.server.scheme)
    caches = len(list(api.server.storage.caches()))
    await define(api, definition("CronTab", GROUP, version(), version("v2")))
    assert len(list(api.server.scheme)) == len(before) + 2
    await api.delete(f"{DEFINITIONS}/{NAME}")
    await gone(api, CRONTABS)
    assert list(api.server.scheme) == before
    assert len(list(api.server.storage.caches())) == caches


async def test_the_types_of_a_kind_that_is_gone_are_gone(api: Api) -> None:
    await define(api, definition("CronTab", GROUP, version(), version("v2")))
    await api.post(CRONTABS, crontab("a"))
    await api.patch(f"{CRONTABS}/a", {"spec": {"replicas": 3}})
    await api.get(CRONTABS.replace("/v1/", "/v2/"))
    await api.get("/openapi/v2")
    kinds = [api.server.scheme.by_resource(GROUP, name, "crontabs") for name in ("v1", "v2")]
    types = [weakref.ref(kind.type) for kind in kinds if kind is not None]
    del kinds
    await api.delete(f"{DEFINITIONS}/{NAME}")
    await gone(api, f"{DEFINITIONS}/{NAME}")
    await gone(api, CRONTABS)
    await api.get("/openapi/v2")

    def forgotten() -> bool:
        gc.collect()
        return len(types) == 2 and all(type_() is None for type_ in types)

    await eventually(forgotten)


async def test_numbers_of_a_schema_are_as_they_were_sent(api: Api) -> None:
    """A whole number has no fraction, after writes of the status too."""
    limits = {"type": "object", "properties": {"port": {"type": "integer", "minimum": 1, "maximum": 65535, "multipleOf": 1}}}
    made = (await define(api, definition("CronTab", GROUP, version(schema=limits)))).doc
    for doc in (made, (await api.get(f"{DEFINITIONS}/{NAME}")).doc):
        port = doc["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["port"]
        assert json.dumps([port["minimum"], port["maximum"], port["multipleOf"]]) == "[1, 65535, 1]"
