"""Everything that people do with kubectl, on real containers."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tiphys.testing.cluster import Cluster, wait_for

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: main
          image: tiphys.local/busybox:1
          command: [sh, -c, "mkdir /www; echo page > /www/index.html; echo started; exec httpd -f -p 8080 -h /www"]
          ports: [{containerPort: 8080, name: http}]
          readinessProbe: {httpGet: {path: /index.html, port: http}, periodSeconds: 1}
"""

RC = """
apiVersion: v1
kind: ReplicationController
metadata: {name: basic}
spec:
  replicas: 2
  selector: {app: basic}
  template:
    metadata: {labels: {app: basic}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: main
          image: tiphys.local/busybox:1
          command: [sh, -c, "mkdir /www; hostname > /www/index.html; exec httpd -f -p 9376 -h /www"]
          ports: [{containerPort: 9376}]
          readinessProbe: {httpGet: {path: /index.html, port: 9376}, periodSeconds: 1}
"""

SIZED = {
    "spec": {
        "containers": [
            {
                "name": "sized",
                "image": "tiphys.local/busybox:1",
                "command": ["sleep", "3600"],
                "resources": {"requests": {"cpu": "10m"}, "limits": {"cpu": "50m"}},
            }
        ]
    }
}


@pytest.fixture(scope="module")
def web(cluster: Cluster) -> Cluster:
    cluster.apply(WEB)
    cluster.kubectl("rollout status deployment/web --timeout=60s")
    cluster.kubectl("run shell --image tiphys.local/busybox:1 --restart Never -- sleep 3600")
    cluster.kubectl("wait pod/shell --for=condition=Ready --timeout=30s")
    return cluster


def pod_of(cluster: Cluster, label: str = "app=web") -> str:
    name: str = cluster.get(f"pods -l {label} --field-selector status.phase=Running")["items"][0]["metadata"]["name"]
    return name


def test_top_shows_the_use_of_nodes_pods_and_containers(web: Cluster) -> None:
    assert re.search(rf"{web.node}\s+\d+m\s+\d+%\s+\d+Mi\s+\d+%", web.kubectl("top nodes").out)
    lines = wait_for(lambda: web.kubectl("top pods -l app=web --no-headers").lines)
    assert len(lines) == 2
    assert all(re.fullmatch(r"web-\S+\s+\d+m\s+\d+Mi\s*", line) for line in lines), lines
    assert re.search(r"web-\S+\s+main\s+\d+m", web.kubectl("top pods --containers").out)


def test_get_in_every_form(web: Cluster) -> None:
    assert re.search(r"web\s+2/2\s+2\s+2", web.kubectl("get deployment web").out)
    assert "IMAGES" in web.kubectl("get deployment -o wide").out
    assert "kind: Deployment" in web.kubectl("get deployment web -o yaml").out
    assert len(web.get("pods -l app=web")["items"]) == 2
    assert "kube-system" in web.kubectl("get services -A").out
    assert web.kubectl("get pods -l app=none").out == ""
    assert web.kubectl("get all").out.count("pod/web-") == 2
    assert web.kubectl("get node -o jsonpath={.items[0].metadata.name}").out == web.node


def test_watch_shows_changes(web: Cluster) -> None:
    with following(web.kubectl_command("get configmap -w --output-watch-events")) as output:
        web.kubectl("create configmap seen --from-literal a=b")
        output.expect("ADDED")
        web.kubectl("delete configmap seen")
        output.expect("DELETED")


def test_describe_names_pods_events_and_conditions(web: Cluster) -> None:
    text = web.kubectl(f"describe pod {pod_of(web)}").out
    assert "Started" in text
    assert re.search(r"Ready\s+True", text)
    assert "ScalingReplicaSet" in web.kubectl("describe deployment web").out
    assert "Allocated resources" in web.kubectl("describe node").out


def test_apply_diff_and_edit(web: Cluster) -> None:
    changed = WEB.replace("replicas: 2", "replicas: 3")
    diff = web.kubectl(["diff", "-f", "-"], stdin=changed, check=False)
    assert diff.code == 1
    assert "+  replicas: 3" in diff.out
    assert "unchanged" in web.apply(WEB).out
    web.kubectl(["patch", "deployment", "web", "-p", '{"metadata":{"annotations":{"note":"edited"}}}'])
    assert web.get("deployment web")["metadata"]["annotations"]["note"] == "edited"


