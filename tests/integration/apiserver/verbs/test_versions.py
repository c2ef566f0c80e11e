"""Kinds that are served in two groups or versions over one storage: events and autoscalers, through every verb."""

from __future__ import annotations

import json
from typing import Any

from tests.integration.apiserver.api import MERGE, NS, STRATEGIC, Api, Doc

CORE, NEW = f"{NS}/events", "/apis/events.k8s.io/v1/namespaces/default/events"
V1 = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers"
V2 = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"
APPLY = "application/apply-patch+yaml"
ABOUT = {"kind": "Pod", "name": "web", "namespace": "default", "apiVersion": "v1"}
CARRIED = "autoscaling.alpha.kubernetes.io/"


def event(name: str, **fields: Any) -> Doc:
    return {
        "metadata": {"name": name, "labels": {"testevent": "true"}},
        "regarding": ABOUT,
        "eventTime": "2026-01-01T00:00:00.123456Z",
        "note": "This is a test event",
        "reportingController": "test-controller",
        "reportingInstance": "test-node",
        "action": "Do",
        "reason": "Test",
        "type": "Normal",
        **fields,
    }


def old_event(name: str, **fields: Any) -> Doc:
    return {
        "metadata": {"name": name, "labels": {"testevent": "true"}},
        "involvedObject": ABOUT,
        "message": "This is an old event",
        "reason": "Old",
        "type": "Warning",
        "source": {"component": "kubelet"},
        "count": 3,
        "firstTimestamp": "2026-01-01T00:00:00Z",
        "lastTimestamp": "2026-01-01T00:00:00Z",
        **fields,
    }


def autoscaler(name: str, **spec: Any) -> Doc:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    return {"metadata": {"name": name}, "spec": {"scaleTargetRef": target, "maxReplicas": 5, **spec}}


