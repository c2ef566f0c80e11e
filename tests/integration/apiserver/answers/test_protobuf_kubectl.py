"""Real Go code speaks protobuf with the server: kubectl's typed clients send and prefer it."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import UTC, datetime

import pytest

from tests.integration.apiserver.answers.conftest import PROTOBUF, Cluster
from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.machinery.base import Quantity
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.policy import v1 as policy
from tiphys.api.rbac import v1 as rbac
from tiphys.testing.eventually import eventually

NAMESPACE = "/api/v1/namespaces/shop"
MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture(autouse=True)
async def shop(cluster: Cluster) -> None:
    await cluster.kubectl("create", "namespace", "shop")
    cluster.spoke_protobuf("POST", "/api/v1/namespaces", 201)


async def test_configuration(cluster: Cluster) -> None:
    kubectl, client = cluster.kubectl, cluster.client
    await kubectl("create", "sa", "builder", "-n", "shop")
    cluster.spoke_protobuf("POST", f"{NAMESPACE}/serviceaccounts", 201)
    assert (await client.get(core.ServiceAccount, "builder", "shop")).metadata.uid
    await kubectl("create", "configmap", "c", "--from-literal=a=b", "--from-literal=e=", "-n", "shop")
    assert (await client.get(core.ConfigMap, "c", "shop")).data == {"a": "b", "e": ""}
    await kubectl("create", "secret", "generic", "s", "--from-literal=a=ü", "-n", "shop")
    secret = await client.get(core.Secret, "s", "shop")
    assert (secret.data, secret.type) == ({"a": "ü".encode()}, "Opaque")


async def test_roles(cluster: Cluster) -> None:
    kubectl, client = cluster.kubectl, cluster.client
    await kubectl("create", "role", "r", "--verb=get,list", "--resource=pods,deployments.apps", "-n", "shop")
    await kubectl("create", "rolebinding", "rb", "--role=r", "--user=me", "--serviceaccount=shop:default", "-n", "shop")
    await kubectl("create", "clusterrole", "cr", "--verb=get", "--non-resource-url=/metrics")
    role = await client.get(rbac.Role, "r", "shop")
    assert [(rule.apiGroups, rule.resources, rule.verbs) for rule in role.rules or []] == [
        ([""], ["pods"], ["get", "list"]),
        (["apps"], ["deployments"], ["get", "list"]),
    ]
    binding = await client.get(rbac.RoleBinding, "rb", "shop")
    assert (binding.roleRef.name, [subject.name for subject in binding.subjects]) == ("r", ["me", "default"])
    assert ((await client.get(rbac.ClusterRole, "cr")).rules or [])[0].nonResourceURLs == ["/metrics"]
    cluster.spoke_protobuf("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", 201)


async def test_workloads_and_services(cluster: Cluster) -> None:
    kubectl, client = cluster.kubectl, cluster.client
    await kubectl("create", "deployment", "web", "--image=nginx:1", "--replicas=0", "--port=80", "-n", "shop")
    cluster.spoke_protobuf("POST", "/apis/apps/v1/namespaces/shop/deployments", 201)
    deployment = await client.get(apps.Deployment, "web", "shop")
    assert deployment.spec.replicas == 0
    assert deployment.spec.strategy.type == "RollingUpdate"
    assert deployment.metadata.creationTimestamp is not None
    assert [port.containerPort for port in deployment.spec.template.spec.containers[0].ports] == [80]
    await kubectl("create", "service", "nodeport", "web", "--tcp=80:http", "-n", "shop")
    cluster.spoke_protobuf("POST", f"{NAMESPACE}/services", 201)
    service = await client.get(core.Service, "web", "shop")
    assert (service.spec.ports[0].targetPort, service.spec.type) == ("http", "NodePort")
    await kubectl("create", "pdb", "web", "--selector=app=web", "--min-available=50%", "-n", "shop")
    assert (await client.get(policy.PodDisruptionBudget, "web", "shop")).spec.minAvailable == "50%"
    shown = await kubectl("describe", "deployment", "web", "-n", "shop")
    cluster.spoke_protobuf("GET", "/apis/apps/v1/namespaces/shop/deployments/web", 200)
    assert "Replicas:               0 desired" in shown
    assert "25% max unavailable, 25% max surge" in shown


POD = """
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: shop, annotations: {a: b}, finalizers: [example.com/hold]}
spec:
  containers:
  - name: c
    image: c
    env:
    - {name: A, valueFrom: {secretKeyRef: {name: s, key: k}}}
    - {name: B, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}
    ports: [{containerPort: 80, hostIP: 1.2.3.4, hostPort: 8080}]
    resources: {limits: {cpu: 500m, memory: 1Gi}}
    livenessProbe: {httpGet: {port: http, path: /live}, periodSeconds: 7}
    volumeMounts: [{name: v, mountPath: /v}, {name: h, mountPath: /h}]
    lifecycle: {preStop: {exec: {command: [sleep, "1"]}}}
  volumes:
  - {name: v, projected: {sources: [{configMap: {name: cm, items: [{key: a, path: b}]}}, {serviceAccountToken: {path: t}}]}}
  - {name: h, hostPath: {path: /tmp, type: Directory}}
  tolerations: [{key: k, operator: Exists, effect: NoExecute, tolerationSeconds: 9}]
