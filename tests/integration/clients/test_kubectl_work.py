"""Workloads, nodes, rights and generators of kubectl, with an old, the same and a newer one."""

from __future__ import annotations

import asyncio
import base64
import json

from tests.integration.clients.conftest import Kubectl
from tiphys.testing import eventually


async def test_a_deployment_from_first_to_last(kubectl: Kubectl) -> None:
    await kubectl("create deployment web --image=registry.example/web:1 --replicas=2")
    assert "successfully rolled out" in await kubectl("rollout status deployment/web --timeout=30s")
    await kubectl("expose deployment web --port=80 --target-port=8080 --name=front")
    assert await kubectl("get svc front -o jsonpath={.spec.selector.app}:{.spec.ports[0].targetPort}") == "web:8080"
    await kubectl("scale deployment web --replicas=3 --current-replicas=2")
    assert "Expected replicas to be 2, was 3" in await kubectl.fails("scale deployment web --replicas=4 --current-replicas=2")
    await kubectl("set image deployment/web web=registry.example/web:2")
    await kubectl("set env deployment/web MODE=live")
    await kubectl("set resources deployment/web --requests=cpu=10m --limits=memory=64Mi")
    await kubectl("rollout status deployment/web --timeout=30s")
    assert len((await kubectl("rollout history deployment/web")).split("\n\n")[0].splitlines()) >= 2
    await kubectl("rollout undo deployment/web")
    await kubectl("rollout restart deployment/web")
    await kubectl("rollout pause deployment/web")
    await kubectl("rollout resume deployment/web")
    await kubectl("rollout status deployment/web --timeout=30s")
    described = await kubectl("describe deployment web")
    assert "ScalingReplicaSet" in described
    everything = await kubectl("get all -o name")
    assert {"deployment.apps/web", "service/front", "service/kubernetes"} <= set(everything.split())
    assert len([name for name in everything.split() if name.startswith("pod/")]) >= 3
    assert "3/3" in await kubectl("get deploy")
    kept = "--cascade=orphan" if kubectl.knows(20) else "--cascade=false"
    await kubectl(f"delete deployment web {kept}")
    assert "replicaset.apps/web-" in await kubectl("get rs -o name")
    await kubectl("delete rs -l app=web --cascade=foreground --timeout=30s" if kubectl.knows(20) else "delete rs -l app=web")

    async def nothing_left() -> bool:
        return not (await kubectl("get pods,rs -o name")).strip()

    await eventually(nothing_left, timeout=20)


async def test_events_of_an_object(kubectl: Kubectl) -> None:
    await kubectl("create deployment web --image=registry.example/web:1")
    await kubectl("rollout status deployment/web --timeout=30s")

    async def told() -> bool:
        return "ScalingReplicaSet" in await kubectl("get events --field-selector=involvedObject.kind=Deployment")

    await eventually(told)
    assert "Scaled up replica set" in await kubectl("get events --sort-by=.lastTimestamp -o wide")
    if kubectl.knows(26):
        assert "ScalingReplicaSet" in await kubectl("events --for deployment/web --types=Normal")