def memory(value: str = "1Gi") -> Doc:
    return {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": value}}}


# --- events ---


async def test_an_event_is_fetched_patched_updated_deleted_and_listed_in_both_groups(api: Api) -> None:
    made = await api.post(NEW, event("a"))
    assert made.status == 201
    assert made.doc["apiVersion"] == "events.k8s.io/v1"
    await api.post(CORE, old_event("b"))
    assert (await api.get("/apis/events.k8s.io/v1/events")).names == ["a", "b"]
    listed = await api.get(f"{NEW}?labelSelector=testevent%3Dtrue")
    assert listed.doc["apiVersion"] == "events.k8s.io/v1"
    assert [(item["note"], item.get("deprecatedCount"), item["deprecatedSource"]) for item in listed.doc["items"]] == [
        ("This is a test event", None, {}),
        ("This is an old event", 3, {"component": "kubelet"}),
    ]
    assert (await api.get(f"{CORE}?fieldSelector=source%3Dtest-controller")).names == ["a"]
    assert (await api.get(f"{NEW}?fieldSelector=reportingController%3Dtest-controller")).names == ["a"]
    assert (await api.get(f"{NEW}?fieldSelector=regarding.name%3Dweb,reason%3DOld,type%3DWarning")).names == ["b"]
    series = {"series": {"count": 100, "lastObservedTime": "2026-01-01T00:00:05.000001Z"}}
    patched = await api.patch(f"{NEW}/a", series, STRATEGIC)
    assert patched.doc["series"] == series["series"]
    assert (await api.get(f"{CORE}/a")).doc["series"] == series["series"]
    wanted = (await api.get(f"{NEW}/a")).doc
    wanted["series"] = {"count": 101, "lastObservedTime": "2026-01-01T00:00:06.000000Z"}
    updated = await api.put(f"{NEW}/a", wanted)
    assert (updated.status, updated.doc["series"]["count"]) == (200, 101)
    assert (await api.delete(f"{NEW}/a")).status == 200
    assert (await api.get(NEW)).names == (await api.get(CORE)).names == ["b"]
    assert (await api.get(f"{NEW}/a")).message == 'events.events.k8s.io "a" not found'


async def test_a_core_event_lives_through_patch_list_and_delete(api: Api) -> None:
    await api.post(CORE, old_event("b"))
    patched = await api.patch(f"{CORE}/b", {"message": "changed"}, STRATEGIC)
    assert patched.doc["message"] == "changed"
    assert (await api.get(f"{NEW}/b")).doc["note"] == "changed"
    assert (await api.get("/api/v1/events?labelSelector=testevent%3Dtrue")).names == ["b"]
    assert (await api.delete(f"{CORE}/b")).status == 200
    assert (await api.get(f"{CORE}?labelSelector=testevent%3Dtrue")).names == []


async def test_a_collection_of_events_is_deleted_through_either_group(api: Api) -> None:
    for path in (NEW, CORE):
        for name in ("a", "b", "c"):
            await api.post(NEW, event(name))
        await api.post(CORE, old_event("kept", metadata={"name": "kept"}))
        assert (await api.delete(f"{path}?labelSelector=testevent%3Dtrue")).status == 200
        assert (await api.get(NEW)).names == (await api.get(CORE)).names == ["kept"]
        await api.delete(f"{CORE}/kept")


async def test_the_new_group_demands_more_of_new_events(api: Api) -> None:
    wrong = old_event("a", deprecatedCount=2, deprecatedSource={"host": "h"}, deprecatedFirstTimestamp="2026-01-01T00:00:00Z", type="Odd")
    wrong |= {"regarding": ABOUT, "series": {"count": 1}}
    refused = await api.post(NEW, {name: value for name, value in wrong.items() if name not in ("count", "source", "involvedObject")})
    assert refused.status == 422
    assert [(cause["field"], cause["message"]) for cause in refused.doc["details"]["causes"]] == [
        ("series.count", 'Invalid value: "": should be at least 2'),
        ("series.lastObservedTime", "Required value"),
        ("eventTime", "Required value"),
        ("type", 'Invalid value: "": has invalid value: Odd'),
        ("firstTimestamp", 'Invalid value: "": needs to be unset'),
        ("count", 'Invalid value: "": needs to be unset'),
        ("source", 'Invalid value: "": needs to be unset'),
    ]
    assert (await api.post(CORE, old_event("a", type="Odd"))).status == 201
    assert "reportingController: Required value" in (await api.post(NEW, event("b", reportingController=""))).message
    unnamed = {**old_event("c"), "eventTime": "2026-01-01T00:00:00.000000Z"}
    assert "reportingComponent: Required value" in (await api.post(CORE, unnamed)).message


async def test_the_new_group_lets_only_the_series_change(api: Api) -> None:
    await api.post(CORE, old_event("b"))
    refused = await api.patch(f"{NEW}/b", {"note": "x", "regarding": {"name": "y"}, "deprecatedCount": 4, "reportingController": "c"})
    assert refused.status == 422
    assert [cause["field"] for cause in refused.doc["details"]["causes"]] == ["involvedObject", "message", "count", "reportingController"]
    series = {"series": {"count": 2, "lastObservedTime": "2026-01-01T00:00:00.000000Z"}}
    assert (await api.patch(f"{NEW}/b", {**series, "metadata": {"labels": {"a": "b"}}})).status == 200
    assert (await api.patch(f"{CORE}/b", {"count": 4})).status == 200


async def test_watches_of_both_groups_see_writes_of_either(api: Api) -> None:
    first = await api.post(CORE, old_event("a"))
    async with api.watch(f"{NEW}?watch=true&resourceVersion={first.version}") as new, api.watch(f"{CORE}?watch=true") as core:
        assert await core.take(1) == [("ADDED", "a")]
        await api.post(NEW, event("b"))
        await api.delete(f"{NEW}/a")
        assert await core.take(2) == [("ADDED", "b"), ("DELETED", "a")]
        added, deleted = await new.next(), await new.next()
        assert added is not None
        assert deleted is not None
        assert (added["type"], added["object"]["apiVersion"], added["object"]["note"]) == (
            "ADDED",
            "events.k8s.io/v1",
            "This is a test event",
        )
        assert (deleted["type"], deleted["object"]["deprecatedCount"]) == ("DELETED", 3)
    initial = "?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    async with api.watch(f"{NEW}{initial}") as new:
        assert await new.take(1) == [("ADDED", "b")]
        bookmark = await new.next()
        assert bookmark is not None
        assert (bookmark["type"], bookmark["object"]["kind"], bookmark["object"]["apiVersion"]) == ("BOOKMARK", "Event", "events.k8s.io/v1")
    table = "application/json;as=Table;v=v1;g=meta.k8s.io"
    async with api.watch(f"{NEW}?watch=true", accept=table) as new:
        row = await new.next()
        assert row is not None
        assert row["object"]["rows"][0]["cells"][2] == "Test"


async def test_pages_and_tables_of_the_served_kind(api: Api) -> None:
    for number in range(5):
        await api.post(CORE, old_event(f"e{number}"))
    first = await api.get(f"{NEW}?limit=2")
    token = first.doc["metadata"]["continue"]
    assert (first.names, first.doc["metadata"]["remainingItemCount"]) == (["e0", "e1"], 3)
    await api.delete(f"{CORE}/e3")
    await api.patch(f"{CORE}/e2", {"message": "later"})
    second = await api.get(f"{NEW}?limit=2&continue={token}")
    assert second.names == ["e2", "e3"]
    assert second.doc["items"][0]["note"] == "This is an old event"
    assert second.version == first.version
    exact = await api.get(f"{NEW}?resourceVersion={first.version}&resourceVersionMatch=Exact")
    assert [item["note"] for item in exact.doc["items"]] == ["This is an old event"] * 5
    table = (await api.get(NEW, accept="application/json;as=Table;v=v1;g=meta.k8s.io")).doc
    assert [column["name"] for column in table["columnDefinitions"]][1:4] == ["Type", "Reason", "Object"]
    assert table["rows"][0]["cells"][1:4] == ["Warning", "Old", "pod/web"]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"


# --- autoscalers ---


async def test_an_autoscaler_is_made_in_either_version_and_read_in_both(api: Api) -> None:
    made = await api.post(V1, autoscaler("a"))
    assert made.status == 201
    assert made.warnings == []
    assert made.doc["apiVersion"] == "autoscaling/v1"
    assert (made.doc["spec"]["minReplicas"], made.doc["spec"]["targetCPUUtilizationPercentage"]) == (1, 80)
    assert "generation" not in made.doc["metadata"]
    shown = (await api.get(f"{V2}/a")).doc
    assert shown["apiVersion"] == "autoscaling/v2"
    assert shown["spec"]["metrics"] == [
        {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}
    ]
    assert shown["metadata"]["resourceVersion"] == made.version
    await api.post(V2, autoscaler("b", metrics=[memory()], behavior={"scaleDown": {"stabilizationWindowSeconds": 60}}))
    old = (await api.get(f"{V1}/b")).doc
    carried = old["metadata"]["annotations"]
    assert json.loads(carried[f"{CARRIED}metrics"]) == [{"type": "Resource", "resource": {"name": "memory", "targetAverageValue": "1Gi"}}]
    assert json.loads(carried[f"{CARRIED}behavior"])["ScaleDown"]["StabilizationWindowSeconds"] == 60
    assert "targetCPUUtilizationPercentage" not in old["spec"]
    assert "annotations" not in (await api.get(f"{V2}/b")).doc["metadata"]
    assert (await api.get(V1)).names == (await api.get(V2)).names == ["a", "b"]
    assert (await api.get("/apis/autoscaling/v1/horizontalpodautoscalers")).doc["kind"] == "HorizontalPodAutoscalerList"


async def test_an_update_in_the_old_version_keeps_what_it_cannot_say(api: Api) -> None:
    behavior = {"scaleUp": {"policies": [{"type": "Pods", "value": 2, "periodSeconds": 30}], "tolerance": "100m"}}
    before = (await api.post(V2, autoscaler("a", metrics=[memory()], behavior=behavior))).doc["spec"]
    old = (await api.get(f"{V1}/a")).doc
    old["spec"]["maxReplicas"] = 7
    updated = await api.put(f"{V1}/a", old)
    assert updated.doc["spec"]["maxReplicas"] == 7
    after = (await api.get(f"{V2}/a")).doc
    assert after["spec"] == {**before, "maxReplicas": 7}
    assert (await api.put(f"{V1}/a", updated.doc)).version == updated.version
    patched = await api.patch(f"{V1}/a", {"spec": {"targetCPUUtilizationPercentage": 50}})
    assert patched.doc["spec"]["targetCPUUtilizationPercentage"] == 50
    assert [metric["resource"]["name"] for metric in (await api.get(f"{V2}/a")).doc["spec"]["metrics"]] == ["memory", "cpu"]


async def test_status_is_written_in_either_version_and_only_there(api: Api) -> None:
    await api.post(V2, autoscaler("a", metrics=[memory()]))
    condition = {"type": "AbleToScale", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z", "reason": "Ready"}
    measured = {"type": "Resource", "resource": {"name": "memory", "current": {"averageValue": "512Mi"}}}
    status = {"currentReplicas": 1, "desiredReplicas": 2, "conditions": [condition], "currentMetrics": [measured]}
    assert (await api.patch(f"{V2}/a/status", {"status": status, "spec": {"maxReplicas": 9}})).doc["spec"]["maxReplicas"] == 5
    old = (await api.get(f"{V1}/a")).doc
    assert json.loads(old["metadata"]["annotations"][f"{CARRIED}conditions"])[0]["type"] == "AbleToScale"
    kept = {name: text for name, text in old["metadata"]["annotations"].items() if not name.startswith(CARRIED)}
    del old["status"]
    stripped = await api.put(f"{V1}/a", {**old, "metadata": {**old["metadata"], "annotations": {**kept, "mine": "1"}}})
    assert stripped.doc["status"]["desiredReplicas"] == 2
    after = (await api.get(f"{V2}/a")).doc
    assert after["status"] == status
    assert after["metadata"]["annotations"] == {"mine": "1"}
    assert after["spec"]["metrics"][0]["resource"]["name"] == "cpu", "the annotation said what the spec is, and it is gone"
    changed = await api.patch(f"{V1}/a/status", {"status": {"currentReplicas": 4}, "spec": {"maxReplicas": 9}})
    assert (changed.doc["status"]["currentReplicas"], changed.doc["spec"]["maxReplicas"]) == (4, 5)
    assert (await api.get(f"{V2}/a")).doc["status"] == {**status, "currentReplicas": 4}
    refused = await api.patch(f"{V1}/a/status", {"status": {"currentReplicas": -1}})
    assert refused.doc["details"]["causes"][0]["field"] == "status.currentReplicas"


async def test_mistakes_are_told_in_the_words_of_the_stored_version(api: Api) -> None:
    refused = await api.post(V1, autoscaler("a", minReplicas=0, maxReplicas=-1, targetCPUUtilizationPercentage=0))
    assert {(cause["field"], cause["message"]) for cause in refused.doc["details"]["causes"]} == {
        ("spec.maxReplicas", "Invalid value: -1: must be greater than or equal to 1"),
        ("spec.maxReplicas", "Invalid value: -1: must be greater than or equal to `minReplicas`"),
        ("spec.metrics[0].resource.target.averageUtilization", "Invalid value: 0: must be greater than 0"),
        ("spec.metrics", "Forbidden: must specify at least one Object or External metric to support scaling to zero replicas"),
        ("spec.minReplicas", "Invalid value: 0: must be greater than or equal to 1"),
    }


async def test_the_table_is_the_same_in_both_versions(api: Api) -> None:
    await api.post(V2, autoscaler("a", metrics=[memory()], minReplicas=2))
    tables = [(await api.get(path, accept="application/json;as=Table;v=v1;g=meta.k8s.io")).doc for path in (V1, V2)]
    for table in tables:
        assert [column["name"] for column in table["columnDefinitions"]] == [
            *("Name", "Reference", "Targets", "MinPods", "MaxPods", "Replicas", "Age"),
        ]
        assert table["rows"][0]["cells"][:6] == ["a", "Deployment/web", "memory: <unknown>/1Gi", "2", 5, 0]


async def test_dry_runs_change_nothing_and_answer_in_the_asked_version(api: Api) -> None:
    answer = await api.post(f"{V1}?dryRun=All", autoscaler("a"))
    assert (answer.status, answer.doc["spec"]["targetCPUUtilizationPercentage"]) == (201, 80)
    assert (await api.get(V2)).names == []
    await api.post(V2, autoscaler("a"))
    assert (await api.patch(f"{V1}/a?dryRun=All", {"spec": {"maxReplicas": 9}})).doc["spec"]["maxReplicas"] == 9
    assert (await api.get(f"{V2}/a")).doc["spec"]["maxReplicas"] == 5


async def test_a_quota_counts_objects_of_all_versions_together(api: Api) -> None:
    name = "count/horizontalpodautoscalers.autoscaling"
    await api.post(f"{NS}/resourcequotas", {"metadata": {"name": "q"}, "spec": {"hard": {name: "2"}}})
    await api.patch(f"{NS}/resourcequotas/q/status", {"status": {"hard": {name: "2"}, "used": {name: "0"}}})
    assert [(await api.post(path, autoscaler(f"a{number}"))).status for number, path in enumerate((V1, V2, V1, V2))] == [201, 201, 403, 403]
    assert (await api.get(f"{NS}/resourcequotas/q")).doc["status"]["used"] == {name: "2"}


# --- who owns what, over versions ---


def owners(doc: Doc) -> dict[tuple[str, str, str], Any]:
    return {(entry["manager"], entry["operation"], entry["apiVersion"]): entry["fieldsV1"] for entry in doc["metadata"]["managedFields"]}


async def test_fields_are_owned_in_the_version_in_which_they_were_written(api: Api) -> None:
    await api.post(f"{V1}?fieldManager=one", autoscaler("a", targetCPUUtilizationPercentage=50))
    found = owners((await api.get(f"{V2}/a")).doc)
    assert found["one", "Update", "autoscaling/v1"]["f:spec"]["f:targetCPUUtilizationPercentage"] == {}
    metrics = [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}}]
    await api.patch(f"{V2}/a?fieldManager=two", {"spec": {"metrics": metrics}})
    found = owners((await api.get(f"{V1}/a")).doc)
    assert "f:targetCPUUtilizationPercentage" not in found["one", "Update", "autoscaling/v1"]["f:spec"]
    assert "f:maxReplicas" in found["one", "Update", "autoscaling/v1"]["f:spec"]
    assert found["two", "Update", "autoscaling/v2"] == {"f:spec": {"f:metrics": {}}}


