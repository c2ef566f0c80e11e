"""delete and deletecollection: grace, propagation, preconditions, finalizers."""

from __future__ import annotations

from datetime import datetime

from tests.integration.apiserver.api import CONFIGS, NS, PODS, Api, config, pod


async def test_an_object_without_grace_is_gone(api: Api) -> None:
    made = await api.post(CONFIGS, config("a"))
    gone = await api.delete(f"{CONFIGS}/a")
    assert (gone.status, gone.doc["kind"], gone.doc["status"]) == (200, "Status", "Success")
    assert gone.doc["details"] == {"name": "a", "kind": "configmaps", "uid": made.doc["metadata"]["uid"]}
    assert (await api.delete(f"{CONFIGS}/a")).reason == "NotFound"


async def test_a_pod_that_never_ran_is_gone_at_once_and_shown_as_it_was(api: Api) -> None:
    made = await api.post(PODS, pod("a"))
    gone = await api.delete(f"{PODS}/a")
    assert (gone.status, gone.doc["kind"], gone.doc["metadata"]["uid"]) == (200, "Pod", made.doc["metadata"]["uid"])
    assert int(gone.version) > int(made.version)
    assert (await api.get(f"{PODS}/a")).reason == "NotFound"


async def test_a_running_pod_gets_its_grace_which_can_only_shrink(api: Api) -> None:
    await api.post(PODS, pod("a", node="n1"))
    marked = (await api.delete(f"{PODS}/a", {"gracePeriodSeconds": 60})).doc["metadata"]
    assert marked["deletionGracePeriodSeconds"] == 60
    first = datetime.fromisoformat(marked["deletionTimestamp"])
    # Neither a longer time nor none in particular changes what was granted.
    for body in ({"gracePeriodSeconds": 90}, {}, None):
        again = (await api.delete(f"{PODS}/a", body)).doc["metadata"]
        assert (again["deletionGracePeriodSeconds"], again["resourceVersion"]) == (60, marked["resourceVersion"])
    sooner = (await api.delete(f"{PODS}/a?gracePeriodSeconds=10")).doc["metadata"]
    assert sooner["deletionGracePeriodSeconds"] == 10
    assert (first - datetime.fromisoformat(sooner["deletionTimestamp"])).total_seconds() == 50
    assert (await api.delete(f"{PODS}/a?gracePeriodSeconds=0")).status == 200
    assert (await api.get(f"{PODS}/a")).reason == "NotFound"


async def test_the_default_grace_is_the_pods_own(api: Api) -> None:
    await api.post(PODS, pod("a", node="n1"))
    marked = (await api.delete(f"{PODS}/a")).doc["metadata"]
    assert marked["deletionGracePeriodSeconds"] == 30


async def test_a_grace_that_never_ends_can_be_shortened(api: Api) -> None:
    await api.post(PODS, pod("a", node="n1"))
    marked = (await api.delete(f"{PODS}/a", {"gracePeriodSeconds": 2**63 - 1})).doc["metadata"]
    assert (marked["deletionTimestamp"], marked["deletionGracePeriodSeconds"]) == ("9999-12-31T23:59:59Z", 2**63 - 1)
    sooner = (await api.delete(f"{PODS}/a?gracePeriodSeconds=10")).doc["metadata"]
    assert (sooner["deletionTimestamp"][:2], sooner["deletionGracePeriodSeconds"]) == ("20", 10)


async def test_a_finalizer_holds_an_object_until_it_is_taken_off(api: Api) -> None:
    held = config("a")
    held["metadata"]["finalizers"] = ["example.com/hold"]
    await api.post(CONFIGS, held)
    marked = await api.delete(f"{CONFIGS}/a")
    assert (marked.status, marked.doc["kind"]) == (200, "ConfigMap")
    assert marked.doc["metadata"]["deletionTimestamp"]
    assert (await api.delete(f"{CONFIGS}/a")).version == marked.version
    more = await api.patch(f"{CONFIGS}/a", {"metadata": {"finalizers": ["example.com/hold", "example.com/late"]}})
    assert (more.status, more.reason) == (422, "Invalid")
    freed = await api.patch(f"{CONFIGS}/a", {"metadata": {"finalizers": None}})
    assert (freed.status, freed.doc["metadata"]["name"]) == (200, "a")
    assert (await api.get(f"{CONFIGS}/a")).reason == "NotFound"


