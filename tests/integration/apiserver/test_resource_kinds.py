"""Device classes, claims, templates and slices over the API."""

from __future__ import annotations

from tests.integration.apiserver.api import Api, Doc
from tests.integration.apiserver.operations import is_discovered, supports_all_verbs

GROUP = "resource.k8s.io"
PATH = f"/apis/{GROUP}/v1"
NAMED = f"{PATH}/namespaces/default"
CLAIM: Doc = {"devices": {"requests": [{"name": "gpu", "exactly": {"deviceClassName": "gpu.example.com"}}]}}
ANNOTATED: Doc = {"metadata": {"labels": {"changed": "true", "test": "operations"}, "annotations": {"patched": "true"}}}


async def test_device_class_operations(api: Api) -> None:
    """[sig-node] [DRA] CRUD Tests resource.k8s.io/v1 DeviceClass"""
    await is_discovered(api, GROUP, "v1", "deviceclasses")
    change = {"spec": {"selectors": [{"cel": {"expression": "device.driver == 'example.com'"}}]}}
    await supports_all_verbs(api, f"{PATH}/deviceclasses", {"spec": {}}, change, status=False)


async def test_resource_claim_operations(api: Api) -> None:
    """[sig-node] [DRA] CRUD Tests resource.k8s.io/v1 ResourceClaim"""
    await is_discovered(api, GROUP, "v1", "resourceclaims", "resourceclaims/status")
    await supports_all_verbs(api, f"{NAMED}/resourceclaims", {"spec": CLAIM}, ANNOTATED, status=False)
    made = await api.post(f"{NAMED}/resourceclaims", {"metadata": {"name": "a"}, "spec": CLAIM})
    assert made.doc["spec"]["devices"]["requests"][0]["exactly"]["allocationMode"] == "ExactCount"
    assert len(made.warnings) == 1
    result = {"request": "gpu", "driver": "example.com", "pool": "p", "device": "d"}
    status = {"status": {"allocation": {"devices": {"results": [result]}}}}
    changed = await api.patch(f"{NAMED}/resourceclaims/a/status", status)
    assert changed.doc["status"]["allocation"]["devices"]["results"] == [result]
    assert (await api.get(f"{NAMED}/resourceclaims/a/status")).doc["status"] == changed.doc["status"]
    refused = await api.patch(f"{NAMED}/resourceclaims/a", {"spec": {"devices": {"requests": []}}})
    assert (refused.status, refused.reason) == (422, "Invalid")


async def test_resource_claim_template_operations(api: Api) -> None:
    """[sig-node] [DRA] CRUD Tests resource.k8s.io/v1 ResourceClaimTemplate"""
    await is_discovered(api, GROUP, "v1", "resourceclaimtemplates")
    await supports_all_verbs(api, f"{NAMED}/resourceclaimtemplates", {"spec": {"spec": CLAIM}}, ANNOTATED, status=False)


async def test_resource_slice_operations(api: Api) -> None:
    """[sig-node] [DRA] CRUD Tests resource.k8s.io/v1 ResourceSlice"""
    await is_discovered(api, GROUP, "v1", "resourceslices")
    spec: Doc = {"driver": "example.com", "pool": {"name": "a", "generation": 1, "resourceSliceCount": 1}, "nodeName": "node-a"}
    change = {"spec": {"devices": [{"name": "gpu-0", "taints": [{"key": "a", "effect": "NoSchedule"}]}]}}
    await supports_all_verbs(api, f"{PATH}/resourceslices", {"spec": spec}, change, status=False)
    await api.post(f"{PATH}/resourceslices", {"metadata": {"name": "a"}, "spec": spec})
    await api.post(f"{PATH}/resourceslices", {"metadata": {"name": "b"}, "spec": {**spec, "nodeName": "node-b"}})
    assert (await api.get(f"{PATH}/resourceslices?fieldSelector=spec.nodeName%3Dnode-b")).names == ["b"]
    assert (await api.get(f"{PATH}/resourceslices?fieldSelector=spec.driver%3Dexample.com")).names == ["a", "b"]


async def test_admin_access_needs_a_marked_namespace(api: Api) -> None:
    exactly = {"deviceClassName": "gpu.example.com", "adminAccess": True}
    spec = {"devices": {"requests": [{"name": "gpu", "exactly": exactly}]}}
    said = "Forbidden: admin access to devices requires the `resource.kubernetes.io/admin-access: true` label on the containing namespace"
    refused = await api.post(f"{NAMED}/resourceclaims", {"metadata": {"name": "a"}, "spec": spec})
    assert (refused.status, refused.reason) == (422, "Invalid")
    assert refused.message == f'ResourceClaim.resource.k8s.io "a" is invalid: spec.devices.requests[0].exactly.adminAccess: {said}'
    refused = await api.post(f"{NAMED}/resourceclaimtemplates", {"metadata": {"name": "a"}, "spec": {"spec": spec}})
    assert refused.status == 422
    await api.post(f"{NAMED}/resourceclaims", {"metadata": {"name": "b"}, "spec": CLAIM})
    result = {"request": "gpu", "driver": "example.com", "pool": "p", "device": "d", "adminAccess": True}
    status = {"status": {"allocation": {"devices": {"results": [result]}}}}
    refused = await api.patch(f"{NAMED}/resourceclaims/b/status", status)
    assert refused.status == 422
    await api.patch("/api/v1/namespaces/default", {"metadata": {"labels": {"resource.kubernetes.io/admin-access": "true"}}})
    assert (await api.post(f"{NAMED}/resourceclaims", {"metadata": {"name": "a"}, "spec": spec})).status == 201
    assert (await api.patch(f"{NAMED}/resourceclaims/b/status", status)).status == 200