def test_create_and_delete(web: Cluster) -> None:
    web.kubectl("create namespace scratch")
    web.kubectl("create deployment made --image tiphys.local/pause:1 -n scratch --replicas 1")
    web.kubectl("create configmap settings --from-literal a=b -n scratch")
    web.kubectl("create secret generic keys --from-literal password=x -n scratch")
    web.kubectl("create serviceaccount robot -n scratch")
    web.kubectl("create role reader --verb=get --resource=pods -n scratch")
    web.kubectl("create rolebinding reader --role=reader --serviceaccount=scratch:robot -n scratch")
    who = "--as system:serviceaccount:scratch:robot -n scratch"
    assert web.kubectl(f"auth can-i get pods {who}").out.strip() == "yes"
    assert web.kubectl(f"auth can-i delete pods {who}", check=False).out.strip() == "no"
    web.kubectl("rollout status deployment/made -n scratch --timeout=60s")
    web.kubectl("delete namespace scratch --timeout=60s")
    assert web.kubectl("get namespace scratch", check=False).code == 1


def test_logs_follow_until_the_end(web: Cluster) -> None:
    script = "for i in 1 2 3; do echo line $i; sleep 0.2; done"
    web.kubectl(["run", "talker", "--image", "tiphys.local/busybox:1", "--restart", "Never", "--", "sh", "-c", script])
    web.kubectl("wait pod/talker --for=condition=Ready --timeout=20s", check=False)
    assert web.kubectl("logs -f talker --pod-running-timeout=20s").lines == ["line 1", "line 2", "line 3"]
    assert web.kubectl("logs talker --tail 1").lines == ["line 3"]
    web.kubectl("delete pod talker --grace-period 1")


def test_exec_carries_streams_and_exit_code(web: Cluster) -> None:
    assert web.kubectl("exec shell -- echo hello").out == "hello\n"
    assert web.kubectl("exec -i shell -- cat", stdin="piped\n").out == "piped\n"
    assert web.kubectl(["exec", "shell", "--", "sh", "-c", "exit 7"], check=False).code == 7


def test_exec_with_a_terminal(web: Cluster) -> None:
    with terminal(web.kubectl_command("exec -it shell -- sh")) as screen:
        screen.send("echo answer=$((6*7)); tty\n")
        screen.expect("answer=42")
        screen.expect("/dev/pts/")
        screen.send("exit\n")


def test_run_attach_and_remove(web: Cluster) -> None:
    done = web.kubectl("run once --rm -i --image tiphys.local/busybox:1 --restart Never -- cat", stdin="through\n")
    assert "through" in done.out
    assert web.kubectl("get pod once", check=False).code == 1


def test_attach_to_a_running_process(web: Cluster) -> None:
    script = "while read line; do echo got $line; done"
    web.kubectl(
        [
            "run",
            "echo",
            "--image",
            "tiphys.local/busybox:1",
            "--restart",
            "Never",
            "-i=false",
            "--stdin",
            "--attach=false",
            "--",
            "sh",
            "-c",
            script,
        ]
    )
    web.kubectl("wait pod/echo --for=condition=Ready --timeout=20s")
    with terminal(web.kubectl_command("attach -i echo")) as screen:
        screen.expect_prompt()
        screen.send("this\n")
        screen.expect("got this")
    web.kubectl("delete pod echo --grace-period 1")


def test_copy_in_and_out(web: Cluster, tmp_path: Path) -> None:
    source = tmp_path / "in.txt"
    source.write_text("copied\n" * 1000)
    web.kubectl(f"cp {source} shell:/tmp/in.txt")
    web.kubectl(f"cp shell:/tmp/in.txt {tmp_path / 'out.txt'}")
    assert (tmp_path / "out.txt").read_text() == source.read_text()


def test_port_forward(web: Cluster) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with following(web.kubectl_command(f"port-forward deployment/web {port}:8080")) as output:
        output.expect("Forwarding from 127.0.0.1")
        for _ in range(3):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as response:
                assert response.read() == b"page\n"


