"""Namespaces as objects: what may be changed, by which door, and what holds them."""

from __future__ import annotations

from tests.integration.apiserver.api import MERGE, STRATEGIC, Api

PATH = "/api/v1/namespaces"


async def test_a_namespace_is_patched_and_updated(api: Api) -> None:
    assert (await api.post(PATH, {"metadata": {"name": "shop"}})).status == 201
    patched = await api.patch(f"{PATH}/shop", {"metadata": {"labels": {"team": "red"}}}, STRATEGIC)
    assert patched.doc["metadata"]["labels"] == {"kubernetes.io/metadata.name": "shop", "team": "red"}
    changed = patched.doc
    changed["metadata"]["labels"]["team"] = "blue"
    updated = await api.put(f"{PATH}/shop", changed)
    assert (updated.status, (await api.get(f"{PATH}/shop")).doc["metadata"]["labels"]["team"]) == (200, "blue")
    assert (await api.put(f"{PATH}/shop", changed)).reason == "Conflict"
    assert (await api.get(f"{PATH}?labelSelector=team=blue")).names == ["shop"]


async def test_its_maker_does_not_own_the_first_status(api: Api) -> None:
    made = await api.post(PATH, {"metadata": {"name": "shop"}})
    assert made.doc["status"] == {"phase": "Active"}
    assert [list(entry["fieldsV1"]) for entry in made.doc["metadata"]["managedFields"]] == [["f:metadata"]]


async def test_its_status_has_a_door_of_its_own(api: Api) -> None:
    await api.post(PATH, {"metadata": {"name": "shop"}})
    condition = {"type": "Stocked", "status": "True", "reason": "Counted", "message": "enough"}
    patched = await api.patch(f"{PATH}/shop/status", {"status": {"conditions": [condition]}}, MERGE)
    assert (patched.status, patched.doc["status"]["phase"]) == (200, "Active")
    assert patched.doc["status"]["conditions"][0]["reason"] == "Counted"
    changed = (await api.get(f"{PATH}/shop/status")).doc
    changed["status"]["conditions"][0]["message"] = "plenty"
    changed["metadata"]["labels"]["team"] = "red"
    updated = await api.put(f"{PATH}/shop/status", changed)
    assert updated.doc["status"]["conditions"][0]["message"] == "plenty"
    assert (await api.patch(f"{PATH}/shop", {"status": {"conditions": None}})).doc["status"]["conditions"][0]["message"] == "plenty"


async def test_finalizers_of_its_spec_change_by_finalize_alone(api: Api) -> None:
    made = await api.post(PATH, {"metadata": {"name": "shop"}})
    assert made.doc["spec"]["finalizers"] == ["kubernetes"]
    changed = made.doc
    changed["spec"]["finalizers"] = ["kubernetes", "example.com/audit"]
    assert (await api.put(f"{PATH}/shop", changed)).doc["spec"]["finalizers"] == ["kubernetes"]
    changed["metadata"].pop("resourceVersion")
    held = await api.put(f"{PATH}/shop/finalize", changed)
    assert held.doc["spec"]["finalizers"] == ["kubernetes", "example.com/audit"]
    assert (await api.delete(f"{PATH}/shop")).doc["status"]["phase"] == "Terminating"
    changed["spec"]["finalizers"] = []
    assert (await api.put(f"{PATH}/shop/finalize", changed)).status == 200
    assert (await api.get(f"{PATH}/shop")).reason == "NotFound"