async def test_applies_conflict_over_versions(api: Api) -> None:
    document = {"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", **autoscaler("a", targetCPUUtilizationPercentage=50)}
    assert (await api.patch(f"{V1}/a?fieldManager=one", document, APPLY)).status == 201
    metrics = [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}}]
    other = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", **autoscaler("a", metrics=metrics)}
    refused = await api.patch(f"{V2}/a?fieldManager=two", other, APPLY)
    assert refused.status == 409
    assert [cause["field"] for cause in refused.doc["details"]["causes"]] == [".spec.targetCPUUtilizationPercentage"]
    forced = await api.patch(f"{V2}/a?fieldManager=two&force=true", other, APPLY)
    assert forced.status == 200
    found = owners(forced.doc)
    assert "f:targetCPUUtilizationPercentage" not in found["one", "Apply", "autoscaling/v1"]["f:spec"]
    assert found["two", "Apply", "autoscaling/v2"]["f:spec"]["f:metrics"] == {}
    assert (await api.get(f"{V1}/a")).doc["spec"]["targetCPUUtilizationPercentage"] == 60


async def test_apply_removes_fields_applied_in_another_version(api: Api) -> None:
    old = {
        "apiVersion": "autoscaling/v1",
        "kind": "HorizontalPodAutoscaler",
        **autoscaler("a", minReplicas=2),
    }
    await api.patch(f"{V1}/a?fieldManager=one", old, APPLY)
    new = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", **autoscaler("a")}
    applied = await api.patch(f"{V2}/a?fieldManager=one", new, APPLY)
    assert applied.status == 200
    assert applied.doc["spec"]["minReplicas"] == 1, "the default, since nobody wants two any more"
    assert list(owners(applied.doc)) == [("one", "Apply", "autoscaling/v2")]
    assert (await api.patch(f"{V2}/a?fieldManager=one", new, APPLY)).version == applied.version


