"""Operations of the conformance suite on every kind of an API group: discovery, and each verb ("should support ... API operations")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.integration.apiserver.api import Api, Doc, summary

CONDITION = {"type": "Seen", "status": "False", "reason": "E2E", "message": "set by a test", "lastTransitionTime": "2026-01-01T00:00:00Z"}


async def is_discovered(api: Api, group: str, version: str, *resources: str) -> None:
    """The group and its resources are in all three discovery documents."""
    groups = {found["name"]: found for found in (await api.get("/apis")).doc["groups"]}
    assert version in {found["version"] for found in groups[group]["versions"]}
    assert version in {found["version"] for found in (await api.get(f"/apis/{group}")).doc["versions"]}
    served = {found["name"] for found in (await api.get(f"/apis/{group}/{version}")).doc["resources"]}
    assert served >= set(resources)


async def supports_all_verbs(api: Api, path: str, template: Doc, change: Mapping[str, Any], *, status: bool) -> None:
    """create, get, list, watch, patch, update, their status variants, delete and deletecollection.

    `change` is a merge patch of the spec or of whatever the kind has instead of one.
    """
    selector = "labelSelector=test%3Doperations"
    template = {**template, "metadata": {"generateName": "operations-", "labels": {"test": "operations"}}}
    for _ in range(2):
        assert (await api.post(path, template)).status == 201
    created = await api.post(path, template)
    assert created.status == 201, created.body
    one = f"{path}/{created.doc['metadata']['name']}"
    read = await api.get(one)
    assert read.doc["metadata"]["uid"] == created.doc["metadata"]["uid"]
    listed = await api.get(f"{path}?{selector}")
    assert len(listed.doc["items"]) == 3
    async with api.watch(f"{path}?watch=true&resourceVersion={listed.version}&{selector}") as events:
        patched = await api.patch(one, {"metadata": {"annotations": {"patched": "true"}}, **change})
        assert patched.status == 200, patched.body
        assert patched.doc["metadata"]["annotations"]["patched"] == "true"
        assert int(patched.version) > int(created.version)
        _assert_has(patched.doc, change)
        changed = patched.doc
        changed["metadata"]["annotations"]["updated"] = "true"
        updated = await api.put(one, changed)
        assert updated.doc["metadata"]["annotations"]["updated"] == "true"
        event = await events.next()
        assert event is not None
        assert summary(event)[0] == "MODIFIED"
        assert event["object"]["metadata"]["annotations"]["patched"] == "true"
    if status:
        await _supports_status(api, one)
    assert (await api.delete(one)).status == 200
    assert (await api.get(one)).status == 404
    assert len((await api.get(f"{path}?{selector}")).doc["items"]) == 2
    assert (await api.delete(f"{path}?{selector}")).status == 200
    assert (await api.get(f"{path}?{selector}")).doc["items"] == []


def _assert_has(found: Any, wanted: Any) -> None:
    """Everything in a merge patch is in the object."""
    if isinstance(wanted, Mapping):
        for key, value in wanted.items():
            _assert_has(found[key], value)
    elif isinstance(wanted, list) and wanted and isinstance(wanted[0], Mapping):
        for index, value in enumerate(wanted):
            _assert_has(found[index], value)
    else:
        assert found == wanted


async def _supports_status(api: Api, one: str) -> None:
    read = await api.get(f"{one}/status")
    assert read.status == 200
    patched = await api.patch(f"{one}/status", {"status": {"conditions": [CONDITION]}})
    assert patched.status == 200, patched.body
    assert [condition["type"] for condition in patched.doc["status"]["conditions"]] == ["Seen"]
    changed = patched.doc
    changed["status"]["conditions"].append({**CONDITION, "type": "Other"})
    updated = await api.put(f"{one}/status", changed)
    assert [condition["type"] for condition in updated.doc["status"]["conditions"]] == ["Seen", "Other"]
    assert updated.doc.get("spec") == read.doc.get("spec")
