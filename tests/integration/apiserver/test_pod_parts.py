"""pods/ephemeralcontainers and pods/resize: each changes its part of a pod and nothing else."""

# One case to a line, however long.
# ruff: noqa: E501

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.apiserver.api import JSON_PATCH, MERGE, PODS, STRATEGIC, Api, Doc, pod

EPHEMERAL, RESIZE = f"{PODS}/a/ephemeralcontainers", f"{PODS}/a/resize"
APPLY = "application/apply-patch+yaml"


def debugger(name: str = "debug", **more: Any) -> Doc:
    return {"name": name, "image": "registry.example/tools:1", **more}


def added(*containers: Doc) -> Doc:
    return {"spec": {"ephemeralContainers": list(containers)}}


async def test_debuggers_are_added_one_after_the_other(api: Api) -> None:
    """By patch and by replacement; the pod's generation grows, and each gets the defaults of a container."""
    made = await api.post(PODS, pod("a"))
    assert (await api.get(EPHEMERAL)).doc == made.doc
    first = await api.patch(EPHEMERAL, added(debugger(targetContainerName="main", stdin=True, tty=True)), STRATEGIC)
    assert first.status == 200, first.body
    (container,) = first.doc["spec"]["ephemeralContainers"]
    assert (container["terminationMessagePolicy"], container["imagePullPolicy"]) == ("File", "IfNotPresent")
    assert first.doc["metadata"]["generation"] == 2
    whole = first.doc
    whole["spec"]["ephemeralContainers"].append(debugger("second"))
    whole["spec"]["containers"][0]["image"] = "registry.example/other:1"
    whole["metadata"]["labels"] = {"from": "here"}
    replaced = await api.put(EPHEMERAL, whole)
    assert replaced.status == 200, replaced.body
    assert [one["name"] for one in replaced.doc["spec"]["ephemeralContainers"]] == ["debug", "second"]
    assert replaced.doc["spec"]["containers"][0]["image"] == "registry.example/web:1"
    assert "labels" not in replaced.doc["metadata"]
    # The whole pod can be written again, with its ephemeral containers in it.
    labeled = await api.patch(f"{PODS}/a", {"metadata": {"labels": {"x": "y"}}}, MERGE)
    assert (labeled.status, labeled.doc["metadata"]["generation"]) == (200, 3)


@pytest.mark.parametrize(
    ("container", "said"),
    [
        (debugger(ports=[{"containerPort": 80}]), "ports: Forbidden: cannot be set for an Ephemeral Container"),
        (debugger(resources={"limits": {"cpu": "1"}}), "resources: Forbidden: cannot be set for an Ephemeral Container"),
        (debugger(livenessProbe={"tcpSocket": {"port": 80}}), "livenessProbe: Forbidden: cannot be set for an Ephemeral Container"),
        (debugger(lifecycle={"preStop": {"sleep": {"seconds": 1}}}), "lifecycle: Forbidden: cannot be set for an Ephemeral Container"),
        (debugger(restartPolicy="Always"), "restartPolicy: Forbidden: cannot be set for an Ephemeral Container"),
        (debugger(targetContainerName="other"), 'targetContainerName: Not found: "other"'),
        (debugger("main"), 'name: Duplicate value: "main"'),
        ({"name": "debug"}, "image: Required value"),
        (debugger(volumeMounts=[{"name": "v", "mountPath": "/v", "subPath": "x"}]), "volumeMounts[0].subPath: Forbidden: cannot be set"),
    ],
)
async def test_rejects_forbidden_fields_of_ephemeral_containers(api: Api, container: Doc, said: str) -> None:
    body = pod("a")
    body["spec"]["volumes"] = [{"name": "v", "emptyDir": {}}]
    await api.post(PODS, body)
    refused = await api.patch(EPHEMERAL, added(container), STRATEGIC)
    assert (refused.status, refused.reason) == (422, "Invalid")
    assert f"spec.ephemeralContainers[0].{said}" in refused.message


async def test_debuggers_stay_as_they_are(api: Api) -> None:
    await api.post(PODS, pod("a"))
    await api.patch(EPHEMERAL, added(debugger()), STRATEGIC)
    changed = await api.patch(EPHEMERAL, added(debugger(command=["sh"])), STRATEGIC)
    assert 'existing ephemeral containers "debug" may not be changed' in changed.message
    removed = await api.patch(EPHEMERAL, [{"op": "remove", "path": "/spec/ephemeralContainers/0"}], JSON_PATCH)
    assert 'existing ephemeral containers "debug" may not be removed' in removed.message
    plain = await api.patch(f"{PODS}/a", added(debugger("other")), STRATEGIC)
    assert (plain.status, "pod updates may not change fields other than" in plain.message) == (422, True)
    with_one = pod("b")
    with_one["spec"] |= added(debugger())["spec"]
    assert "spec.ephemeralContainers: Forbidden: cannot be set on create" in (await api.post(PODS, with_one)).message
    assert (await api.patch(f"{PODS}/none/ephemeralcontainers", added(debugger()), STRATEGIC)).reason == "NotFound"


def sized(**resources: Any) -> Doc:
    body = pod("a")
    body["spec"]["containers"][0]["resources"] = resources
    return body


def to(**resources: Any) -> Doc:
    return {"spec": {"containers": [{"name": "main", "resources": resources}]}}


BURSTABLE = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2"}}


