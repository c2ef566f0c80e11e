"""Apply patches and managedFields as the API server serves them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tests.integration.apiserver.verbs.conftest import Cluster, managers
from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import BadRequest, Conflict, Forbidden, Invalid, NotFound, StatusError
from tiphys.api.meta.v1 import ObjectMeta

MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


def config_map(name: str = "c", **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def deployment(**spec: Any) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": [{"name": "c", "image": "c"}]}}
    whole = {"selector": {"matchLabels": {"app": "d"}}, "template": template, **spec}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": whole}


async def test_created_with_201_and_patched_with_200(cluster: Cluster) -> None:
    statuses = []
    for _ in range(2):
        answer = await cluster.client.raw(
            "PATCH", f"{MAPS}/c", query=[("fieldManager", "me")], body=msgspec.json.encode(config_map(a="1")),
            headers={"content-type": "application/apply-patch+yaml"},
        )  # fmt: skip
        statuses.append(answer.status)
    assert statuses == [201, 200]
    made = await cluster.get(f"{MAPS}/c")
    assert made["metadata"]["uid"]
    (entry,) = made["metadata"]["managedFields"]
    assert {key: value for key, value in entry.items() if key != "time"} == {
        "manager": "me", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {"f:a": {}}},
    }  # fmt: skip


async def test_options(cluster: Cluster) -> None:
    with pytest.raises(Invalid) as failed:
        await cluster.patch(f"{MAPS}/c", config_map(), "")
    assert failed.value.message == 'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch'
    with pytest.raises(Invalid, match="fieldManager: Too long"):
        await cluster.patch(f"{MAPS}/c", config_map(), "m" * 129)
    with pytest.raises(Invalid, match="invalid character"):
        await cluster.patch(f"{MAPS}/c", config_map(), "m\x01")
    with pytest.raises(Invalid, match="force: Forbidden: may not be specified for non-apply patch"):
        await cluster.client.raw(
            "PATCH", f"{MAPS}/c", query=[("force", "true")], body=b"{}", headers={"content-type": "application/merge-patch+json"}
        )
    with pytest.raises(StatusError, match="application/apply-patch"):
        await cluster.client.raw("PATCH", f"{MAPS}/c", body=b"", headers={"content-type": "application/apply-patch+cbor"})


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("[]", "not an object"),
        ("a: [", "error decoding YAML"),
        ("kind: ConfigMap", "invalid object type"),
        ({**config_map(), "kind": "Secret"}, "invalid object type: v1, Kind=Secret"),
        ({**config_map(), "metadata": {"name": "other"}}, "does not match the name on the URL"),
        ({**config_map(), "metadata": {"name": "c", "namespace": "x"}}, "does not match the namespace"),
        ({**config_map(), "metadata": {"name": "c", "managedFields": []}}, "metadata.managedFields must be nil"),
        ({**config_map(), "metadata": {"name": "c", "managedFields": [{}]}}, "metadata.managedFields must be nil"),
        ({**config_map(), "metadata": 3}, ".metadata: expected map"),
        ({**config_map(), "dta": {}}, ".dta: field not declared in schema"),
        (config_map() | {"data": {"a": 1}}, ".data.a: expected string"),
    ],
)
async def test_rejects_invalid_configurations(cluster: Cluster, body: Any, said: str) -> None:
    with pytest.raises(BadRequest) as failed:
        await cluster.patch(f"{MAPS}/c", body)
    assert said in failed.value.message


async def test_repeated_fields(cluster: Cluster) -> None:
    body = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: '1', a: '2'}\n"
    with pytest.raises(BadRequest, match=r'^error strict decoding YAML: .*\n  line 4: key "a" already set in map$'):
        await cluster.patch(f"{MAPS}/c", body, query=(("fieldValidation", "Strict"),))
    assert (await cluster.patch(f"{MAPS}/c", body))["data"] == {"a": "2"}


async def test_nothing_changes_when_nothing_changes(cluster: Cluster) -> None:
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "c", "resources": {"requests": {"cpu": "1000m"}}}]},
    }  # fmt: skip
    first = await cluster.patch(f"{PODS}/p", pod)
    assert await cluster.patch(f"{PODS}/p", pod) == first, "1000m is stored as 1, which is no change"
    sent = json.loads(json.dumps(first))
    client = cluster.client
    again = await client.raw("PUT", f"{PODS}/p", body=msgspec.json.encode(sent), headers={"content-type": "application/json"})
    assert msgspec.json.decode(again.body) == first
    del sent["metadata"]["managedFields"]
    again = await client.raw("PUT", f"{PODS}/p", body=msgspec.json.encode(sent), headers={"content-type": "application/json"})
    assert msgspec.json.decode(again.body) == first
    merged = await client.raw("PATCH", f"{PODS}/p", body=b"{}", headers={"content-type": "application/merge-patch+json"})
    assert msgspec.json.decode(merged.body) == first


async def test_every_writer_is_recorded(cluster: Cluster) -> None:
    kubelet = cluster.client_for(user_agent="kubelet/v1.36 (linux)")
    pod = core.Pod(metadata=ObjectMeta(name="p", namespace="default"), spec=core.PodSpec(containers=[core.Container(name="c", image="c")]))
    made = await cluster.client_for(user_agent="maker/1").create(pod)
    made.status.phase = "Running"
    made = await kubelet.update_status(made)
    made.metadata.labels = {"x": "y"}
    await cluster.client_for(user_agent="labeler").update(made)
    await kubelet.raw(
        "PATCH", f"{PODS}/p", query=[("fieldManager", "other")], body=b'{"metadata":{"annotations":{"a":"b"}}}',
        headers={"content-type": "application/strategic-merge-patch+json"},
    )  # fmt: skip
    found = managers(await cluster.get(f"{PODS}/p"))
    assert found["kubelet/Update/status"] == {"f:status": {"f:phase": {}}}
    assert found["labeler/Update"] == {"f:metadata": {"f:labels": {".": {}, "f:x": {}}}}
    assert found["other/Update"] == {"f:metadata": {"f:annotations": {".": {}, "f:a": {}}}}
    spec = found["maker/Update"]["f:spec"]
    assert spec["f:containers"]['k:{"name":"c"}']["f:image"] == {}
    assert "f:status" not in found["maker/Update"]
    assert "f:serviceAccountName" not in spec, "what admission sets is not the maker's"


async def test_status_is_applied_by_itself(cluster: Cluster) -> None:
    await cluster.patch(f"{DEPLOYMENTS}/d", {**deployment(replicas=2), "status": {"replicas": 9}}, "user")
    config = {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {"replicas": 7},
        "status": {"replicas": 2, "conditions": [{"type": "Available", "status": "True"}]},
    }  # fmt: skip
    found = await cluster.patch(f"{DEPLOYMENTS}/d/status", config, "controller")
    assert (found["spec"]["replicas"], found["status"]["replicas"]) == (2, 2)
    assert set(managers(found)["controller/Apply/status"]) == {"f:status"}
    assert "f:status" not in managers(found)["user/Apply"]
    del config["status"]["conditions"]  # type: ignore[attr-defined]
    found = await cluster.patch(f"{DEPLOYMENTS}/d/status", config, "controller")
    assert "conditions" not in found["status"]
    with pytest.raises(NotFound):
        await cluster.patch(f"{DEPLOYMENTS}/e/status", {**config, "metadata": {"name": "e"}}, "controller")


async def test_scale_is_applied_by_itself(cluster: Cluster) -> None:
    await cluster.patch(f"{DEPLOYMENTS}/d", deployment(replicas=2), "user")
    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "d"}, "spec": {"replicas": 4}}
    with pytest.raises(Conflict, match=r'conflict with "user": \.spec\.replicas'):
        await cluster.patch(f"{DEPLOYMENTS}/d/scale", scale, "scaler")
    assert (await cluster.patch(f"{DEPLOYMENTS}/d/scale", scale, "scaler", force=True))["spec"] == {"replicas": 4}
    found = await cluster.get(f"{DEPLOYMENTS}/d")
    assert managers(found)["scaler/Apply/scale"] == {"f:spec": {"f:replicas": {}}}
    assert "f:replicas" not in managers(found)["user/Apply"]["f:spec"]
    with pytest.raises(BadRequest, match=r"\.spec\.replcas"):
        await cluster.patch(f"{DEPLOYMENTS}/d/scale", {**scale, "spec": {"replcas": 1}}, "scaler")
    with pytest.raises(Invalid):
        await cluster.patch(f"{DEPLOYMENTS}/d/scale", {**scale, "spec": {"replicas": -1}}, "scaler")


async def test_resource_versions_and_uids_are_preconditions(cluster: Cluster) -> None:
    config = config_map(a="1")
    with pytest.raises(Conflict, match="uid mismatch"):
        await cluster.patch(f"{MAPS}/c", {**config, "metadata": {"name": "c", "uid": "u"}})
    first = await cluster.patch(f"{MAPS}/c", config)
    await cluster.patch(f"{MAPS}/c", config_map(a="2"))
    old = {**config, "metadata": {"name": "c", "resourceVersion": first["metadata"]["resourceVersion"]}}
    with pytest.raises(Conflict, match="the object has been modified"):
        await cluster.patch(f"{MAPS}/c", old)
    with pytest.raises(Conflict, match="UID"):
        await cluster.patch(f"{MAPS}/c", {**config, "metadata": {"name": "c", "uid": "u"}})


async def test_dry_run(cluster: Cluster) -> None:
    dry = (("dryRun", "All"),)
    assert (await cluster.patch(f"{MAPS}/c", config_map(a="1"), query=dry))["data"] == {"a": "1"}
    with pytest.raises(NotFound):
        await cluster.get(f"{MAPS}/c")
    first = await cluster.patch(f"{MAPS}/c", config_map(a="1"))
    assert (await cluster.patch(f"{MAPS}/c", config_map(a="2"), query=dry))["data"] == {"a": "2"}
    assert await cluster.get(f"{MAPS}/c") == first


async def test_creating_needs_the_right_to_create(cluster: Cluster) -> None:
    user = cluster.client_for("jane")
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "patcher"},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["patch"]}],
    }  # fmt: skip
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "patcher"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "patcher"},
        "subjects": [{"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"}],
    }  # fmt: skip
    base = "/apis/rbac.authorization.k8s.io/v1"
    await cluster.patch(f"{base}/clusterroles/patcher", role)
    await cluster.patch(f"{base}/clusterrolebindings/patcher", binding)
    headers = {"content-type": "application/apply-patch+yaml"}
    body = msgspec.json.encode(config_map(a="1"))
    with pytest.raises(Forbidden, match='cannot create resource "configmaps"'):
        await user.raw("PATCH", f"{MAPS}/c", query=[("fieldManager", "jane")], body=body, headers=headers)
    await cluster.patch(f"{MAPS}/c", config_map(a="1"))
    assert (await user.raw("PATCH", f"{MAPS}/c", query=[("fieldManager", "jane")], body=body, headers=headers)).status == 200


async def test_managed_fields_can_be_edited_and_reset(cluster: Cluster) -> None:
    await cluster.patch(f"{MAPS}/c", config_map(a="1", b="1"), "one")
    merge = {"content-type": "application/merge-patch+json"}
    mine = {"manager": "two", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {"f:a": {}}}}
    await cluster.client.raw("PATCH", f"{MAPS}/c", body=msgspec.json.encode({"metadata": {"managedFields": [mine]}}), headers=merge)
    assert managers(await cluster.get(f"{MAPS}/c")) == {"two/Apply": {"f:data": {"f:a": {}}}}
    wrong = {**mine, "operation": "Guess"}
    await cluster.client.raw("PATCH", f"{MAPS}/c", body=msgspec.json.encode({"metadata": {"managedFields": [wrong]}}), headers=merge)
    assert managers(await cluster.get(f"{MAPS}/c")) == {"two/Apply": {"f:data": {"f:a": {}}}}
    await cluster.client.raw("PATCH", f"{MAPS}/c", body=b'{"metadata":{"managedFields":[{}]}}', headers=merge)
    assert "managedFields" not in (await cluster.get(f"{MAPS}/c"))["metadata"]
    await cluster.client.raw("PATCH", f"{MAPS}/c", body=b'{"data":{"z":"1"}}', headers=merge)
    assert "managedFields" not in (await cluster.get(f"{MAPS}/c"))["metadata"], "an object without managers is not tracked"
    found = await cluster.patch(f"{MAPS}/c", config_map(a="1"), "three")
    assert set(managers(found)) == {"before-first-apply/Update", "three/Apply"}


async def test_a_subresource_cannot_rewrite_who_owns_what(cluster: Cluster) -> None:
    made = await cluster.patch(f"{DEPLOYMENTS}/d", deployment(replicas=2), "user")
    body = {**made, "metadata": {**made["metadata"], "managedFields": [{}]}, "status": {"replicas": 1}}
    await cluster.client.raw("PUT", f"{DEPLOYMENTS}/d/status", body=msgspec.json.encode(body))
    assert set(managers(await cluster.get(f"{DEPLOYMENTS}/d"))) == {"user/Apply", "test/Update/status"}


async def test_deployment_controllers_writes_do_not_disturb_the_applier(cluster: Cluster) -> None:
    """A generation grows with the spec only, and typed clients that drop managedFields lose nothing."""
    await cluster.patch(f"{DEPLOYMENTS}/d", deployment(replicas=2), "user")
    typed = await cluster.client.get(apps.Deployment, "d", "default")
    typed.metadata.managedFields = []
    typed.status.observedGeneration = 1
    await cluster.client.update_status(typed)
    found = await cluster.patch(f"{DEPLOYMENTS}/d", deployment(replicas=3), "user")
    assert found["metadata"]["generation"] == 2
    assert found["status"] == {"observedGeneration": 1}
    assert set(managers(found)) == {"user/Apply", "test/Update/status"}


async def test_many_applies_at_once(cluster: Cluster) -> None:
    """Each manager has its own key; none is lost to a race."""
    import asyncio

    await asyncio.gather(*(cluster.patch(f"{MAPS}/c", config_map(**{f"k{number}": "1"}), f"m{number}") for number in range(20)))
    found = await cluster.get(f"{MAPS}/c")
    assert len(found["data"]) == len(managers(found)) == 20
    assert found["metadata"]["managedFields"][0]["time"]