async def test_propagation_is_written_down_as_finalizers(api: Api) -> None:
    for name, body, finalizers in (
        ("fore", {"propagationPolicy": "Foreground"}, ["foregroundDeletion"]),
        ("orphan", {"propagationPolicy": "Orphan"}, ["orphan"]),
        ("old", {"orphanDependents": True}, ["orphan"]),
    ):
        await api.post(CONFIGS, config(name))
        marked = await api.delete(f"{CONFIGS}/{name}", body)
        assert marked.doc["metadata"]["finalizers"] == finalizers
    await api.post(CONFIGS, config("back"))
    assert (await api.delete(f"{CONFIGS}/back?propagationPolicy=Background")).doc["status"] == "Success"
    wrong = await api.delete(f"{CONFIGS}/fore?propagationPolicy=Sideways")
    assert (wrong.status, wrong.reason) == (422, "Invalid")
    both = await api.delete(f"{CONFIGS}/fore", {"propagationPolicy": "Orphan", "orphanDependents": True})
    assert (both.status, both.reason) == (422, "Invalid")


async def test_preconditions(api: Api) -> None:
    made = await api.post(CONFIGS, config("a"))
    uid = made.doc["metadata"]["uid"]
    other = await api.delete(f"{CONFIGS}/a", {"preconditions": {"uid": "another"}})
    assert (other.status, other.reason) == (409, "Conflict")
    assert f'ConfigMap "a": the UID in the precondition (another) does not match the UID in record ({uid}). The object' in other.message
    assert (await api.delete(f"{CONFIGS}/a", {"preconditions": {"resourceVersion": "1"}})).reason == "Conflict"
    right = {"preconditions": {"uid": uid, "resourceVersion": made.version}}
    assert (await api.delete(f"{CONFIGS}/a", right)).doc["status"] == "Success"


async def test_a_deleted_object_is_seen_at_the_version_of_its_end(api: Api) -> None:
    made = await api.post(CONFIGS, config("a", x="1"))
    async with api.watch(f"{CONFIGS}?watch=1&resourceVersion={made.version}") as events:
        await api.delete(f"{CONFIGS}/a")
        event = await events.next()
    assert event is not None
    assert (event["type"], event["object"]["data"]) == ("DELETED", {"x": "1"})
    assert int(event["object"]["metadata"]["resourceVersion"]) > int(made.version)


async def test_a_collection_is_narrowed_by_selectors(api: Api) -> None:
    for name in ("a", "b", "c"):
        await api.post(CONFIGS, config(name, labels={"keep": "yes" if name == "b" else "no"}))
    tried = await api.delete(f"{CONFIGS}?labelSelector=keep%3Dno&dryRun=All")
    assert tried.names == ["a", "c"]
    assert (await api.get(CONFIGS)).names == ["a", "b", "c"]
    assert (await api.delete(f"{CONFIGS}?labelSelector=keep!%3Dyes&fieldSelector=metadata.name!%3Da")).names == ["c"]
    assert (await api.get(CONFIGS)).names == ["a", "b"]
    assert (await api.delete(CONFIGS)).status == 200
    assert (await api.get(CONFIGS)).names == []


async def test_no_url_deletes_a_kind_in_all_namespaces(api: Api) -> None:
    await api.post(CONFIGS, config("a"))
    refused = await api.delete("/api/v1/configmaps")
    assert (refused.status, refused.reason) == (405, "MethodNotAllowed")
    assert (await api.get(CONFIGS)).names == ["a"]


async def test_a_namespace_waits_for_its_finalizer(api: Api) -> None:
    await api.post("/api/v1/namespaces", {"metadata": {"name": "team"}})
    await api.post("/api/v1/namespaces/team/configmaps", config("a"))
    going = await api.delete("/api/v1/namespaces/team")
    assert (going.status, going.doc["status"]["phase"], going.doc["spec"]["finalizers"]) == (200, "Terminating", ["kubernetes"])
    refused = await api.post("/api/v1/namespaces/team/configmaps", config("b"))
    assert (refused.status, refused.reason) == (403, "Forbidden")
    assert refused.doc["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    kept = await api.put("/api/v1/namespaces/team", {"metadata": {"name": "team"}, "spec": {"finalizers": []}})
    assert kept.doc["spec"]["finalizers"] == ["kubernetes"]
    done = await api.put("/api/v1/namespaces/team/finalize", {"metadata": {"name": "team"}, "spec": {"finalizers": []}})
    assert done.status == 200
    assert (await api.get("/api/v1/namespaces/team")).reason == "NotFound"


async def test_protected_namespaces_stay(api: Api) -> None:
    assert (await api.delete(NS)).reason == "Forbidden"