async def test_a_resize_changes_cpu_and_memory(api: Api) -> None:
    await api.post(PODS, sized(**BURSTABLE))
    resized = await api.patch(RESIZE, to(requests={"cpu": "1500m"}, limits={"memory": "2Gi"}), STRATEGIC)
    assert resized.status == 200, resized.body
    assert resized.doc["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "1500m", "memory": "1Gi"},
        "limits": {"cpu": "2", "memory": "2Gi"},
    }
    assert resized.doc["metadata"]["generation"] == 2
    whole = resized.doc
    whole["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "1"
    whole["spec"]["containers"][0]["image"] = "registry.example/other:1"
    whole["metadata"]["labels"] = {"from": "here"}
    replaced = await api.put(RESIZE, whole)
    assert replaced.status == 200, replaced.body
    assert replaced.doc["spec"]["containers"][0]["image"] == "registry.example/web:1"
    assert "labels" not in replaced.doc["metadata"]
    assert (await api.get(RESIZE)).doc == replaced.doc
    plain = await api.patch(f"{PODS}/a", to(requests={"cpu": "1"}), STRATEGIC)
    assert plain.status == 200, "nothing changes"
    assert (await api.patch(f"{PODS}/a", to(requests={"cpu": "5m"}), STRATEGIC)).status == 422


@pytest.mark.parametrize(
    ("before", "patch", "said"),
    [
        (BURSTABLE, to(requests={"cpu": "2", "memory": "2Gi"}, limits={"memory": "2Gi"}), "spec: Invalid value: \"Burstable\": Pod QOS Class may not change as a result of resizing"),
        ({}, to(requests={"cpu": "1"}), "spec: Invalid value: \"BestEffort\": Pod QOS Class may not change"),
        (BURSTABLE, to(requests={"memory": None}), "spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed"),
        (BURSTABLE, to(limits=None), "spec.containers[0].resources.limits: Forbidden: resource limits cannot be removed"),
        (BURSTABLE, to(requests={"ephemeral-storage": "1Gi"}), "spec: Forbidden: only cpu and memory resources are mutable"),
        (BURSTABLE, {"spec": {"containers": [{"name": "more", "image": "a/b:1"}]}}, "spec.containers: Forbidden: containers may not be added or removed on resize"),
        (BURSTABLE, to(requests={"cpu": "3"}), "must be less than or equal to cpu limit"),
        (BURSTABLE, {"spec": {"containers": [{"name": "main", "resizePolicy": [{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]}]}}, "only cpu and memory resources are mutable"),
    ],
)  # fmt: skip
async def test_rejects_forbidden_resizes(api: Api, before: Doc, patch: Doc, said: str) -> None:
    assert (await api.post(PODS, sized(**before))).status == 201
    refused = await api.patch(RESIZE, patch, STRATEGIC)
    assert refused.status == 422, refused.body
    assert said in refused.message


async def test_init_containers_and_whole_pods_are_resized_too(api: Api) -> None:
    body = sized(requests={"cpu": "1"})
    body["spec"]["initContainers"] = [
        {
            "name": "init",
            "image": "a/b:1",
            "resources": {"requests": {"cpu": "1"}},
        },
        {"name": "side", "image": "a/b:1", "restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}}},
    ]
    body["spec"]["resources"] = {"requests": {"cpu": "4"}}
    assert (await api.post(PODS, body)).status == 201
    both = {"resources": {"requests": {"cpu": "5"}}, "initContainers": [{"name": "side", "resources": {"requests": {"cpu": "2"}}}]}
    resized = await api.patch(RESIZE, {"spec": both}, STRATEGIC)
    assert resized.status == 200, resized.body
    assert resized.doc["spec"]["resources"]["requests"]["cpu"] == "5"
    assert resized.doc["spec"]["initContainers"][1]["resources"]["requests"]["cpu"] == "2"
    once = await api.patch(RESIZE, {"spec": {"initContainers": [{"name": "init", "resources": {"requests": {"cpu": "2"}}}]}}, STRATEGIC)
    assert once.status == 200, once.body
    gone = await api.patch(RESIZE, {"spec": {"resources": None}}, MERGE)
    assert "pod-level resources cannot be removed" in gone.message


async def test_a_node_that_does_not_resize(api: Api) -> None:
    await api.post(PODS, sized(**BURSTABLE))
    status = {
        "containerStatuses": [{"name": "main", "state": {"running": {}}, "image": "", "imageID": "", "ready": True, "restartCount": 0}]
    }
    await api.patch(f"{PODS}/a/status", {"status": status}, MERGE)
    refused = await api.patch(RESIZE, to(requests={"cpu": "2"}), STRATEGIC)
    assert "spec: Forbidden: Pod running on node without support for resize" in refused.message


async def test_limits_of_the_namespace_hold_for_a_resize(api: Api) -> None:
    limits = {"metadata": {"name": "l"}, "spec": {"limits": [{"type": "Container", "max": {"cpu": "2"}}]}}
    assert (await api.post(PODS.replace("pods", "limitranges"), limits)).status == 201
    assert (await api.post(PODS, sized(**BURSTABLE))).status == 201
    refused = await api.patch(RESIZE, to(limits={"cpu": "3"}), STRATEGIC)
    assert (refused.status, refused.reason) == (403, "Forbidden")
    assert "maximum cpu usage per Container is 2" in refused.message


async def test_an_apply_owns_what_the_subresource_is_for(api: Api) -> None:
    await api.post(PODS, sized(**BURSTABLE))
    config = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "labels": {"x": "y"}}, **to(requests={"cpu": "1500m"})}
    applied = await api.patch(f"{RESIZE}?fieldManager=sizer&force=true", config, APPLY)
    assert applied.status == 200, applied.body
    assert "labels" not in applied.doc["metadata"]
    (entry,) = [entry for entry in applied.doc["metadata"]["managedFields"] if entry["manager"] == "sizer"]
    assert entry["subresource"] == "resize"
    assert entry["fieldsV1"] == {
        "f:spec": {"f:containers": {'k:{"name":"main"}': {".": {}, "f:name": {}, "f:resources": {"f:requests": {"f:cpu": {}}}}}}
    }