def test_scale_and_wait(web: Cluster) -> None:
    web.kubectl("scale deployment web --replicas 3")
    web.kubectl("wait deployment/web --for=jsonpath={.status.readyReplicas}=3 --timeout=30s")
    web.kubectl("scale deployment web --replicas 2")
    wait_for(lambda: len(web.get("pods -l app=web")["items"]) == 2)


def test_rollouts(web: Cluster) -> None:
    web.kubectl("set image deployment/web main=tiphys.local/busybox:missing")
    wait_for(lambda: "tiphys.local/busybox:missing" in web.kubectl("get rs -o wide").out)
    history = web.kubectl("rollout history deployment/web").out
    assert re.search(r"^2 ", history, re.MULTILINE)
    web.kubectl("rollout undo deployment/web")
    web.kubectl("rollout status deployment/web --timeout=60s")
    web.kubectl("rollout pause deployment/web")
    web.kubectl("set env deployment/web COLOR=blue")
    assert web.get("deployment web")["spec"]["paused"] is True
    web.kubectl("rollout resume deployment/web")
    web.kubectl("rollout status deployment/web --timeout=60s")
    web.kubectl("rollout restart deployment/web")
    web.kubectl("rollout status deployment/web --timeout=60s")


def test_label_annotate_expose(web: Cluster) -> None:
    web.kubectl("label deployment web tier=front --overwrite")
    assert web.kubectl("get deployment -l tier=front -o name").out == "deployment.apps/web\n"
    web.kubectl("annotate deployment web owner=me --overwrite")
    web.kubectl("expose deployment web --port 80 --target-port 8080 --name exposed")
    # Endpoints and rules follow the Service a moment later.
    wait_for(lambda: web.kubectl("exec shell -- wget -qO- http://exposed", check=False).out == "page\n")
    web.kubectl("delete service exposed")


def test_explain_and_discovery(web: Cluster) -> None:
    assert "containers" in web.kubectl("explain pod.spec.containers").out
    assert "deployments" in web.kubectl("api-resources --namespaced=true").out
    assert "apps/v1" in web.kubectl("api-versions").out
    assert "v1.36" in web.kubectl("version").out
    assert web.kubectl("auth can-i create deployments").out.strip() == "yes"
    assert "kubernetes-admin" in web.kubectl("auth whoami").out
    assert "Started" in web.kubectl("events").out


def test_a_replication_controller_serves_from_every_replica(web: Cluster) -> None:
    web.apply(RC)
    wait_for(lambda: web.get("rc basic")["status"].get("readyReplicas") == 2)
    for pod in web.get("pods -l app=basic")["items"]:
        name = pod["metadata"]["name"]
        assert web.kubectl(f"get --raw /api/v1/namespaces/default/pods/{name}:9376/proxy/").out == f"{name}\n"
    web.kubectl("scale rc basic --replicas=3")
    wait_for(lambda: len(web.get("pods -l app=basic")["items"]) == 3)
    web.kubectl("delete rc basic --cascade=foreground --timeout=60s")
    assert web.get("pods -l app=basic")["items"] == []


def test_debug_joins_a_running_pod(web: Cluster) -> None:
    """`kubectl debug --target`, and then logs, exec and attach to the container that it added."""
    pod = pod_of(web)
    web.kubectl(
        f"debug {pod} --image=tiphys.local/busybox:1 --target=main -c debugger --image-pull-policy=IfNotPresent -- "
        "sh -c 'echo looking; ls /proc/1/root/www; i=0; while true; do echo tick $i; i=$((i+1)); sleep 0.2; done'"
    )

    def runs() -> bool:
        statuses = web.get(f"pod {pod}")["status"].get("ephemeralContainerStatuses", [])
        return bool(statuses) and "running" in statuses[0]["state"]

    wait_for(runs)
    wait_for(lambda: "looking\nindex.html" in web.kubectl(f"logs {pod} -c debugger").out)
    assert "httpd -f" in web.kubectl(f"exec {pod} -c debugger -- ps").out
    with following(web.kubectl_command(f"attach {pod} -c debugger")) as output:
        output.expect("tick")
    assert "Ephemeral Containers" in web.kubectl(f"describe pod {pod}").out
    assert re.search(r"web\S*\s+1/1\s+Running\s+0", web.kubectl(f"get pod {pod}").out)


