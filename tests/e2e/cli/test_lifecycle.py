"""A cluster from its start to its removal, through the command line."""

from __future__ import annotations

import base64
import json
import os
import resource
import signal
from pathlib import Path

import pytest

from tests.e2e.cli.machine import names_of, settings_of, traces
from tiphys.cli.processes import Process
from tiphys.testing.cluster import Cluster, run, running_cluster, wait_for
from tiphys.testing.kubectl import CommandFailed

POD = """
apiVersion: v1
kind: Pod
metadata: {name: NAME, labels: {app: NAME}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: main
      image: tiphys.local/busybox:1
      command: [sleep, "3600"]
      ports: [{containerPort: 80, hostPort: HOSTPORT}]
      volumeMounts: [{name: memory, mountPath: /memory}]
  volumes: [{name: memory, emptyDir: {medium: Memory}}]
"""


def run_pod(cluster: Cluster, name: str) -> None:
    cluster.apply(POD.replace("NAME", name).replace("HOSTPORT", str(20_000 + cluster.slot)))
    cluster.kubectl(f"wait pod/{name} --for=condition=Ready --timeout=60s")


def test_up_on_a_running_cluster_changes_nothing(cluster: Cluster) -> None:
    before = cluster.pid("server"), cluster.pid("node")
    assert None not in before
    assert "already running" in cluster.up().out
    assert (cluster.pid("server"), cluster.pid("node")) == before


def test_up_with_other_options_says_what_to_do(cluster: Cluster) -> None:
    with pytest.raises(CommandFailed, match=r"running with different settings: run tiphys down"):
        cluster.up("--cluster-domain", "other.local")


def test_up_starts_only_what_is_missing(cluster: Cluster) -> None:
    server = cluster.pid("server")
    assert Process("node", settings_of(cluster)).stop()
    assert cluster.pid("node") is None
    cluster.up()
    assert cluster.pid("server") == server
    assert cluster.pid("node") is not None


def test_status_is_well_and_names_every_part(cluster: Cluster) -> None:
    wait_for(lambda: cluster.tiphys("status", check=False).code == 0)
    said = cluster.tiphys("status").out
    for part in ("server   running, pid", "node     running, pid", f"https://127.0.0.1:{cluster.port}: ok", f"{cluster.node}: Ready"):
        assert part in said


def is_ready(cluster: Cluster) -> bool:
    return cluster.kubectl("get --raw /readyz", check=False).out == "ok"


def test_a_killed_server_comes_back_by_itself(cluster: Cluster) -> None:
    pid = cluster.pid("server")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: cluster.pid("server") not in (None, pid) and is_ready(cluster))
    assert "restarted once (last exit code 137" in cluster.tiphys("status", check=False).out


def test_a_server_whose_disk_fails_comes_back_by_itself(cluster: Cluster) -> None:
    """The kernel refuses the server's writes beyond a size, which is an I/O error to SQLite; the next process has no such limit."""
    pid = cluster.pid("server")
    assert pid is not None
    cluster.kubectl("create configmap before --from-literal=a=1")
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
    manifest = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "big-"}, "data": {"a": "x" * 200_000}})
    wait_for(lambda: cluster.kubectl("create -f -", stdin=manifest, check=False).code != 0)
    wait_for(lambda: cluster.pid("server") not in (None, pid) and is_ready(cluster))
    assert cluster.get("configmap before")["data"] == {"a": "1"}
    assert cluster.kubectl("create -f -", stdin=manifest).code == 0
    log = (cluster.data_dir / "log" / "server.log").read_text()
    assert "disk I/O error; the store takes no more writes until it is restarted" in log
    assert "tiphys-keeper: exited with code 1, restarting" in log
    wait_for(lambda: cluster.tiphys("status", check=False).code == 0)


def test_up_gives_a_daemon_its_keeper_back(cluster: Cluster) -> None:
    process = Process("server", settings_of(cluster))
    keeper = process.keeper_pid()
    assert keeper is not None
    os.kill(keeper, signal.SIGKILL)
    wait_for(lambda: process.keeper_pid() is None)
    assert "without a keeper" in cluster.tiphys("status", check=False).out
    cluster.up()
    assert None not in (process.keeper_pid(), process.pid())
    assert is_ready(cluster)


