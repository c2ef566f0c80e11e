"""`kubectl apply --server-side` and its options, with a real kubectl."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.apiserver.verbs.conftest import Cluster, managers

DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


def deployment(replicas: int | None = 2, image: str = "web:1", **labels: str) -> str:
    spec: dict[str, Any] = {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": image}]}},
    }
    if replicas is not None:
        spec["replicas"] = replicas
    meta = {"name": "web", "namespace": "default", "labels": labels}
    return json.dumps({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec})


async def web(cluster: Cluster) -> dict[str, Any]:
    return await cluster.get(f"{DEPLOYMENTS}/web")


async def test_apply_creates_and_then_changes_nothing(cluster: Cluster) -> None:
    said = await cluster.kubectl("apply", "--server-side", "-f", "-", stdin=deployment())
    assert said == "deployment.apps/web serverside-applied\n"
    first = await web(cluster)
    assert list(managers(first)) == ["kubectl/Apply"]
    assert managers(first)["kubectl/Apply"]["f:spec"]["f:replicas"] == {}
    assert "f:strategy" not in managers(first)["kubectl/Apply"]["f:spec"]
    await cluster.kubectl("apply", "--server-side", "-f", "-", stdin=deployment())
    assert await web(cluster) == first
    assert "managedFields" not in await cluster.kubectl("get", "deployment", "web", "-o", "yaml")
    assert "managedFields" in await cluster.kubectl("get", "deployment", "web", "-o", "yaml", "--show-managed-fields")


async def test_conflict_force_and_field_manager(cluster: Cluster) -> None:
    await cluster.kubectl("apply", "--server-side", "--field-manager=ci", "-f", "-", stdin=deployment(2))
    said = await cluster.kubectl.fails("apply", "--server-side", "--field-manager=ops", "-f", "-", stdin=deployment(3))
    assert 'Apply failed with 1 conflict: conflict with "ci": .spec.replicas' in said
    await cluster.kubectl("apply", "--server-side", "--field-manager=ops", "--force-conflicts", "-f", "-", stdin=deployment(3))
    found = await web(cluster)
    assert found["spec"]["replicas"] == 3
    assert "f:replicas" not in managers(found)["ci/Apply"]["f:spec"]
    assert managers(found)["ops/Apply"]["f:spec"]["f:replicas"] == {}
    # Fields with the same value are shared, and stay until the last owner lets go.
    await cluster.kubectl("apply", "--server-side", "--field-manager=ci", "-f", "-", stdin=deployment(None))
    assert (await web(cluster))["spec"]["replicas"] == 3


async def test_conflict_with_what_client_side_apply_of_others_wrote(cluster: Cluster) -> None:
    await cluster.kubectl("apply", "-f", "-", stdin=deployment(2))
    assert "kubectl-client-side-apply/Update" in managers(await web(cluster))
    said = await cluster.kubectl.fails("apply", "--server-side", "--field-manager=other", "-f", "-", stdin=deployment(3))
    assert 'conflict with "kubectl-client-side-apply" using apps/v1: .spec.replicas' in said


async def test_from_client_side_to_server_side_apply_and_back(cluster: Cluster) -> None:
    await cluster.kubectl("apply", "-f", "-", stdin=deployment(2, tier="front"))
    await cluster.kubectl("apply", "--server-side", "-f", "-", stdin=deployment(3))
    found = await web(cluster)
    assert found["spec"]["replicas"] == 3
    assert "labels" not in found["metadata"], "a field that was applied before and is not any more goes"
    assert set(managers(found)) == {"kubectl/Apply", "kubectl-last-applied/Apply"}, "kubectl keeps its note under a name of its own"
    noted = json.loads(found["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"])
    assert noted["spec"]["replicas"] == 3
    await cluster.kubectl("apply", "-f", "-", stdin=deployment(4))
    assert (await web(cluster))["spec"]["replicas"] == 4


async def test_scale_takes_the_replicas_over(cluster: Cluster) -> None:
    await cluster.kubectl("apply", "--server-side", "-f", "-", stdin=deployment(2))
    await cluster.kubectl("scale", "deployment/web", "--replicas=5")
    found = await web(cluster)
    assert managers(found)["kubectl/Update/scale"] == {"f:spec": {"f:replicas": {}}}
    assert "f:replicas" not in managers(found)["kubectl/Apply"]["f:spec"]
    said = await cluster.kubectl.fails("apply", "--server-side", "-f", "-", stdin=deployment(2))
    assert 'conflict with "kubectl" with subresource "scale" using apps/v1: .spec.replicas' in said
    await cluster.kubectl("apply", "--server-side", "-f", "-", stdin=deployment(None))
    assert (await web(cluster))["spec"]["replicas"] == 5


async def test_diff(cluster: Cluster) -> None:
    await cluster.kubectl("apply", "--server-side", "-f", "-", stdin=deployment(2))
    before = await web(cluster)
    assert await cluster.kubectl("diff", "--server-side", "-f", "-", stdin=deployment(2)) == ""
    said = await cluster.kubectl.fails("diff", "--server-side", "-f", "-", stdin=deployment(7))
    assert "-  replicas: 2" in said
    assert "+  replicas: 7" in said
    assert await web(cluster) == before


async def test_dry_run_creates_nothing(cluster: Cluster) -> None:
    said = await cluster.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", stdin=deployment())
    assert said == "deployment.apps/web serverside-applied (server dry run)\n"
    assert "NotFound" in await cluster.kubectl.fails("get", "deployment", "web")


async def test_unknown_and_repeated_fields(cluster: Cluster) -> None:
    wrong = deployment().replace('"replicas"', '"replics"')
    said = await cluster.kubectl.fails("apply", "--server-side", "--validate=false", "-f", "-", stdin=wrong)
    assert ".spec.replics: field not declared in schema" in said


@pytest.mark.parametrize("kind", ["service", "configmap", "secret", "deployment", "role"])
async def test_kubectls_own_generators(cluster: Cluster, kind: str) -> None:
    make = {
        "service": ["create", "service", "clusterip", "x", "--tcp=80:8080"],
        "configmap": ["create", "configmap", "x", "--from-literal=a=b"],
        "secret": ["create", "secret", "generic", "x", "--from-literal=a=b"],
        "deployment": ["create", "deployment", "x", "--image=x", "--port=80"],
        "role": ["create", "role", "x", "--verb=get", "--resource=pods"],
    }[kind]
    made = await cluster.kubectl(*make, "--dry-run=client", "-o", "yaml")
    for _ in range(2):
        await cluster.kubectl("apply", "--server-side", "-f", "-", stdin=made)
    said = await cluster.kubectl("get", kind, "x", "-o", "json", "--show-managed-fields")
    assert [entry["manager"] for entry in json.loads(said)["metadata"]["managedFields"]] == ["kubectl"]