"""


async def test_describe_reads_everything(cluster: Cluster) -> None:
    """Go decodes our protobuf as far as `describe` shows it."""
    await cluster.kubectl("create", "sa", "default", "-n", "shop")
    await cluster.kubectl("create", "-f", "-", stdin=POD)
    shown = await cluster.kubectl("describe", "pod", "p", "-n", "shop")
    cluster.spoke_protobuf("GET", f"{NAMESPACE}/pods/p", 200)
    lines = {" ".join(line.split()) for line in shown.splitlines()}
    assert {
        "Annotations: a: b",
        "Host Port: 8080/TCP",
        "memory: 1Gi",
        "Liveness: http-get http://:http/live delay=0s timeout=1s period=7s successThreshold=1 failureThreshold=3",
        "A: <set to the key 'k' in secret 's'> Optional: false",
        "B: 1 (limits.cpu)",
        "ConfigMapName: cm",
        "TokenExpirationSeconds: 3600",
        "HostPathType: Directory",
        "/v from v (rw)",
        "Status: Pending",
    } <= lines, shown
    assert "Tolerations: k:NoExecute op=Exists for 9s" in " ".join(shown.split())


async def test_tokens_and_reviews(cluster: Cluster) -> None:
    kubectl = cluster.kubectl
    await kubectl("create", "sa", "default", "-n", "shop")
    token = await kubectl("create", "token", "default", "--duration=20m", "--audience=here", "-n", "shop")
    cluster.spoke_protobuf("POST", f"{NAMESPACE}/serviceaccounts/default/token", 201)
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert (claims["aud"], claims["exp"] - claims["iat"]) == (["here"], 1200)
    assert "*.*" in await kubectl("auth", "can-i", "--list", "-n", "shop")
    cluster.spoke_protobuf("POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", 201)
    assert (await kubectl("auth", "can-i", "create", "pods", "-n", "shop")).strip() == "yes"
    assert "no" in await kubectl.fails("auth", "can-i", "create", "pods", "-n", "shop", "--as=nobody") + "no"
    who = await kubectl("auth", "whoami", "--as=me", "--as-group=g", "--as-user-extra=k=v")
    cluster.spoke_protobuf("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", 201)
    assert "Extra: k [v]" in " ".join(who.split())


async def test_errors_reach_kubectl(cluster: Cluster) -> None:
    kubectl = cluster.kubectl
    await kubectl("create", "sa", "a", "-n", "shop")
    said = await kubectl.fails("create", "sa", "a", "-n", "shop")
    assert 'serviceaccounts "a" already exists' in said
    cluster.spoke_protobuf("POST", f"{NAMESPACE}/serviceaccounts", 409)
    said = await kubectl.fails("create", "sa", "b", "-n", "shop", "--as=nobody")
    assert 'serviceaccounts is forbidden: User "nobody" cannot create resource "serviceaccounts"' in said
    said = await kubectl.fails("create", "deployment", "Web_1", "--image=a", "-n", "shop")
    assert "Invalid value" in said
    cluster.spoke_protobuf("POST", "/apis/apps/v1/namespaces/shop/deployments", 422)


async def test_drain_evicts(cluster: Cluster) -> None:
    kubectl, client = cluster.kubectl, cluster.client
    await kubectl("create", "sa", "default", "-n", "shop")
    await client.create(core.Node(metadata=ObjectMeta(name="n1")))
    for name in ("a", "b"):
        spec = core.PodSpec(nodeName="n1", containers=[core.Container(name="c", image="c")])
        await client.create(core.Pod(metadata=ObjectMeta(name=name, namespace="shop"), spec=spec))
    draining = await cluster.kubectl.start("drain", "n1", "--force", "--timeout=30s")
    try:

        async def confirmed() -> bool:
            """Plays the kubelet, which confirms deletions, until no pod is left."""
            pods = (await client.list(core.Pod, "shop")).items
            for pod in pods:
                if pod.metadata.deletionTimestamp:
                    await client.delete(core.Pod, pod.metadata.name, "shop", grace=0)
            return not pods

        await eventually(confirmed)
        out, _ = await asyncio.wait_for(draining.communicate(), 60)
    finally:
        if draining.returncode is None:
            draining.kill()
            await draining.wait()
    assert b"node/n1 drained" in out, out
    assert all(cluster.sent("POST", f"{NAMESPACE}/pods/{name}/eviction").status == 201 for name in ("a", "b"))
    cluster.spoke_protobuf("GET", "/api/v1/pods", 200)
    cluster.spoke_protobuf("GET", f"{NAMESPACE}/pods/a", 404)


async def test_a_watch_in_protobuf(cluster: Cluster) -> None:
    """`kubectl events --watch` lists and watches with a typed client."""
    client = cluster.client
    reader = await cluster.kubectl.start("events", "--watch", "-n", "shop")
    try:
        await eventually(lambda: any(item.answered.endswith("stream=watch") for item in cluster.exchanges))
        async with asyncio.timeout(30):
            about = core.ObjectReference(kind="Pod", namespace="shop", name="p")
            for number in range(3):
                meta = ObjectMeta(name=f"e{number}", namespace="shop")
                await client.create(
                    core.Event(metadata=meta, involvedObject=about, reason="Told", message=f"story {number}", type="Normal", count=1)
                )
            assert reader.stdout is not None
            seen = b""
            while b"story 2" not in seen:
                seen += await reader.stdout.readline()
    finally:
        reader.kill()
        await reader.communicate()
    assert b"Pod/p" in seen
    assert seen.index(b"story 0") < seen.index(b"story 1")
    assert cluster.sent("GET", f"{NAMESPACE}/events").answered == f"{PROTOBUF};stream=watch"


SEVERAL = """
apiVersion: v1
kind: Node
metadata: {name: n1}
spec: {podCIDR: 10.42.0.0/24, podCIDRs: [10.42.0.0/24], taints: [{key: k, value: v, effect: NoSchedule}]}
---
apiVersion: v1
kind: Service
metadata: {name: s, namespace: shop}
spec:
  selector: {app: web}
  sessionAffinity: ClientIP
  ports: [{name: http, port: 80, targetPort: http}, {name: dns, port: 53, protocol: UDP}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: s-1, namespace: shop, labels: {kubernetes.io/service-name: s}}
