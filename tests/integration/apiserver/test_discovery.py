"""Discovery of every group, version and resource, in each of its forms."""

from __future__ import annotations

import pytest

from tests.integration.apiserver.api import Api, Doc

EXPECTED = {
    "admissionregistration.k8s.io/v1": "validatingwebhookconfigurations",
    "apiextensions.k8s.io/v1": "customresourcedefinitions",
    "apps/v1": "deployments",
    "authentication.k8s.io/v1": "tokenreviews",
    "authorization.k8s.io/v1": "selfsubjectaccessreviews",
    "autoscaling/v1": "horizontalpodautoscalers",
    "autoscaling/v2": "horizontalpodautoscalers",
    "batch/v1": "jobs",
    "certificates.k8s.io/v1": "certificatesigningrequests",
    "coordination.k8s.io/v1": "leases",
    "discovery.k8s.io/v1": "endpointslices",
    "events.k8s.io/v1": "events",
    "flowcontrol.apiserver.k8s.io/v1": "flowschemas",
    "networking.k8s.io/v1": "ingresses",
    "node.k8s.io/v1": "runtimeclasses",
    "policy/v1": "poddisruptionbudgets",
    "rbac.authorization.k8s.io/v1": "clusterroles",
    "resource.k8s.io/v1": "resourceclaims",
    "scheduling.k8s.io/v1": "priorityclasses",
    "storage.k8s.io/v1": "storageclasses",
    "v1": "namespaces",
}
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


async def test_every_group_has_its_preferred_version(api: Api) -> None:
    groups = (await api.get("/apis")).doc["groups"]
    for group in groups:
        versions = [entry["groupVersion"] for entry in group["versions"]]
        assert group["preferredVersion"]["groupVersion"] == versions[0]
        assert (await api.get(f"/apis/{group['name']}")).doc["preferredVersion"] == group["preferredVersion"]
        for entry in group["versions"]:
            assert entry["groupVersion"] == f"{group['name']}/{entry['version']}"
    assert {entry["groupVersion"] for group in groups for entry in group["versions"]} >= set(EXPECTED) - {"v1"}


@pytest.mark.parametrize("version", EXPECTED)
async def test_every_version_lists_its_resources(api: Api, version: str) -> None:
    found = (await api.get(f"/apis/{version}" if "/" in version else f"/api/{version}")).doc
    assert (found["kind"], found["groupVersion"]) == ("APIResourceList", version)
    resources = {resource["name"]: resource for resource in found["resources"]}
    assert EXPECTED[version] in resources
    for resource in resources.values():
        assert resource["kind"]
        assert resource["verbs"]
        assert isinstance(resource["namespaced"], bool)


def _listed(document: Doc) -> set[tuple[str, str]]:
    """Version and name of each resource in an APIGroupDiscoveryList."""
    assert (document["kind"], document["apiVersion"]) == ("APIGroupDiscoveryList", "apidiscovery.k8s.io/v2")
    found = set()
    for group in document["items"]:
        name = group["metadata"].get("name", "")
        for version in group["versions"]:
            assert version["freshness"] == "Current"
            found |= {
                (f"{name}/{version['version']}" if name else version["version"], resource["resource"]) for resource in version["resources"]
            }
    return found


async def test_one_document_lists_everything(api: Api) -> None:
    both = [await api.get(path, accept=AGGREGATED) for path in ("/api", "/apis")]
    assert {answer.headers["Content-Type"] for answer in both} == {AGGREGATED}
    listed = _listed(both[0].doc) | _listed(both[1].doc)
    assert set(EXPECTED.items()) <= listed
    plain = set()
    for version in EXPECTED:
        found = (await api.get(f"/apis/{version}" if "/" in version else f"/api/{version}")).doc
        plain |= {(version, resource["name"]) for resource in found["resources"] if "/" not in resource["name"]}
    assert {(version, name) for version, name in listed if version in EXPECTED} == plain


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (f"{AGGREGATED},application/json", "APIGroupDiscoveryList"),
        ("application/json", "APIGroupList"),
        ("application/json;g=apidiscovery.k8s.io;v=v9;as=APIGroupDiscoveryList,application/json", "APIGroupList"),
        ("", "APIGroupList"),
    ],
)
async def test_the_accept_header_chooses_the_form(api: Api, accept: str, kind: str) -> None:
    assert (await api.get("/apis", accept=accept)).doc["kind"] == kind
