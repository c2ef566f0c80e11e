"""An older kubectl meets the same server."""

from __future__ import annotations

from tests.integration.apiserver.answers.conftest import OLD_KUBECTL, Cluster
from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core


async def test_the_usual_verbs(cluster: Cluster) -> None:
    cluster.kubectl.binary = OLD_KUBECTL
    kubectl, client = cluster.kubectl, cluster.client
    await kubectl("create", "namespace", "shop")
    await kubectl("create", "sa", "default", "-n", "shop")
    await kubectl("create", "configmap", "c", "--from-literal=a=b", "-n", "shop")
    await kubectl("create", "secret", "generic", "s", "--from-literal=a=b", "-n", "shop")
    await kubectl("create", "role", "r", "--verb=get", "--resource=pods", "-n", "shop")
    await kubectl("create", "rolebinding", "rb", "--role=r", "--user=me", "-n", "shop")
    await kubectl("create", "deployment", "web", "--image=nginx", "-n", "shop")
    await kubectl("expose", "deployment", "web", "--port=80", "--target-port=http", "-n", "shop")
    await kubectl("run", "p", "--image=nginx", "-n", "shop")
    await kubectl("scale", "deployment", "web", "--replicas=3", "-n", "shop")
    await kubectl("label", "pod", "p", "a=b", "-n", "shop")
    assert (await client.get(apps.Deployment, "web", "shop")).spec.replicas == 3
    assert (await client.get(core.Service, "web", "shop")).spec.ports[0].targetPort == "http"
    assert (await client.get(core.Pod, "p", "shop")).metadata.labels["a"] == "b"
    assert "p" in await kubectl("get", "pods", "-n", "shop", "-o", "wide")
    assert "nginx" in await kubectl("describe", "deployment", "web", "-n", "shop")
    assert (await kubectl("auth", "can-i", "create", "pods", "-n", "shop")).strip() == "yes"
    assert "*.*" in await kubectl("auth", "can-i", "--list", "-n", "shop")
    assert "already exists" in await kubectl.fails("create", "sa", "default", "-n", "shop")
    await kubectl("delete", "pod", "p", "-n", "shop", "--now", "--wait=false")
    # It sends and prefers protobuf where it knows the types, as the new one does.
    cluster.spoke_protobuf("POST", "/apis/apps/v1/namespaces/shop/deployments", 201)
    cluster.spoke_protobuf("GET", "/apis/apps/v1/namespaces/shop/deployments/web", 200)
