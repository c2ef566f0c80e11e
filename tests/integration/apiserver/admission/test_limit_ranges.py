"""Limit ranges through the API: defaults, bounds, and their own life."""

from __future__ import annotations

from typing import Any

from tests.integration.apiserver.api import NS, PODS, STRATEGIC, Api, Doc, pod

RANGES = f"{NS}/limitranges"
MIN = {"cpu": "50m", "memory": "100Mi", "ephemeral-storage": "100Gi"}
MAX = {"cpu": "500m", "memory": "500Mi", "ephemeral-storage": "500Gi"}
REQUEST = {"cpu": "100m", "memory": "200Mi", "ephemeral-storage": "200Gi"}
LIMIT = {"cpu": "300m", "memory": "350Mi", "ephemeral-storage": "350Gi"}


def limit_range(name: str = "limits", *, labels: dict[str, str] | None = None, **bounds: Any) -> Doc:
    item = {"type": "Container", "min": MIN, "max": MAX, "defaultRequest": REQUEST, "default": LIMIT, **bounds}
    return {"metadata": {"name": name, "labels": labels or {}}, "spec": {"limits": [item]}}


def asking(name: str, requests: dict[str, str], limits: dict[str, str]) -> Doc:
    made = pod(name)
    made["spec"]["containers"][0]["resources"] = {"requests": requests, "limits": limits}
    return made


def resources(answer: Any) -> Doc:
    assert answer.status == 201, answer.doc
    found: Doc = answer.doc["spec"]["containers"][0]["resources"]
    return found


async def test_defaults_and_bounds_of_pods(api: Api) -> None:
    made = await api.post(RANGES, limit_range())
    assert (made.status, made.doc["spec"]["limits"][0]["defaultRequest"]) == (201, REQUEST)
    async with api.watch(f"{RANGES}?watch=true&resourceVersion={int(made.version) - 1}") as events:
        assert await events.take(1) == [("ADDED", "limits")]

    assert resources(await api.post(PODS, pod("silent"))) == {"requests": REQUEST, "limits": LIMIT}
    some = resources(await api.post(PODS, asking("partial", {"memory": "150Mi"}, {"cpu": "300m"})))
    # A limit without a request is the request too: that is a rule of pods, before the range is asked.
    assert some == {"requests": {**REQUEST, "cpu": "300m", "memory": "150Mi"}, "limits": LIMIT}

    less = await api.post(PODS, asking("less", {"cpu": "10m", "memory": "50Mi"}, {}))
    assert (less.status, less.reason) == (403, "Forbidden")
    assert less.message == (
        'pods "less" is forbidden: [minimum cpu usage per Container is 50m, but request is 10m,'
        " minimum memory usage per Container is 100Mi, but request is 50Mi]"
    )
    more = await api.post(PODS, asking("more", {}, {"cpu": "600m"}))
    assert more.message == 'pods "more" is forbidden: maximum cpu usage per Container is 500m, but limit is 600m'

    grown = {"spec": {"containers": [{"name": "main", "resources": {"limits": {"cpu": "600m"}}}]}}
    resized = await api.patch(f"{PODS}/silent/resize", grown, STRATEGIC)
    assert resized.message == 'pods "silent" is forbidden: maximum cpu usage per Container is 500m, but limit is 600m'

    new_min = {"cpu": "9m", "memory": "49Mi", "ephemeral-storage": "49Gi"}
    changed = limit_range(min=new_min)
    changed["metadata"]["resourceVersion"] = made.version
    assert (await api.put(f"{RANGES}/limits", changed)).doc["spec"]["limits"][0]["min"] == new_min
    assert resources(await api.post(PODS, asking("less", {"cpu": "10m", "memory": "50Mi"}, {})))["requests"]["cpu"] == "10m"
    assert (await api.post(PODS, asking("more", {}, {"cpu": "600m"}))).status == 403

    assert (await api.delete(f"{RANGES}/limits")).status == 200
    assert (await api.get(f"{RANGES}/limits")).status == 404
    assert resources(await api.post(PODS, asking("free", {}, {"cpu": "600m"})))["limits"] == {"cpu": "600m"}


async def test_quality_of_service_follows_the_defaults(api: Api) -> None:
    same = {"cpu": "1", "memory": "1Gi"}
    await api.post(RANGES, {"metadata": {"name": "a"}, "spec": {"limits": [{"type": "Container", "default": same}]}})
    made = await api.post(PODS, pod("p"))
    assert (resources(made), made.doc["status"]["qosClass"]) == ({"requests": same, "limits": same}, "Guaranteed")
    assert made.doc["metadata"]["annotations"] == {
        "kubernetes.io/limit-ranger": "LimitRanger plugin set: cpu, memory request for container main; cpu, memory limit for container main"
    }


async def test_lists_patches_and_deletions_by_label(api: Api) -> None:
    labels = {"e2e": "limits"}
    for namespace in ("default", "other"):
        if namespace == "other":
            await api.post("/api/v1/namespaces", {"metadata": {"name": namespace}})
        path = f"/api/v1/namespaces/{namespace}/limitranges"
        assert (await api.post(path, limit_range("mine", labels=labels))).status == 201
        assert (await api.post(path, limit_range("kept"))).status == 201
    assert (await api.get("/api/v1/limitranges?labelSelector=e2e=limits")).names == ["mine", "mine"]
    body = {"metadata": {"labels": {"mine": "patched"}}, "spec": {"limits": [{"type": "Container", "max": {"cpu": "600m"}}]}}
    patched = await api.patch(f"{RANGES}/mine", body, STRATEGIC)
    assert patched.doc["metadata"]["labels"] == {**labels, "mine": "patched"}
    assert patched.doc["spec"]["limits"][0]["max"] == {"cpu": "600m"}
    await api.delete(f"{RANGES}?labelSelector=mine=patched")
    assert (await api.get("/api/v1/limitranges?labelSelector=e2e=limits")).doc["items"][0]["metadata"]["namespace"] == "other"
    assert (await api.get(RANGES)).names == ["kept"]