def test_doctor_is_content_while_the_cluster_runs(cluster: Cluster) -> None:
    done = cluster.tiphys("doctor")
    assert "held by this cluster" in done.out
    assert "FAIL" not in done.out


def test_kubectl_gets_its_own_options_and_dashes(cluster: Cluster) -> None:
    run_pod(cluster, "dashes")
    assert cluster.tiphys("kubectl", "-n", "default", "exec", "dashes", "--", "echo", "-n", "--").out == "--"
    assert "dashes" in cluster.tiphys("kubectl", "get", "pods", "-o", "name", "-A").out
    cluster.kubectl("delete pod dashes --now")


def test_a_token_is_its_service_account(cluster: Cluster) -> None:
    cluster.kubectl("create serviceaccount reader")
    token = cluster.tiphys("token", "create", "reader", "--duration", "2h", "--audience", "vault").out.strip()
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert claims["sub"] == "system:serviceaccount:default:reader"
    assert claims["aud"] == ["vault"]
    assert claims["exp"] - claims["iat"] == 7200
    token = cluster.tiphys("token", "create", "reader").out.strip()
    # Without the cluster's kubeconfig: kubectl must not fall back on the administrator's certificate.
    server = ["--kubeconfig", "/dev/null", "--server", f"https://127.0.0.1:{cluster.port}", "--token", token]
    trust = ["--certificate-authority", str(cluster.data_dir / "pki" / "ca.crt")]
    assert "system:serviceaccount:default:reader" in run(cluster.kubectl_command("")[0], "auth", "whoami", *server, *trust).out


def test_a_token_for_nobody_is_refused_in_words(cluster: Cluster) -> None:
    done = cluster.tiphys("token", "create", "nobody", check=False)
    assert done.code == 1
    assert 'serviceaccounts "nobody" not found' in done.err
    assert "Traceback" not in done.err


def test_an_archive_is_loaded_with_one_command(cluster: Cluster, tmp_path: Path) -> None:
    archive = cluster.data_dir / "images" / "busybox.tar"
    said = cluster.tiphys("images", "load", str(archive)).out
    assert "loaded tiphys.local/busybox:1" in said
    broken = tmp_path / "broken.tar"
    broken.write_bytes(b"no archive")
    done = cluster.tiphys("images", "load", str(broken), check=False)
    assert (done.code, "cannot import broken.tar" in done.err) == (1, True)


def test_a_snapshot_brings_the_state_back(cluster: Cluster, tmp_path: Path) -> None:
    file = str(tmp_path / "snapshot.db")
    cluster.kubectl("create configmap kept --from-literal=a=1")
    assert "Saved revision" in cluster.tiphys("snapshot", "save", file).out
    cluster.kubectl("delete configmap kept")
    done = cluster.tiphys("snapshot", "restore", file, check=False)
    assert (done.code, "stop it with tiphys down" in done.err) == (1, True)
    cluster.down()
    assert "Restored" in cluster.tiphys("snapshot", "restore", file).out
    cluster.up()
    assert cluster.get("configmap kept")["data"] == {"a": "1"}


def test_down_stops_containers_and_up_goes_on(cluster: Cluster) -> None:
    run_pod(cluster, "steady")
    cluster.down()
    assert cluster.pid("server") is None
    assert cluster.tiphys("status", check=False).code == 1
    cluster.up()
    cluster.kubectl("wait pod/steady --for=condition=Ready --timeout=60s")
    cluster.kubectl("delete pod steady --now")


def test_purge_leaves_the_machine_as_it_was() -> None:
    with running_cluster() as cluster:
        run_pod(cluster, "trace")
        cluster.kubectl("expose pod trace --type=NodePort --port=80")
        ours = names_of(cluster)
        there = traces(cluster, ours)
        empty = {kind for kind, found in there.items() if not found}
        assert not empty, "the test does not see what it compares"
        cluster.down(purge=True)
        assert {kind: found for kind, found in traces(cluster, ours).items() if found} == {}
        assert cluster.down(purge=True).code == 0  # nothing to do is no failure