async def test_generators(kubectl: Kubectl) -> None:
    (kubectl.home / "file.txt").write_text("content")
    await kubectl("create namespace shop")
    await kubectl("create configmap c --from-literal=a=b --from-file=file.txt -n shop")
    assert await kubectl("get cm c -n shop -o jsonpath={.data.file\\.txt}") == "content"
    await kubectl("create secret generic s --from-literal=password=hidden -n shop")
    assert base64.b64decode(await kubectl("get secret s -n shop -o jsonpath={.data.password}")) == b"hidden"
    assert "hidden" not in await kubectl("describe secret s -n shop")
    registry = "--docker-server=registry.example --docker-username=u --docker-password=p --docker-email=e@x"
    await kubectl(f"create secret docker-registry d {registry} -n shop")
    await kubectl("create serviceaccount robot -n shop")
    await kubectl("create service clusterip one --tcp=80:8080 -n shop")
    await kubectl("create service nodeport two --tcp=80 -n shop")
    await kubectl("create service externalname three --external-name=example.org -n shop")
    assert "example.org" in await kubectl("get svc three -n shop -o wide")
    if kubectl.knows(22):  # Before, it made them in a version that is gone.
        await kubectl("create poddisruptionbudget calm --selector=app=web --min-available=1 -n shop")
        assert "calm" in await kubectl("get pdb -n shop")
    await kubectl("create role reader --verb=get,list --resource=pods,pods/log -n shop")
    await kubectl("create rolebinding readers --role=reader --serviceaccount=shop:robot -n shop")
    await kubectl("create clusterrole nodes-reader --verb=get --resource=nodes")
    await kubectl("create clusterrolebinding nodes-readers --clusterrole=nodes-reader --group=watchers")
    await kubectl("run once --image=registry.example/job:1 --restart=Never --env=A=b --labels=app=once -n shop", "--", "sh", "-c", "true")
    pod = await kubectl.json("get pod once -n shop")
    assert (pod["spec"]["restartPolicy"], pod["spec"]["containers"][0]["args"]) == ("Never", ["sh", "-c", "true"])
    assert "Containers:" in await kubectl("describe pod once -n shop")
    (kubectl.home / "kustomization.yaml").write_text("namespace: shop\nconfigMapGenerator:\n- name: made\n  literals: [x=y]\n")
    assert "configmap/made-" in await kubectl("apply -k .")
    await kubectl("delete namespace shop --timeout=30s")
    assert "NotFound" in await kubectl.fails("get ns shop")


async def test_rights(kubectl: Kubectl) -> None:
    await kubectl("create role reader --verb=get,list,watch --resource=pods")
    await kubectl("create rolebinding ann-reads --role=reader --user=ann")
    assert await kubectl("auth can-i create deployments") == "yes\n"
    assert await kubectl("auth can-i list pods --as=ann") == "yes\n"
    denied = await kubectl.run("auth", "can-i", "delete", "pods", "--as=ann")
    assert (denied.code, denied.out.split()[0]) == (1, "no")
    assert "pods" in await kubectl("auth can-i --list --as=ann")
    assert "Forbidden" in await kubectl.fails("delete pod any --as=ann")
    said = await kubectl.fails("create cm x --as=ann")
    assert 'User "ann" cannot create resource "configmaps" in API group "" in the namespace "default"' in said
    manifest = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "extra"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
    }
    assert "reconciled" in await kubectl("auth reconcile -f -", stdin=json.dumps(manifest))
    manifest["rules"] = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]
    await kubectl("auth reconcile -f -", stdin=json.dumps(manifest))
    assert {verb for rule in (await kubectl.json("get clusterrole extra"))["rules"] for verb in rule["verbs"]} == {"get", "list"}
    if kubectl.knows(24):
        await kubectl("create serviceaccount robot")
        token = (await kubectl("create token robot --duration=15m --audience=here")).strip()
        claims = token.split(".")[1]
        assert json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["aud"] == ["here"]
        token = (await kubectl("create token robot")).strip()
        said = await kubectl.fails(f"--kubeconfig=/dev/null --server=https://127.0.0.1:{kubectl.server.port} --insecure-skip-tls-verify"
                                   f" --token={token} get pods")  # fmt: skip
        assert 'User "system:serviceaccount:default:robot" cannot list resource "pods"' in said


async def test_nodes(kubectl: Kubectl) -> None:
    await kubectl("create deployment web --image=registry.example/web:1 --replicas=2")
    await kubectl("rollout status deployment/web --timeout=30s")
    assert "Ready" in await kubectl("get nodes -o wide")
    await kubectl("taint node n1 dedicated=db:PreferNoSchedule")
    assert "dedicated=db:PreferNoSchedule" in await kubectl("describe node n1")
    await kubectl("taint node n1 dedicated-")
    await kubectl("cordon n1")
    assert "SchedulingDisabled" in await kubectl("get node n1")
    await kubectl("uncordon n1")
    before = set((await kubectl("get pods -o name")).split())
    drained = asyncio.create_task(kubectl("drain n1 --ignore-daemonsets --timeout=30s"))
    assert "evicted" in await drained or "deleted" in await drained
    assert not before & set((await kubectl("get pods -o name")).split())
    await kubectl("uncordon n1")
    await kubectl("label node n1 node-role.kubernetes.io/worker=")
    assert "worker" in await kubectl("get node n1")
