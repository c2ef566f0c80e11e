"""Objects by every verb of kubectl that reads, writes or explains them, with an old, the same and a newer kubectl."""

from __future__ import annotations

import asyncio
import json

import pytest
import yaml

from tests.integration.clients.conftest import Kubectl

MANIFEST = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {tier: web}}
data: {color: blue, size: small}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, name: http}, {port: 443, name: https}]}
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: worker, labels: {app: worker}}
spec:
  containers: [{name: main, image: "registry.example/worker:1", env: [{name: A, value: a}]}]
"""


async def test_create_get_and_delete(kubectl: Kubectl) -> None:
    assert await kubectl("create -f -", stdin=MANIFEST) == "configmap/settings created\nservice/web created\n"
    assert "AlreadyExists" in await kubectl.fails("create -f -", stdin=MANIFEST)
    for form, wanted in (
        ("name", "configmap/settings"),
        ("yaml", "color: blue"),
        ("json", '"color": "blue"'),
        ("wide", "settings"),
        ("jsonpath={.data.size}", "small"),
        ("go-template={{.data.size}}", "small"),
        ("custom-columns=N:.metadata.name,C:.data.color", "settings   blue"),
    ):
        assert wanted in await kubectl("get configmap settings -o", form)
    assert "settings   2 " in " ".join((await kubectl("get cm -l tier=web --show-labels")).splitlines()[1:]).replace("      ", "   ")
    assert "settings" not in await kubectl("get cm -l tier!=web -o name")
    assert "settings" not in await kubectl("get cm -l", "tier notin (web)", "-o", "name")
    assert (await kubectl("get cm --field-selector=metadata.name=settings -o name")).split() == ["configmap/settings"]
    assert "service/web" in await kubectl("get cm,svc -A -o name --sort-by=.metadata.name --chunk-size=1")
    assert 'configmaps "none" not found' in await kubectl.fails("get cm none")
    assert 'the server doesn\'t have a resource type "nothings"' in await kubectl.fails("get nothings")
    assert "No resources found in default namespace." in (await kubectl.run("get", "secrets")).err
    described = await kubectl("describe svc web")
    assert "https  443/TCP" in described
    assert "Selector:" in described
    assert "blue" in await kubectl("describe cm/settings")
    assert await kubectl("delete -f -", stdin=MANIFEST) == 'configmap "settings" deleted\nservice "web" deleted\n' or kubectl.knows(30)
    assert (await kubectl("get cm,svc --ignore-not-found settings -o name")) == ""
    assert await kubectl("delete cm settings --ignore-not-found") == ""


async def test_labels_annotations_and_patches(kubectl: Kubectl) -> None:
    await kubectl("create -f -", stdin=MANIFEST)
    assert "labeled" in await kubectl("label cm settings stage=test")
    assert "--overwrite is false" in await kubectl.fails("label cm settings stage=live")
    await kubectl("label cm settings stage=live tier- --overwrite")
    await kubectl("annotate cm settings", "note=two words")
    meta = (await kubectl.json("get cm settings"))["metadata"]
    assert (meta["labels"], meta["annotations"]) == ({"stage": "live"}, {"note": "two words"})
    await kubectl("patch svc web -p", '{"spec":{"ports":[{"port":443,"name":"secure"}]}}')
    assert await kubectl("get svc web -o jsonpath={.spec.ports[*].name}") == "http secure"
    await kubectl("patch cm settings --type=merge -p", '{"data":{"size":null,"weight":"1"}}')
    await kubectl("patch cm settings --type=json -p", '[{"op":"replace","path":"/data/color","value":"red"}]')
    assert (await kubectl.json("get cm settings"))["data"] == {"color": "red", "weight": "1"}
    assert "patched (no change)" in await kubectl("patch cm settings --type=merge -p", '{"data":{"weight":"1"}}')
    said = await kubectl.fails("patch cm settings --type=json -p", '[{"op":"test","path":"/data/color","value":"x"}]')
    assert "request" in said
    if kubectl.knows(24):
        await kubectl("patch node n1 --subresource=status --type=merge -p", '{"status":{"capacity":{"example.com/x":"3"}}}')
        assert await kubectl("get node n1 --subresource=status -o jsonpath={.status.capacity.example\\.com/x}") == "3"


async def test_apply_diff_edit_and_replace(kubectl: Kubectl) -> None:
    assert await kubectl("apply -f -", stdin=MANIFEST) == "configmap/settings created\nservice/web created\n"
    assert await kubectl("apply -f -", stdin=MANIFEST) == "configmap/settings unchanged\nservice/web unchanged\n"
    changed = MANIFEST.replace("blue", "green").replace(", size: small", "")
    shown = await kubectl.run("diff", "-f", "-", stdin=changed)
    assert (shown.code, "+  color: green" in shown.out, "-  size: small" in shown.out) == (1, True, True), shown
    assert "configmap/settings configured" in await kubectl("apply -f -", stdin=changed)
    assert (await kubectl.json("get cm settings"))["data"] == {"color": "green"}
    assert (await kubectl.run("diff", "-f", "-", stdin=changed)).code == 0
    kubectl.env["KUBE_EDITOR"] = "sed -i s/green/yellow/"
    assert await kubectl("edit cm settings") == "configmap/settings edited\n"
    kubectl.env["KUBE_EDITOR"] = "true"
    said = await kubectl.run("edit", "cm", "settings")
    assert "Edit cancelled, no changes made." in said.out + said.err
    found = await kubectl.json("get cm settings")
    assert found["data"] == {"color": "yellow"}
    found["data"] = {"replaced": "yes"}
    assert await kubectl("replace -f -", stdin=json.dumps(found)) == "configmap/settings replaced\n"
    assert "Conflict" in await kubectl.fails("replace -f -", stdin=json.dumps(found))
    assert await kubectl("apply view-last-applied cm/settings", "-o", "yaml")
    allowed = "--prune-allowlist" if kubectl.knows(26) else "--prune-whitelist"
    other = MANIFEST.split("---")[0].replace("settings", "other")
    await kubectl(f"apply -f - --prune -l tier=web {allowed}=core/v1/ConfigMap", stdin=other)
    assert (await kubectl("get cm -l tier=web -o name")).split() == ["configmap/other"]


async def test_server_side_apply(kubectl: Kubectl) -> None:
    one = MANIFEST.split("---")[0]
    assert "configmap/settings serverside-applied" in await kubectl("apply --server-side -f -", stdin=one)
    said = await kubectl.fails("apply --server-side --field-manager=other -f -", stdin=one.replace("blue", "red"))
    assert 'conflict with "kubectl"' in said
    assert ".data.color" in said
    await kubectl("apply --server-side --field-manager=other --force-conflicts -f -", stdin=one.replace("blue", "red"))
    fields = (await kubectl.json("get cm settings" + (" --show-managed-fields" if kubectl.knows(21) else "")))["metadata"]["managedFields"]
    assert {(entry["manager"], entry["operation"]) for entry in fields} == {("kubectl", "Apply"), ("other", "Apply")}
    assert next(entry for entry in fields if entry["manager"] == "other")["fieldsV1"]["f:data"]["f:color"] == {}


async def test_dry_run_and_validation(kubectl: Kubectl) -> None:
    assert "created (server dry run)" in await kubectl("create -f - --dry-run=server", stdin=POD)
    assert "created (dry run)" in await kubectl("create -f - --dry-run=client", stdin=POD)
    assert "NotFound" in await kubectl.fails("get pod worker")
    typo = POD.replace("image:", "imaeg:")
    said = await kubectl.fails("create -f -", stdin=typo)
    assert "imaeg" in said
    wrong = POD.replace("name: main", "name: Main")
    said = await kubectl.fails("create -f -", stdin=wrong)
    assert 'The Pod "worker" is invalid: spec.containers[0].name: Invalid value: "Main"' in said
    if kubectl.knows(25):
        warned = await kubectl.run("create", "-f", "-", "--validate=warn", stdin=POD.replace("metadata:", "extra: 1\nmetadata:"))
        assert (warned.code, 'Warning: unknown field "extra"' in warned.err) == (0, True), warned
    await kubectl("apply -f -", stdin=POD)
    said = await kubectl.fails("apply -f -", stdin=POD.replace("A, value: a", "A, value: b"))
    assert "pod updates may not change fields other than" in said
    await kubectl("set image pod/worker main=registry.example/worker:2")
    assert await kubectl("get pod worker -o jsonpath={.spec.containers[0].image}") == "registry.example/worker:2"


async def test_watch_and_wait(kubectl: Kubectl) -> None:
    watch = await kubectl.start("get", "cm", "-w", "--field-selector=metadata.name=one", "--output-watch-events", "--no-headers")
    assert watch.stdout is not None
    await kubectl("create configmap one --from-literal=a=b")
    try:
        assert (await watch.stdout.readline()).split()[:2] == [b"ADDED", b"one"]
        await kubectl("label cm one a=b")
        assert (await watch.stdout.readline()).split()[0] == b"MODIFIED"
        await kubectl("delete cm one")
        assert (await watch.stdout.readline()).split()[0] == b"DELETED"
    finally:
        watch.kill()
        await watch.communicate()
    await kubectl("create -f -", stdin=POD)
    assert "condition met" in await kubectl("wait pod/worker --for=condition=Ready --timeout=20s")
    if kubectl.knows(23):
        assert "condition met" in await kubectl("wait pod/worker --for=jsonpath={.status.phase}=Running --timeout=20s")
    await kubectl("delete pod worker --wait=false")
    await kubectl.run("wait", "pod/worker", "--for=delete", "--timeout=20s")
    assert "NotFound" in await kubectl.fails("get pod worker")


async def test_api_versions_and_api_resources(kubectl: Kubectl) -> None:
    assert {"v1", "apps/v1", "rbac.authorization.k8s.io/v1"} <= set((await kubectl("api-versions")).split())
    names = set((await kubectl("api-resources -o name")).split())
    assert {"pods", "deployments.apps", "clusterroles.rbac.authorization.k8s.io"} <= names
    wide = await kubectl("api-resources --namespaced=false -o wide --verbs=list,get")
    assert "nodes" in wide
    assert "pods" not in {line.split()[0] for line in wide.splitlines()}
    said = await kubectl("version -o json")
    assert json.loads(said)["serverVersion"]["minor"] == "36"
    assert "is running at" in await kubectl("cluster-info")
    if kubectl.knows(28):
        assert "Attributes" not in await kubectl("auth whoami")
        assert "admin" in await kubectl("auth whoami")
    assert json.loads(await kubectl("get --raw /api/v1/namespaces/default"))["metadata"]["name"] == "default"
    assert await kubectl("get --raw /readyz") == "ok"
    assert "metrics not available yet" in await kubectl.fails("top nodes")
    listed = await kubectl("config get-contexts -o name")
    await kubectl("config set-context --current --namespace=kube-system")
    assert listed.strip()
    assert yaml.safe_load(await kubectl("config view --minify"))["contexts"][0]["context"]["namespace"] == "kube-system"
    assert "No resources found in kube-system namespace" in (await kubectl.run("get", "pods")).err


@pytest.mark.parametrize("form", ["", "--recursive", "--output=plaintext-openapiv2"])
async def test_explain(kubectl: Kubectl, form: str) -> None:
    if "output" in form and not kubectl.knows(27):
        form = "--api-version=v1"
    cases = {"pods": "spec", "pod.spec.containers.resources": "limits", "svc.spec.ports": "targetPort", "deploy.spec": "replicas"}
    for what, wanted in cases.items():
        if form == "--api-version=v1" and what.startswith("deploy"):
            continue
        said = await kubectl(f"explain {what} {form}")
        assert wanted in said
        assert "<empty>" not in said.splitlines()[2:6]


async def test_proxy(kubectl: Kubectl) -> None:
    proxy = await kubectl.start("proxy", "--port=0")
    assert proxy.stdout is not None
    try:
        line = (await proxy.stdout.readline()).decode()
        port = line.rpartition(":")[2].strip()
        found = await kubectl.run("--kubeconfig", "/dev/null", "-s", f"http://127.0.0.1:{port}", "get", "ns", "default", "-o", "name")
        assert found.out == "namespace/default\n", found
    finally:
        proxy.terminate()
        await proxy.communicate()


async def test_proxy_on_a_unix_socket(kubectl: Kubectl) -> None:
    path = kubectl.home / "proxy.sock"
    proxy = await kubectl.start("proxy", f"--unix-socket={path}")
    assert proxy.stdout is not None
    try:
        assert b"Starting to serve" in await proxy.stdout.readline()
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(b"GET /api/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert b'"kind":"APIVersions"' in (await reader.read()).replace(b" ", b"")
        writer.close()
    finally:
        proxy.terminate()
        await proxy.communicate()
