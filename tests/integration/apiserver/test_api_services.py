"""API services over the API."""

from __future__ import annotations

from tests.integration.apiserver.api import Api, Doc
from tiphys.testing.eventually import eventually

PATH = "/apis/apiregistration.k8s.io/v1/apiservices"


async def _available(api: Api, name: str) -> Doc:
    conditions: list[Doc] = (await api.get(f"{PATH}/{name}")).doc["status"].get("conditions", [])
    return next((condition for condition in conditions if condition["type"] == "Available"), {})


async def test_every_group_version_has_one(api: Api) -> None:
    services = {item["metadata"]["name"]: item for item in (await api.get(PATH)).doc["items"]}
    groups = (await api.get("/apis")).doc["groups"]
    served = {f"{version['version']}.{group['name']}" for group in groups for version in group["versions"]}
    assert set(services) == served - {"v1.apiregistration.k8s.io"} | {"v1."}
    condition = await _available(api, "v1.apps")
    assert (condition["status"], condition["reason"], condition["message"]) == ("True", "Local", "Local APIServices are always available")
    assert condition["lastTransitionTime"]


async def test_one_that_is_deleted_comes_back(api: Api) -> None:
    assert (await api.delete(f"{PATH}/v1.batch")).status == 200
    await eventually(lambda: _exists(api, "v1.batch"))


async def _exists(api: Api, name: str) -> bool:
    return (await api.get(f"{PATH}/{name}")).status == 200


async def test_others_are_said_to_be_unavailable(api: Api) -> None:
    spec: Doc = {"group": "metrics.example.com", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 100}
    service = {"namespace": "a", "name": "b"}
    doc = {"metadata": {"name": "v1.metrics.example.com"}, "spec": {**spec, "service": service, "insecureSkipTLSVerify": True}}
    assert (await api.post(PATH, doc)).status == 201
    condition = await eventually(lambda: _available(api, "v1.metrics.example.com"))
    assert (condition["status"], condition["reason"]) == ("False", "AggregationUnsupported")
    assert "service/a/b" in condition["message"]
    changed = await api.patch(f"{PATH}/v1.metrics.example.com/status", {"status": {"conditions": [{"type": "Mine", "status": "True"}]}})
    assert changed.status == 200
    await eventually(lambda: _has_both(api))
    assert (await api.delete(f"{PATH}/v1.metrics.example.com")).status == 200


async def _has_both(api: Api) -> bool:
    conditions = (await api.get(f"{PATH}/v1.metrics.example.com/status")).doc["status"]["conditions"]
    return {condition["type"] for condition in conditions} == {"Mine", "Available"}


async def test_they_come_and_go_with_custom_resources(api: Api) -> None:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    versions = [
        {"name": name, "served": True, "storage": name == "v1", "schema": {"openAPIV3Schema": schema}} for name in ("v1", "v1beta1")
    ]
    names = {"plural": "boats", "singular": "boat", "kind": "Boat", "listKind": "BoatList"}
    definition = {
        "metadata": {"name": "boats.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": names, "versions": versions},
    }
    made = await api.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
    assert made.status == 201, made.body
    for name in ("v1.example.com", "v1beta1.example.com"):
        await eventually(lambda name=name: _exists(api, name))  # type: ignore[misc]
        found = (await api.get(f"{PATH}/{name}")).doc
        assert found["metadata"]["labels"] == {"kube-aggregator.kubernetes.io/automanaged": "true"}
        assert (found["spec"]["groupPriorityMinimum"], found["spec"]["versionPriority"]) == (1000, 100)
        assert (await _available(api, name))["status"] == "True"
    assert (await api.delete("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/boats.example.com")).status == 200
    await eventually(lambda: _is_gone(api, "v1.example.com"))
    await eventually(lambda: _is_gone(api, "v1beta1.example.com"))


async def _is_gone(api: Api, name: str) -> bool:
    return (await api.get(f"{PATH}/{name}")).status == 404