def test_a_pod_is_resized(web: Cluster) -> None:
    web.kubectl("run sized --image tiphys.local/busybox:1 --restart Never --overrides '" + json.dumps(SIZED) + "' -- sleep 3600")
    web.kubectl("wait pod/sized --for=condition=Ready --timeout=30s")
    larger = {"spec": {"containers": [{"name": "sized", "resources": {"requests": {"cpu": "20m"}, "limits": {"cpu": "60m"}}}]}}
    web.kubectl(f"patch pod sized --subresource resize -p '{json.dumps(larger)}'")

    def done() -> bool:
        (status,) = web.get("pod sized")["status"]["containerStatuses"]
        return bool(status["resources"] == {"requests": {"cpu": "20m"}, "limits": {"cpu": "60m"}}) and status["restartCount"] == 0

    wait_for(done)
    wait_for(lambda: "ResizeCompleted" in web.kubectl("describe pod sized").out)
    web.kubectl("delete pod sized --now")


def test_cordon_drain_uncordon(web: Cluster) -> None:
    web.kubectl(f"cordon {web.node}")
    assert "SchedulingDisabled" in web.kubectl("get nodes").out
    web.kubectl(f"drain {web.node} --ignore-daemonsets --force --delete-emptydir-data --timeout=90s --grace-period=1")
    assert not [pod for pod in web.get("pods")["items"] if pod["status"]["phase"] == "Running"]
    web.kubectl(f"uncordon {web.node}")
    web.kubectl("rollout status deployment/web --timeout=60s")


def test_three_mistakes_are_told_at_once(cluster: Cluster) -> None:
    bad = (
        WEB.replace("replicas: 2", "replicas: -1")
        .replace("matchLabels: {app: web}", "matchLabels: {app: other}")
        .replace("8080, name: http", "99999, name: http")
    )
    said = cluster.kubectl(["apply", "-f", "-"], stdin=bad.replace("name: web,", "name: bad,"), check=False)
    assert said.code == 1
    for path in ("spec.replicas", "spec.template.metadata.labels", "spec.template.spec.containers[0].ports[0].containerPort"):
        assert path in said.err


def test_unknown_and_repeated_fields_are_reported(cluster: Cluster) -> None:
    manifest = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"data":{"a":"1"},"data":{"a":"2"},"color":"red"}'
    # kubectl's own parser swallows repetitions, so the manifest goes as it is.
    path = "/api/v1/namespaces/default/configmaps?fieldValidation=Strict"
    said = cluster.kubectl(["create", "--raw", path, "-f", "-"], stdin=manifest, check=False)
    assert said.code == 1
    assert 'unknown field "color"' in said.err
    assert 'duplicate field "data"' in said.err


class Output:
    """Output of a running program."""

    def __init__(self, read: int, write: int = -1) -> None:
        self._read, self._write = read, write
        self.text = ""

    def expect(self, wanted: str, timeout: float = 30.0) -> None:
        """Read until `wanted` appears; what came before it is gone."""
        deadline = time.monotonic() + timeout
        while wanted not in self.text:
            left = deadline - time.monotonic()
            assert left > 0, f"no {wanted!r} in {self.text!r}"
            ready, _, _ = select.select([self._read], [], [], left)
            if ready:
                try:
                    data = os.read(self._read, 65536)
                except OSError:
                    data = b""
                assert data, f"ended without {wanted!r}: {self.text!r}"
                self.text += data.decode(errors="replace")
        self.text = self.text.partition(wanted)[2]

    def expect_prompt(self) -> None:
        """Wait until kubectl has connected: it says so before it does."""
        self.expect("enter")

    def send(self, text: str) -> None:
        os.write(self._write, text.encode())


@contextlib.contextmanager
def following(command: list[str]) -> Iterator[Output]:
    """A program whose output is read while it runs; ended at the end of the block."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    try:
        yield Output(process.stdout.fileno())
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


@contextlib.contextmanager
def terminal(command: list[str]) -> Iterator[Output]:
    """A program on a pseudo-terminal."""
    master, slave = pty.openpty()
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    try:
        yield Output(master, master)
    finally:
        process.terminate()
        process.wait(10)
        os.close(master)