async def test_a_strategic_patch_and_a_json_patch_of_the_old_version(api: Api) -> None:
    await api.post(V2, autoscaler("a", metrics=[memory()]))
    assert (await api.patch(f"{V1}/a", {"spec": {"minReplicas": 3}}, STRATEGIC)).doc["spec"]["minReplicas"] == 3
    assert (await api.patch(f"{V1}/a", {"spec": {"maxReplicas": 8}}, MERGE)).doc["spec"]["maxReplicas"] == 8
    steps = [{"op": "replace", "path": "/spec/maxReplicas", "value": 9}]
    assert (await api.patch(f"{V1}/a", steps, "application/json-patch+json")).doc["spec"]["maxReplicas"] == 9
    after = (await api.get(f"{V2}/a")).doc["spec"]
    assert (after["minReplicas"], after["maxReplicas"], after["metrics"]) == (3, 9, [memory()])


# --- what clients are told ---


async def test_discovery_lists_both_versions_and_prefers_the_newer(api: Api) -> None:
    group = (await api.get("/apis/autoscaling")).doc
    assert [version["version"] for version in group["versions"]] == ["v2", "v1"]
    assert group["preferredVersion"] == {"groupVersion": "autoscaling/v2", "version": "v2"}
    hashes = {}
    for path in ("/apis/autoscaling/v1", "/apis/autoscaling/v2", "/api/v1", "/apis/events.k8s.io/v1"):
        for resource in (await api.get(path)).doc["resources"]:
            if resource["name"] in ("events", "horizontalpodautoscalers"):
                hashes[path] = resource["storageVersionHash"]
    assert hashes == {
        "/apis/autoscaling/v1": "qwQve8ut294=",
        "/apis/autoscaling/v2": "qwQve8ut294=",
        "/api/v1": "r2yiGXH7wu8=",
        "/apis/events.k8s.io/v1": "r2yiGXH7wu8=",
    }
    index = (await api.get("/openapi/v3")).doc["paths"]
    assert {"apis/autoscaling/v1", "apis/autoscaling/v2", "apis/events.k8s.io/v1"} <= index.keys()