addressType: IPv4
ports: [{name: http, port: 8080, protocol: TCP}, {name: dns, port: 53, protocol: UDP}]
endpoints:
- {addresses: [10.42.0.5], conditions: {ready: true}}
- {addresses: [10.42.0.6], conditions: {ready: false}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: b, namespace: shop}
spec: {maxUnavailable: 30%, selector: {matchExpressions: [{key: app, operator: In, values: [web, api]}]}}
---
apiVersion: v1
kind: Secret
metadata: {name: s, namespace: shop}
type: example.com/x
data: {bytes: AAECAw==}
---
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: l, namespace: shop}
spec: {holderIdentity: me, leaseDurationSeconds: 15, renewTime: "2026-01-02T03:04:05.678901Z"}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: r}
rules: [{apiGroups: [apps], resources: [deployments], resourceNames: [web], verbs: [get]}, {nonResourceURLs: [/x], verbs: [get]}]
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: rs, namespace: shop}
spec:
  replicas: 0
  selector: {matchLabels: {a: b}}
  template:
    metadata: {labels: {a: b}}
    spec:
      containers: [{name: c, image: c}]
      nodeSelector: {disk: ssd}
"""

DESCRIBED = [
    ("service", "s", "/api/v1/namespaces/shop/services/s", ["TargetPort: http/TCP", "Session Affinity: ClientIP"]),
    ("service", "s", "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices", ["Endpoints: 10.42.0.5:8080", "Endpoints: 10.42.0.5:53"]),
    ("pdb", "b", "/apis/policy/v1/namespaces/shop/poddisruptionbudgets/b", ["Max unavailable: 30%", "Selector: app in (api,web)"]),
    ("secret", "s", "/api/v1/namespaces/shop/secrets/s", ["Type: example.com/x", "bytes: 4 bytes"]),
    ("lease", "l", "", ["Renew Time: 2026-01-02T03:04:05.678901Z"]),
    ("clusterrole", "r", "/apis/rbac.authorization.k8s.io/v1/clusterroles/r", ["deployments.apps [] [web] [get]", "[/x] [] [get]"]),
    ("rs", "rs", "/apis/apps/v1/namespaces/shop/replicasets/rs", ["Replicas: 0 current / 0 desired", "Node-Selectors: disk=ssd"]),
]


async def test_other_kinds_are_described(cluster: Cluster) -> None:
    await cluster.kubectl("create", "-f", "-", stdin=SEVERAL)
    for kind, name, path, expected in DESCRIBED:
        shown = await cluster.kubectl("describe", kind, name, "-n", "shop")
        lines = {" ".join(line.split()) for line in shown.splitlines()}
        assert set(expected) <= lines, shown
        if path:
            cluster.spoke_protobuf("GET", path, 200)


async def test_nodes_are_described(cluster: Cluster) -> None:
    node = core.Node(metadata=ObjectMeta(name="n1"), spec=core.NodeSpec(podCIDR="10.42.0.0/24", podCIDRs=["10.42.0.0/24"]))
    await cluster.client.create(node)
    node = await cluster.client.get(core.Node, "n1")
    node.status = core.NodeStatus(
        capacity={"cpu": Quantity("2"), "memory": Quantity("4Gi"), "pods": Quantity("110")},
        allocatable={"cpu": Quantity("1900m"), "memory": Quantity("3Gi"), "pods": Quantity("110")},
        conditions=[core.NodeCondition(type="Ready", status="True", reason="Up", message="all is well", lastHeartbeatTime=MOMENT)],
        addresses=[core.NodeAddress(type="InternalIP", address="192.0.2.1")],
        nodeInfo=core.NodeSystemInfo(kubeletVersion="v1.36.0", architecture="amd64", operatingSystem="linux"),
    )
    await cluster.client.update_status(node)
    shown = await cluster.kubectl("describe", "node", "n1")
    cluster.spoke_protobuf("GET", "/api/v1/nodes/n1", 200)
    lines = {" ".join(line.split()) for line in shown.splitlines()}
    assert {"cpu: 1900m", "memory: 4Gi", "PodCIDR: 10.42.0.0/24", "InternalIP: 192.0.2.1", "Kubelet Version: v1.36.0"} <= lines, shown
    assert "Fri, 02 Jan 2026 03:04:05 +0000" in shown
