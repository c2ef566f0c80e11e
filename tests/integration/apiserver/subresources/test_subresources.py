"""status, scale, binding, eviction, token: what they change and what they leave alone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.integration.apiserver.api import JSON_PATCH, NS, PODS, Api, deployment, pod

DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
BUDGETS = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
SCALE = f"{DEPLOYMENTS}/d/scale"


async def test_a_status_update_changes_nothing_else(api: Api) -> None:
    made = (await api.post(PODS, pod("a"))).doc
    made["status"] = {"phase": "Running", "podIP": "10.42.0.9"}
    made["metadata"]["labels"] = {"from": "status"}
    made["spec"]["containers"][0]["image"] = "registry.example/other:1"
    answer = await api.put(f"{PODS}/a/status", made)
    assert answer.status == 200
    assert answer.doc["status"]["podIP"] == "10.42.0.9"
    assert answer.doc["spec"]["containers"][0]["image"] == "registry.example/web:1"
    assert (await api.get(f"{PODS}/a/status")).doc == answer.doc


async def test_scale(api: Api) -> None:
    await api.post(DEPLOYMENTS, deployment("d", replicas=2))
    read = (await api.get(SCALE)).doc
    assert (read["kind"], read["apiVersion"]) == ("Scale", "autoscaling/v1")
    assert (read["spec"], read["status"]["selector"]) == ({"replicas": 2}, "app=d")
    put = await api.put(SCALE, {**read, "spec": {"replicas": 3}})
    assert (put.status, put.doc["spec"]["replicas"]) == (200, 3)
    assert (await api.put(SCALE, {**read, "spec": {"replicas": 4}})).reason == "Conflict"
    assert (await api.patch(SCALE, {"spec": {"replicas": 5}})).doc["spec"]["replicas"] == 5
    steps = [{"op": "replace", "path": "/spec/replicas", "value": 6}]
    assert (await api.patch(SCALE, steps, JSON_PATCH)).doc["spec"]["replicas"] == 6
    scaled = (await api.get(f"{DEPLOYMENTS}/d")).doc
    assert (scaled["spec"]["replicas"], scaled["metadata"]["generation"]) == (6, 4)
    negative = await api.patch(SCALE, {"spec": {"replicas": -1}})
    assert (negative.status, negative.reason, negative.doc["details"]["kind"]) == (422, "Invalid", "Scale")
    assert (await api.send("PATCH", f"{SCALE}?dryRun=All", b'{"spec":{"replicas":9}}', content_type="application/merge-patch+json")).doc[
        "spec"
    ] == {"replicas": 9}
    assert (await api.get(SCALE)).doc["spec"]["replicas"] == 6
    assert (await api.get(f"{DEPLOYMENTS}/none/scale")).reason == "NotFound"
    assert (await api.get(f"{SCALE}?resourceVersion=abc")).status == 400
    assert (await api.get(f"{SCALE}?resourceVersion=999999999")).status == 504


def binding(node: str = "n1", **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "a", **more}, "target": {"kind": "Node", "name": node}}


async def test_binding(api: Api) -> None:
    await api.post("/api/v1/nodes", {"metadata": {"name": "n1", "labels": {"topology.kubernetes.io/zone": "z"}}})
    made = (await api.post(PODS, pod("a"))).doc
    assert (await api.post(f"{PODS}/a/binding", {**binding(), "target": {"kind": "House", "name": ""}})).status == 422
    assert (await api.post(f"{PODS}/a/binding", {**binding(), "metadata": {"name": "b"}})).message == (
        "name in URL does not match name in Binding object"
    )
    assert (await api.post(f"{PODS}/a/binding", binding(resourceVersion="1"))).reason == "Conflict"
    await api.patch(f"{PODS}/a/status", {"status": {"nominatedNodeName": "n1"}})
    assert (await api.post(f"{PODS}/a/binding", binding(uid="another"))).reason == "Conflict"
    assert (await api.post(f"{PODS}/none/binding", {**binding(), "metadata": {"name": "none"}})).reason == "NotFound"
    bound = await api.post(f"{PODS}/a/binding", binding(uid=made["metadata"]["uid"], annotations={"chosen": "well"}))
    assert (bound.status, bound.doc["status"]) == (201, "Success")
    pod_ = (await api.get(f"{PODS}/a")).doc
    assert (pod_["spec"]["nodeName"], pod_["metadata"]["annotations"]) == ("n1", {"chosen": "well"})
    assert pod_["metadata"]["labels"]["topology.kubernetes.io/zone"] == "z"
    assert "nominatedNodeName" not in pod_["status"]
    again = await api.post(f"{PODS}/a/binding", binding("n2"))
    assert (again.status, again.reason) == (409, "Conflict")
    assert 'pod a is already assigned to node "n1"' in again.message


async def test_binding_beside_pods(api: Api) -> None:
    await api.post(PODS, pod("a"))
    bindings = "/api/v1/namespaces/default/bindings"
    assert (await api.post(bindings, {**binding(), "metadata": {}})).reason == "Invalid"
    assert (await api.post(bindings, {**binding(), "metadata": {"name": "none"}})).reason == "NotFound"
    assert (await api.post(bindings, binding())).status == 201
    assert (await api.get(f"{PODS}/a")).doc["spec"]["nodeName"] == "n1"
    assert (await api.post(bindings, binding("n2"))).reason == "Conflict"
    assert (await api.get(bindings)).reason == "MethodNotAllowed"


@pytest.fixture
async def budget(api: Api) -> dict[str, Any]:
    """Five running pods of which two may go."""
    for n in range(5):
        await api.post(PODS, pod(f"p{n}", node="n1", labels={"app": "web"}))
        ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        assert (await api.patch(f"{PODS}/p{n}/status", {"status": ready})).status == 200
    spec = {"minAvailable": 3, "selector": {"matchLabels": {"app": "web"}}}
    made = await api.post(BUDGETS, {"metadata": {"name": "b"}, "spec": spec})
    assert made.status == 201
    status = {"disruptionsAllowed": 2, "currentHealthy": 5, "desiredHealthy": 3, "expectedPods": 5, "observedGeneration": 1}
    answer = await api.patch(f"{BUDGETS}/b/status", {"status": status})
    assert answer.status == 200
    return answer.doc


def eviction(name: str, **options: Any) -> dict[str, Any]:
    return {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}, "deleteOptions": options or None}


async def evict(api: Api, name: str, **options: Any) -> Any:
    return await api.post(f"{PODS}/{name}/eviction", eviction(name, **options))


async def test_a_budget_is_spent_and_not_overdrawn_in_a_race(api: Api, budget: dict[str, Any]) -> None:
    answers = await asyncio.gather(*(evict(api, f"p{n}") for n in range(5)))
    assert sorted(answer.status for answer in answers) == [201, 201, 429, 429, 429]
    going = [item for item in (await api.get(PODS)).doc["items"] if "deletionTimestamp" in item["metadata"]]
    assert len(going) == 2
    status = (await api.get(f"{BUDGETS}/b")).doc["status"]
    assert status.get("disruptionsAllowed", 0) == 0
    assert set(status["disruptedPods"]) == {item["metadata"]["name"] for item in going}
    refused = next(answer for answer in answers if answer.status == 429)
    assert refused.reason == "TooManyRequests"
    assert refused.message == "Cannot evict pod as it would violate the pod's disruption budget."
    (cause,) = refused.doc["details"]["causes"]
    assert cause["reason"] == "DisruptionBudget"
    assert "needs 3 healthy pods and has 5 currently" in cause["message"]


async def test_a_dry_eviction_spends_nothing(api: Api, budget: dict[str, Any]) -> None:
    assert (await evict(api, "p0", dryRun=["All"])).status == 201
    assert (await api.get(f"{BUDGETS}/b")).doc == budget
    assert "deletionTimestamp" not in (await api.get(f"{PODS}/p0")).doc["metadata"]


async def test_a_budget_that_is_behind_says_when_to_come_again(api: Api, budget: dict[str, Any]) -> None:
    await api.patch(f"{BUDGETS}/b", {"spec": {"minAvailable": 4}})
    refused = await evict(api, "p0")
    assert (refused.status, refused.headers["Retry-After"]) == (429, "10")


async def test_pods_that_no_budget_counts_may_go(api: Api, budget: dict[str, Any]) -> None:
    await api.patch(f"{BUDGETS}/b/status", {"status": {"disruptionsAllowed": 0}})
    await api.post(PODS, pod("done", node="n1", labels={"app": "web"}))
    await api.patch(f"{PODS}/done/status", {"status": {"phase": "Succeeded"}})
    assert (await evict(api, "done")).status == 201
    unready = {"conditions": [{"type": "Ready", "status": "False"}]}
    await api.patch(f"{PODS}/p0/status", {"status": unready})
    assert (await evict(api, "p0")).status == 201  # More are healthy than must be, and this one is not among them.
    assert (await evict(api, "p1")).status == 429
    assert (await evict(api, "none")).reason == "NotFound"


async def test_two_budgets_are_one_too_many(api: Api, budget: dict[str, Any]) -> None:
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}
    await api.post(BUDGETS, {"metadata": {"name": "c"}, "spec": spec})
    answer = await evict(api, "p0")
    assert (answer.status, answer.reason) == (500, "InternalError")
    assert "more than one PodDisruptionBudget" in answer.message


async def test_preconditions_of_an_eviction(api: Api, budget: dict[str, Any]) -> None:
    assert (await evict(api, "p0", preconditions={"uid": "another"})).reason == "Conflict"


def disruption(document: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Status, reason and message of the condition DisruptionTarget."""
    found = [one for one in document["status"].get("conditions", []) if one["type"] == "DisruptionTarget"]
    return [(one["status"], one["reason"], one["message"]) for one in found]


