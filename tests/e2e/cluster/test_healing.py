"""Recovery of processes, pods, readiness, and the cluster's own processes."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from tiphys.testing.cluster import Cluster, wait_for

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: heal, labels: {app: heal}}
spec:
  replicas: 3
  selector: {matchLabels: {app: heal}}
  template:
    metadata: {labels: {app: heal}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: main
          image: tiphys.local/busybox:1
          command: [sh, -c, "mkdir /www; hostname > /www/index.html; exec httpd -f -p 8080 -h /www"]
          ports: [{containerPort: 8080}]
          readinessProbe:
            exec: {command: [test, -e, /www/index.html]}
            periodSeconds: 1
            failureThreshold: 1
---
apiVersion: v1
kind: Service
metadata: {name: heal}
spec:
  selector: {app: heal}
  ports: [{port: 80, targetPort: 8080}]
"""


@pytest.fixture(scope="module")
def web(cluster: Cluster) -> Cluster:
    cluster.apply(WEB)
    cluster.kubectl("rollout status deployment/heal --timeout=60s")
    return cluster


def pods(cluster: Cluster) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cluster.get("pods -l app=heal")["items"]
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def status_of(cluster: Cluster, name: str) -> dict[str, Any]:
    status: dict[str, Any] = cluster.get(f"pod {name}")["status"]["containerStatuses"][0]
    return status


def is_ready(pod: dict[str, Any]) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))


def ready_addresses(cluster: Cluster) -> set[str]:
    slices = cluster.get("endpointslices -l kubernetes.io/service-name=heal")["items"]
    return {
        address
        for piece in slices
        for endpoint in piece.get("endpoints") or []
        if endpoint["conditions"]["ready"]
        for address in endpoint["addresses"]
    }


def process_of(cluster: Cluster, name: str) -> int:
    """The process id, on this machine, of a pod's container."""
    container = status_of(cluster, name)["containerID"].removeprefix("containerd://")
    for directory in os.listdir("/proc"):
        if directory.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{directory}/cgroup") as groups:
                if container in groups.read():
                    return int(directory)
    raise AssertionError(f"no process of container {container}")


def restarted(cluster: Cluster, name: str, times: int) -> Callable[[], bool]:
    return lambda: status_of(cluster, name)["restartCount"] >= times


def killed(cluster: Cluster, victim: str) -> Callable[[], bool]:
    """Kill a process of the cluster, once it is there; what is returned says whether another one has taken its place."""
    pid = wait_for(lambda: cluster.pid(victim))
    os.kill(pid, signal.SIGKILL)
    return lambda: cluster.pid(victim) not in (None, pid)


def test_killed_process_is_restarted_with_backoff(web: Cluster) -> None:
    name = pods(web)[0]["metadata"]["name"]
    for restarts in (1, 2):
        os.kill(process_of(web, name), signal.SIGKILL)
        wait_for(restarted(web, name, restarts))
        if restarts == 1:
            wait_for(lambda: status_of(web, name)["ready"])
        else:
            waited = wait_for(lambda: status_of(web, name)["lastState"].get("terminated"))
            assert waited["exitCode"] == 137
    wait_for(lambda: status_of(web, name)["ready"], timeout=30)
    assert "Back-off restarting failed container" in web.kubectl("get events").out


def test_deleted_pod_is_replaced(web: Cluster) -> None:
    before = {pod["metadata"]["name"] for pod in pods(web)}
    gone = before.pop()
    web.kubectl(f"delete pod {gone} --wait=false")
    fresh = wait_for(lambda: [pod for pod in pods(web) if pod["metadata"]["name"] not in {*before, gone} and is_ready(pod)])
    assert len(pods(web)) == 3
    created = datetime.fromisoformat(fresh[0]["metadata"]["creationTimestamp"])
    ready = next(c for c in fresh[0]["status"]["conditions"] if c["type"] == "Ready")
    assert created <= datetime.fromisoformat(ready["lastTransitionTime"])


def test_unready_pod_leaves_the_service_and_returns(web: Cluster) -> None:
    wait_for(lambda: len(ready_addresses(web)) == 3)
    pod = pods(web)[0]
    name, address = pod["metadata"]["name"], pod["status"]["podIP"]
    web.kubectl(f"exec {name} -- mv /www/index.html /www/away")
    wait_for(lambda: address not in ready_addresses(web))
    assert status_of(web, name)["restartCount"] == pod["status"]["containerStatuses"][0]["restartCount"]
    web.kubectl(f"exec {name} -- mv /www/away /www/index.html")
    wait_for(lambda: address in ready_addresses(web))


def test_cluster_survives_kills_during_a_rollout(web: Cluster) -> None:
    """`kill -9` of server and node process by turns, twenty times, while deployments roll and objects are written."""
    acknowledged: list[str] = []
    lasting = pods(web)[0]["metadata"]["name"]
    web.kubectl("run lasting --image tiphys.local/busybox:1 --restart Never -- sleep 3600")
    web.kubectl("wait pod/lasting --for=condition=Ready --timeout=30s")
    started = status_of(web, "lasting")["state"]["running"]["startedAt"]
    for turn in range(20):
        name = f"kept-{turn}"
        if web.kubectl(f"create configmap {name} --from-literal turn={turn}", check=False).code == 0:
            acknowledged.append(name)
        if turn % 5 == 0:
            web.kubectl("rollout restart deployment/heal", check=False)
        victim = "server" if turn % 2 == 0 else "node"
        wait_for(killed(web, victim))
        if victim == "server":
            wait_for(lambda: web.kubectl("get --raw /readyz", check=False).code == 0)
    wait_for(lambda: web.kubectl("rollout status deployment/heal --timeout=60s", check=False).code == 0, timeout=120)
    kept = set(web.kubectl("get configmaps -o name").out.split())
    assert {f"configmap/{name}" for name in acknowledged} <= kept
    assert len(acknowledged) >= 15
    assert status_of(web, "lasting")["state"]["running"]["startedAt"] == started
    assert status_of(web, "lasting")["restartCount"] == 0
    wait_for(lambda: len(pods(web)) == 3 and all(is_ready(pod) for pod in pods(web)))
    wait_for(lambda: ready_addresses(web) == {pod["status"]["podIP"] for pod in pods(web)})
    assert lasting not in {pod["metadata"]["name"] for pod in pods(web)}
