"""Jobs, cron jobs, controller revisions, pod templates, stateful and daemon sets through every verb that clients use."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.apiserver.api import MERGE, NS, Api, Doc

BATCH, APPS = "/apis/batch/v1/namespaces/default", "/apis/apps/v1/namespaces/default"
JOBS, CRON_JOBS, REVISIONS = f"{BATCH}/jobs", f"{BATCH}/cronjobs", f"{APPS}/controllerrevisions"
RCS, TEMPLATES = f"{NS}/replicationcontrollers", f"{NS}/podtemplates"


def template(restart: str = "Always", **labels: str) -> Doc:
    return {"metadata": {"labels": labels}, "spec": {"restartPolicy": restart, "containers": [{"name": "c", "image": "a/b:1"}]}}


def job(name: str = "e2e", **spec: Any) -> Doc:
    return {"metadata": {"name": name, "labels": {"special": "x"}}, "spec": {"suspend": True, "template": template("OnFailure"), **spec}}


def cron_job(name: str = "e2e") -> Doc:
    spec = {"schedule": "*/1 * * * *", "suspend": True, "jobTemplate": {"spec": {"template": template("OnFailure")}}}
    return {"metadata": {"name": name, "labels": {"special": "x"}}, "spec": spec}


def revision(name: str = "r1", number: int = 1) -> Doc:
    return {"metadata": {"name": name, "labels": {"special": "x"}}, "data": {"spec": {"a": 1}}, "revision": number}


def workload(name: str, **spec: Any) -> Doc:
    return {"metadata": {"name": name}, "spec": {"selector": {"matchLabels": {"app": name}}, "template": template(app=name), **spec}}


async def life(api: Api, group: str, path: str, body: Doc, changed: Doc) -> None:
    """Found in discovery; created, read, listed, watched, changed, patched, deleted, alone and with the collection."""
    plural = path.rpartition("/")[2]
    discovered = {resource["name"] for resource in (await api.get(group)).doc["resources"]}
    assert plural in discovered
    name = body["metadata"]["name"]
    made = await api.post(path, body)
    assert made.status == 201, made.body
    one = f"{path}/{name}"
    assert (await api.get(one)).doc == made.doc
    everywhere = f"{path.split('/namespaces/')[0]}/{plural}?labelSelector=special%3Dx"
    assert (await api.get(everywhere)).names == [name]
    assert (await api.get(f"{path}?labelSelector=special%3Dx")).names == [name]
    async with api.watch(f"{path}?labelSelector=special%3Dx&watch=1&resourceVersion={made.version}") as events:
        patched = await api.patch(one, {"metadata": {"annotations": {"patched": "true"}}}, MERGE)
        assert (patched.status, patched.doc["metadata"]["annotations"]["patched"]) == (200, "true")
        event = await events.next()
        assert event is not None
        assert (event["type"], event["object"]["metadata"]["annotations"]["patched"]) == ("MODIFIED", "true")
        updated = await api.put(
            one, {**patched.doc, **changed, "metadata": {**patched.doc["metadata"], "annotations": {"updated": "true"}}}
        )
        assert (updated.status, updated.doc["metadata"]["annotations"]["updated"]) == (200, "true"), updated.body
        assert (await events.take(1))[0][0] == "MODIFIED"
        deleted = await api.delete(one, {"propagationPolicy": "Background"})
        assert deleted.status == 200
        assert (await events.take(1))[0][0] == "DELETED"
    assert (await api.get(one)).reason == "NotFound"
    await api.post(path, body)
    assert (await api.delete(f"{path}?labelSelector=special%3Dx", {"propagationPolicy": "Background"})).status == 200
    assert (await api.get(path)).names == []


BUDGETS = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
SETS = (f"{APPS}/deployments", f"{APPS}/replicasets", RCS)


def labeled(path: str) -> Doc:
    """A set with pods, or a budget."""
    if path == BUDGETS:
        spec: Doc = {"minAvailable": 1, "selector": {"matchLabels": {"app": "e2e"}}}
    else:
        selector = {"app": "e2e"} if path == RCS else {"matchLabels": {"app": "e2e"}}
        spec = {"replicas": 1, "selector": selector, "template": template(app="e2e")}
    return {"metadata": {"name": "e2e", "labels": {"special": "x"}}, "spec": spec}


@pytest.mark.parametrize("path", [*SETS, BUDGETS])
async def test_operations_of_sets_and_budgets(api: Api, path: str) -> None:
    await life(api, path.partition("/namespaces/")[0], path, labeled(path), {})


@pytest.mark.parametrize("path", [*SETS, BUDGETS])
async def test_the_status_of_sets_and_budgets(api: Api, path: str) -> None:
    await api.post(path, labeled(path))
    conditions = [{"type": "Seen", "status": "True", "reason": "E2E", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]
    patched = await api.patch(f"{path}/e2e/status", {"status": {"conditions": conditions}}, MERGE)
    (condition,) = patched.doc["status"]["conditions"]
    assert (patched.status, condition["reason"]) == (200, "E2E")
    conditions[0]["reason"] = "Updated"
    updated = await api.put(f"{path}/e2e/status", {**patched.doc, "status": {**patched.doc["status"], "conditions": conditions}})
    assert (updated.status, updated.doc["status"]["conditions"][0]["reason"]) == (200, "Updated")
    assert (await api.get(f"{path}/e2e/status")).doc == updated.doc
    assert updated.doc["metadata"].get("generation") == patched.doc["metadata"].get("generation")


@pytest.mark.parametrize("path", SETS)
async def test_the_scale_of_sets(api: Api, path: str) -> None:
    await api.post(path, labeled(path))
    scale = (await api.get(f"{path}/e2e/scale")).doc
    assert (scale["kind"], scale["spec"], scale["status"]["selector"]) == ("Scale", {"replicas": 1}, "app=e2e")
    assert (await api.put(f"{path}/e2e/scale", {**scale, "spec": {"replicas": 2}})).doc["spec"] == {"replicas": 2}
    assert (await api.patch(f"{path}/e2e/scale", {"spec": {"replicas": 4}}, MERGE)).doc["spec"] == {"replicas": 4}
    assert (await api.get(f"{path}/e2e")).doc["spec"]["replicas"] == 4


async def test_job_operations(api: Api) -> None:
    await life(api, "/apis/batch/v1", JOBS, job(), {})
    await api.post(JOBS, job())
    status = {"status": {"startTime": "2026-01-01T00:00:00Z", "conditions": [{"type": "Extra", "status": "True"}]}}
    written = await api.patch(f"{JOBS}/e2e/status", {**status, "metadata": {"annotations": {"patchedstatus": "true"}}}, MERGE)
    assert (written.status, written.doc["status"]["startTime"]) == (200, "2026-01-01T00:00:00Z")
    assert written.doc["metadata"]["annotations"] == {"patchedstatus": "true"}
    assert (await api.get(f"{JOBS}/e2e/status")).doc["status"] == written.doc["status"]
    assert (await api.get(f"{JOBS}?fieldSelector=status.successful%3D0")).names == ["e2e"]
    assert (await api.get(f"{JOBS}?fieldSelector=status.successful%3D1")).names == []


async def test_cron_job_operations(api: Api) -> None:
    await life(api, "/apis/batch/v1", CRON_JOBS, cron_job(), {})
    await api.post(CRON_JOBS, cron_job())
    body = {"status": {"lastScheduleTime": "2026-01-01T00:00:00Z"}, "metadata": {"annotations": {"patchedstatus": "true"}}}
    written = await api.patch(f"{CRON_JOBS}/e2e/status", body, MERGE)
    assert (written.doc["status"]["lastScheduleTime"], written.doc["metadata"]["annotations"]) == (
        "2026-01-01T00:00:00Z",
        {"patchedstatus": "true"},
    )


async def test_controller_revision_operations(api: Api) -> None:
    await life(api, "/apis/apps/v1", REVISIONS, revision(), {"revision": 2})
    await api.post(REVISIONS, revision())
    moved = await api.patch(f"{REVISIONS}/r1", {"data": {"spec": {"a": 2}}}, MERGE)
    assert (moved.status, moved.message.endswith("field is immutable")) == (422, True)
    assert (await api.patch(f"{REVISIONS}/r1", {"revision": 3}, MERGE)).doc["revision"] == 3
    assert (await api.post(REVISIONS, {**revision("r2"), "data": [1]})).message.endswith("data must be a valid JSON object")


async def test_pod_templates(api: Api) -> None:
    body = {"metadata": {"name": "t", "labels": {"special": "x"}}, "template": template(app="t")}
    await life(api, "/api/v1", TEMPLATES, body, {})


async def test_a_job_gets_a_selector_of_its_own(api: Api) -> None:
    made = (await api.post(JOBS, job())).doc
    uid = made["metadata"]["uid"]
    assert made["spec"]["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    labels = made["spec"]["template"]["metadata"]["labels"]
    assert labels == {
        "batch.kubernetes.io/controller-uid": uid, "controller-uid": uid, "batch.kubernetes.io/job-name": "e2e", "job-name": "e2e",
    }  # fmt: skip
    assert (await api.patch(f"{JOBS}/e2e", {"spec": {"suspend": False}}, MERGE)).doc["metadata"]["generation"] == 2
    refused = await api.patch(f"{JOBS}/e2e", {"spec": {"completionMode": "Indexed"}}, MERGE)
    assert (refused.status, refused.doc["details"]["causes"][0]["field"]) == (422, "spec.completionMode")


async def test_labels_of_a_job_are_its_own_or_those_of_its_pods(api: Api) -> None:
    generated = {"batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name", "controller-uid", "job-name"}
    own = {**job("own", template=template("Never", app="x")), "metadata": {"name": "own", "labels": {"app": "x"}}}
    made = (await api.post(JOBS, own)).doc
    assert made["metadata"]["labels"] == {"app": "x"}
    assert set(made["spec"]["template"]["metadata"]["labels"]) == {"app", *generated}
    bare = {**own, "metadata": {"name": "bare"}}
    assert set((await api.post(JOBS, bare)).doc["metadata"]["labels"]) == {"app", *generated}


async def test_a_job_s_pods_are_left_behind_unless_asked_for(api: Api) -> None:
    """The defaults of kinds that are older than garbage collection."""
    for path, body in ((JOBS, job("old")), (RCS, {"metadata": {"name": "old"}, "spec": {"template": template(app="old")}})):
        assert (await api.post(path, body)).status == 201
        held = (await api.delete(f"{path}/old")).doc
        assert held["metadata"]["finalizers"] == ["orphan"]
        assert "deletionTimestamp" in held["metadata"]
    await api.post(CRON_JOBS, cron_job("new"))
    assert (await api.delete(f"{CRON_JOBS}/new")).doc["status"] == "Success"


async def test_warns_of_kinds_that_nothing_acts_on(api: Api) -> None:
    policy = {"metadata": {"name": "none"}, "spec": {"podSelector": {}}}
    made = await api.post("/apis/networking.k8s.io/v1/namespaces/default/networkpolicies", policy)
    assert made.status == 201, made.body
    assert any("no part of this cluster acts on them yet" in warning for warning in made.warnings)
    for path, body in (
        (JOBS, job()),
        (CRON_JOBS, cron_job()),
        (REVISIONS, revision()),
        (f"{APPS}/statefulsets", workload("s", serviceName="s")),
        (f"{APPS}/daemonsets", workload("d")),
    ):
        assert not (await api.post(path, body)).warnings


@pytest.mark.parametrize(
    ("path", "body", "selector"),
    [
        (f"{APPS}/statefulsets", workload("s", serviceName="s"), "app=s"),
        (RCS, {"metadata": {"name": "s"}, "spec": {"template": template(app="s", tier="b")}}, "app=s,tier=b"),
    ],
)
async def test_scale(api: Api, path: str, body: Doc, selector: str) -> None:
    assert (await api.post(path, body)).status == 201
    scale = (await api.get(f"{path}/s/scale")).doc
    assert (scale["kind"], scale["spec"], scale["status"]["selector"]) == ("Scale", {"replicas": 1}, selector)
    scaled = await api.put(f"{path}/s/scale", {**scale, "spec": {"replicas": 4}})
    assert (scaled.status, scaled.doc["spec"]["replicas"]) == (200, 4)
    assert (await api.get(f"{path}/s")).doc["spec"]["replicas"] == 4


async def test_cron_jobs_name_sound_schedules(api: Api) -> None:
    body = cron_job()
    body["spec"]["schedule"] = "61 * * * *"
    refused = await api.post(CRON_JOBS, body)
    assert refused.message == (
        'CronJob.batch "e2e" is invalid: spec.schedule: Invalid value: "61 * * * *": end of range (61) above maximum (59): 61'
    )
