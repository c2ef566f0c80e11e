"""Server, node and containerd as pods in kube-system, driven with kubectl."""

from __future__ import annotations

import os
import signal
import urllib.request
from typing import Any

from tests.e2e.cluster.test_kubectl import following
from tiphys.testing.cluster import Cluster, wait_for
from tiphys.testing.kubectl import Done

IMAGES = ()
SYSTEM = "-n kube-system"


def pods(cluster: Cluster) -> dict[str, dict[str, Any]]:
    """The pods of kube-system by name, once the three parts are there and ready."""

    def check() -> dict[str, dict[str, Any]]:
        found = {pod["metadata"]["name"]: pod for pod in cluster.get(f"pods {SYSTEM}")["items"]}
        assert sorted(found) == sorted(names(cluster))
        assert all(pod["status"]["phase"] == "Running" and pod["status"]["containerStatuses"][0]["ready"] for pod in found.values())
        return found

    return wait_for(check)


def names(cluster: Cluster) -> list[str]:
    return [f"{part}-{cluster.node}" for part in ("tiphys-server", "tiphys-node", "containerd")]


def uids(cluster: Cluster) -> dict[str, str]:
    return {name: pod["metadata"]["uid"] for name, pod in pods(cluster).items()}


def test_every_part_is_shown_with_its_process(cluster: Cluster) -> None:
    found = pods(cluster)
    for part in ("server", "node"):
        status = found[f"tiphys-{part}-{cluster.node}"]["status"]["containerStatuses"][0]
        assert status["containerID"] == f"process://{cluster.pid(part)}"
        assert status["restartCount"] == 0
    spec = found[f"tiphys-server-{cluster.node}"]["spec"]
    assert (spec["priority"], spec["hostNetwork"]) == (2000001000, True)
    assert "serviceAccountName" not in spec
    assert cluster.kubectl(f"get pods {SYSTEM} -l tier=control-plane -o name").lines == [f"pod/tiphys-server-{cluster.node}"]
    assert "pods     3 Running" in cluster.tiphys("status").out
    assert "(3 in total)" in cluster.kubectl(f"describe node {cluster.node}").out
    assert f"Controlled By:  Node/{cluster.node}" in cluster.kubectl(f"describe pod {SYSTEM} tiphys-node-{cluster.node}").out


def test_kubelet_endpoints_through_the_api_server_and_on_loopback(cluster: Cluster) -> None:
    def read(path: str) -> Done:
        return cluster.kubectl(f"get --raw /api/v1/nodes/{cluster.node}/proxy/{path}")

    shown = read("configz").json["kubeletconfig"]
    assert (shown["port"], shown["healthzPort"]) == (cluster.kubelet_port, cluster.healthz_port)
    assert shown["clusterDNS"] == [f"{cluster.service_range.rpartition('.')[0]}.10"]
    assert read("runningpods/").json["kind"] == "PodList"
    assert "<pre>" in read("logs/").out
    with urllib.request.urlopen(f"http://127.0.0.1:{cluster.healthz_port}/healthz") as page:
        assert page.read() == b"ok"


def test_logs_are_those_of_the_daemons(cluster: Cluster) -> None:
    server, node, containerd = names(cluster)
    pods(cluster)
    assert "server is ready" in cluster.kubectl(f"logs {SYSTEM} {server}").out
    assert "cluster DNS is ready" in cluster.kubectl(f"logs {SYSTEM} {node}").out
    assert cluster.kubectl(f"logs {SYSTEM} {containerd} --limit-bytes=5", check=False).code == 0
    last = cluster.kubectl(f"logs {SYSTEM} {server} --tail=1").lines
    assert len(last) == 1
    assert cluster.kubectl(f"logs {SYSTEM} {server} --tail=1 --timestamps").out.endswith(f"Z {last[0]}\n")
    previous = cluster.kubectl(f"logs {SYSTEM} {server} --previous", check=False)
    assert "is one file for all its runs" in previous.err


def test_logs_follow(cluster: Cluster) -> None:
    node = names(cluster)[1]
    pods(cluster)
    with following(cluster.kubectl_command(f"logs {SYSTEM} {node} -f")) as output:
        output.expect("cluster DNS is ready")
        # The kubelet logs that its next renewal fails, and makes another lease.
        cluster.kubectl(f"delete lease -n kube-node-lease {cluster.node}")
        output.expect("node lease not renewed")


def test_deleted_pods_come_back(cluster: Cluster) -> None:
    before = uids(cluster)
    cluster.kubectl(f"delete pods {SYSTEM} --all")
    wait_for(lambda: not set(before.values()) & set(uids(cluster).values()))


def test_drain_leaves_them_and_the_node_still_counts_them(cluster: Cluster) -> None:
    before = uids(cluster)
    cluster.kubectl(f"drain {cluster.node} --ignore-daemonsets --timeout=20s")
    cluster.kubectl(f"uncordon {cluster.node}")
    assert uids(cluster) == before


def test_nobody_enters_or_changes_them(cluster: Cluster) -> None:
    server, _, _ = names(cluster)
    pods(cluster)
    for command in (f"exec {server} -- true", f"attach {server}", f"port-forward {server} :80"):
        done = cluster.kubectl(f"{SYSTEM} {command}", check=False)
        assert done.code == 1
        assert f'pod "{server}" is the mirror pod of a process on the node: exec, attach and port-forward are unavailable' in done.err
    done = cluster.kubectl(f"annotate {SYSTEM} pod {server} kubernetes.io/config.mirror-", check=False)
    assert "may not remove or update mirror pod annotation" in done.err
    done = cluster.kubectl(f"debug {SYSTEM} {server} --image=busybox", check=False)
    assert "static pods do not support ephemeral containers" in done.err


def test_a_killed_server_shows_as_a_restart(cluster: Cluster) -> None:
    server, _, _ = names(cluster)
    before = uids(cluster)
    pid = cluster.pid("server")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)

    def restarted() -> bool:
        done = cluster.kubectl(f"get pod {SYSTEM} {server} -o json", check=False)
        assert done.code == 0
        status = done.json["status"]["containerStatuses"][0]
        ended = status["lastState"].get("terminated", {})
        assert status["containerID"] == f"process://{cluster.pid('server')}"
        return (status["restartCount"], ended["exitCode"]) == (1, 137)

    wait_for(restarted)
    assert uids(cluster) == before


def test_the_next_start_uses_the_same_pods(cluster: Cluster) -> None:
    before = uids(cluster)
    cluster.down()
    cluster.up()
    server = names(cluster)[0]

    def fresh() -> bool:
        status = pods(cluster)[server]["status"]["containerStatuses"][0]
        return bool(status["containerID"] == f"process://{cluster.pid('server')}") and status["restartCount"] == 0

    wait_for(fresh)
    assert uids(cluster) == before
