"""Pod security: namespaces that enforce, warn and audit."""

from __future__ import annotations

from typing import Any

from tests.integration.apiserver.api import NS, PODS, STRATEGIC, Api, Doc, deployment, pod

LABEL = "pod-security.kubernetes.io/"


async def label(api: Api, **labels: str | None) -> Any:
    found = {f"{LABEL}{name.replace('_', '-')}": value for name, value in labels.items()}
    return await api.patch(NS, {"metadata": {"labels": found}})


def privileged(name: str = "bad", **metadata: Any) -> Doc:
    made = pod(name, **metadata)
    made["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    return made


async def test_enforced_level_rejects_pods(api: Api) -> None:
    await label(api, enforce="baseline")
    refused = await api.post(PODS, privileged())
    assert (refused.status, refused.reason) == (403, "Forbidden")
    assert refused.message == (
        'pods "bad" is forbidden: violates PodSecurity "baseline:latest": privileged (container "main" must not set'
        " securityContext.privileged=true)"
    )
    made = await api.post(PODS, pod("good"))
    assert (made.status, made.warnings) == (201, [])
    assert (await api.post(f"{PODS}?dryRun=All", privileged())).status == 403


async def test_enforced_level_warns_of_templates(api: Api) -> None:
    await label(api, enforce="restricted", enforce_version="v1.20")
    made = await api.post("/apis/apps/v1/namespaces/default/deployments", deployment("web"))
    assert made.status == 201
    assert made.warnings == [
        '299 - "would violate PodSecurity \\"restricted:v1.20\\": allowPrivilegeEscalation != false (container \\"main\\" must set'
        ' securityContext.allowPrivilegeEscalation=false), runAsNonRoot != true (pod or container \\"main\\" must set'
        ' securityContext.runAsNonRoot=true), seccompProfile (pod or container \\"main\\" must set securityContext.seccompProfile.type to'
        ' \\"RuntimeDefault\\" or \\"Localhost\\")"'
    ]
    again = await api.patch("/apis/apps/v1/namespaces/default/deployments/web", {"spec": {"replicas": 0}})
    assert len(again.warnings) == 1


async def test_warned_level_warns_of_pods(api: Api) -> None:
    await label(api, warn="baseline", audit="restricted")
    made = await api.post(PODS, privileged())
    assert made.status == 201
    assert [warning.split(":")[0] for warning in made.warnings] == ['299 - "would violate PodSecurity \\"baseline']
    # Of pods only images matter later.
    assert (await api.patch(f"{PODS}/bad", {"metadata": {"labels": {"a": "b"}}})).warnings == []
    changed = {"spec": {"containers": [{"name": "main", "image": "registry.example/web:2"}]}}
    assert len((await api.patch(f"{PODS}/bad", changed, STRATEGIC)).warnings) == 1


async def test_labels_must_make_sense(api: Api) -> None:
    wrong = await label(api, enforce="odd", warn_version="two")
    assert (wrong.status, wrong.reason) == (422, "Invalid")
    assert wrong.message == (
        'Namespace "default" is invalid: [metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "odd": must be one of'
        ' privileged, baseline, restricted, metadata.labels[pod-security.kubernetes.io/warn-version]: Invalid value: "two": must be'
        ' "latest" or "v1.x"]'
    )
    made = await api.post("/api/v1/namespaces", {"metadata": {"name": "other", "labels": {f"{LABEL}enforce": "odd"}}})
    assert made.status == 422


async def test_a_stricter_namespace_tells_of_its_pods(api: Api) -> None:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "u", "controller": True}
    for name in ("web-1", "web-2", "web-3"):
        await api.post(PODS, privileged(name, ownerReferences=[owner]))
    host = pod("host")
    host["spec"]["hostPID"] = True
    await api.post(PODS, host)
    await api.post(PODS, pod("fine"))
    answer = await label(api, enforce="baseline")
    assert answer.status == 200
    assert [warning.removeprefix("299 - ") for warning in answer.warnings] == [
        '"existing pods in namespace \\"default\\" violate the new PodSecurity enforce level \\"baseline:latest\\""',
        '"host: host namespaces"',
        '"web-1 (and 2 other pods): privileged"',
    ]
    assert (await label(api, enforce="privileged")).warnings == []
    assert (await label(api, enforce="baseline", warn="restricted")).warnings != []
    assert (await label(api, audit="restricted")).warnings == []