async def test_an_evicted_pod_says_why_it_goes(api: Api, budget: dict[str, Any]) -> None:
    marked = [("True", "EvictionByEvictionAPI", "Eviction API: evicting")]
    version = (await api.get(f"{PODS}/p0")).doc["metadata"]["resourceVersion"]
    assert (await evict(api, "p0", dryRun=["All"])).status == 201
    assert disruption((await api.get(f"{PODS}/p0")).doc) == []
    assert (await evict(api, "p0", preconditions={"resourceVersion": "1"})).reason == "Conflict"
    assert disruption((await api.get(f"{PODS}/p0")).doc) == [], "it stays"
    assert (await evict(api, "p0", preconditions={"resourceVersion": version})).status == 201
    going = (await api.get(f"{PODS}/p0")).doc
    assert "deletionTimestamp" in going["metadata"]
    assert disruption(going) == marked
    assert (await evict(api, "p0")).status == 201
    assert disruption((await api.get(f"{PODS}/p0")).doc) == marked


async def test_the_address_of_a_pod_is_the_first_of_its_addresses(api: Api) -> None:
    await api.post(PODS, pod("a"))
    one = (await api.patch(f"{PODS}/a/status", {"status": {"podIP": "10.0.0.1"}})).doc["status"]
    assert one["podIPs"] == [{"ip": "10.0.0.1"}]
    two = (await api.patch(f"{PODS}/a/status", {"status": {"podIP": "10.0.0.2"}})).doc["status"]
    assert (two["podIP"], two["podIPs"]) == ("10.0.0.2", [{"ip": "10.0.0.2"}])


async def test_a_token_is_for_whom_it_was_asked(api: Api) -> None:
    path = f"{NS}/serviceaccounts/default/token"
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 700}}
    made = await api.post(path, asked)
    assert (made.status, made.doc["kind"]) == (201, "TokenRequest")
    token = made.doc["status"]["token"]
    nobody = api.acting_as("")
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    who = await nobody.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", review, authorization=f"Bearer {token}")
    assert who.doc["status"]["userInfo"]["username"] == "system:serviceaccount:default:default"
    assert (await nobody.get(PODS, authorization=f"Bearer {token[:-4]}AAAA")).reason == "Unauthorized"
    short = await api.post(path, {**asked, "spec": {"expirationSeconds": 5}})
    assert (short.status, short.reason) == (422, "Invalid")
    assert (await api.post(f"{NS}/serviceaccounts/none/token", asked)).reason == "NotFound"
