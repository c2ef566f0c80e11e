"""A database on a claim of the default class, written to all the time: no acknowledged row is lost, whatever is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.storage.load import Load
from tests.e2e.storage.machine import (
    check_devices,
    container_of,
    cut_power,
    loop_devices,
    main_process,
    processes,
    send,
    settings_of,
)
from tiphys.testing.cluster import Cluster, wait_for

IMAGES = ("postgres",)
EXAMPLE = Path(__file__).parents[3] / "examples" / "postgres" / "postgres.yaml"
CLAIM = "files-postgres-0"
POD = "postgres-0"


@pytest.fixture(scope="module")
def load(cluster: Cluster) -> Iterator[Load]:
    cluster.apply(EXAMPLE.read_text())
    cluster.kubectl("rollout status statefulset/postgres --timeout=90s")
    with Load(cluster.get("service postgres")["spec"]["clusterIP"], "change-me").running() as load:
        load.check()
        yield load


@pytest.fixture(autouse=True)
def one_device(cluster: Cluster, load: Load) -> Iterator[None]:
    yield
    check_devices(cluster)
    assert len(loop_devices(cluster)) == 1


def uid(cluster: Cluster) -> str:
    return str(cluster.get(f"pod {POD}")["metadata"]["uid"])


def restarts(cluster: Cluster) -> int:
    return int(cluster.get(f"pod {POD}")["status"]["containerStatuses"][0]["restartCount"])


def replaced(cluster: Cluster, before: str) -> bool:
    return cluster.kubectl(f"get pod {POD}", check=False).code == 0 and uid(cluster) != before


def test_the_server_is_killed(cluster: Cluster, load: Load) -> None:
    os.kill(main_process(cluster, POD), signal.SIGKILL)
    load.check()
    wait_for(lambda: restarts(cluster) == 1)


@pytest.mark.parametrize("options", ["", "--force --grace-period=0"], ids=["gracefully", "by force"])
def test_the_pod_is_deleted(cluster: Cluster, load: Load, options: str) -> None:
    before = uid(cluster)
    cluster.kubectl(f"delete pod {POD} --wait=false {options}")
    wait_for(lambda: replaced(cluster, before))
    load.check()


def test_the_processes_of_the_cluster_are_killed(cluster: Cluster, load: Load) -> None:
    before = container_of(cluster, POD)
    for name in ("node", "server"):
        pid = cluster.pid(name)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda name=name, pid=pid: cluster.pid(name) not in (None, pid))  # type: ignore[misc]
        load.check()
    containerd = processes(f"{settings_of(cluster).containerd_dir}/containerd.toml")
    assert containerd
    send(containerd, signal.SIGKILL)
    load.check()
    wait_for(lambda: cluster.kubectl(f"exec {POD} -- true", check=False).code == 0)
    assert container_of(cluster, POD) == before


def test_the_shim_of_the_container_is_killed(cluster: Cluster, load: Load) -> None:
    before = restarts(cluster)
    shim = Path(f"/proc/{main_process(cluster, POD)}/stat").read_text().rpartition(")")[2].split()[1]
    os.kill(int(shim), signal.SIGKILL)
    wait_for(lambda: restarts(cluster) > before)
    load.check()


def test_the_claim_grows(cluster: Cluster, load: Load) -> None:
    """Growing ext4 in use takes a right that some machines withhold; there it grows before the next mount."""
    body = '{"spec": {"resources": {"requests": {"storage": "1536Mi"}}}}'
    cluster.kubectl(["patch", "pvc", CLAIM, "-p", body])
    wait_for(lambda: cluster.get(f"pv {cluster.get(f'pvc {CLAIM}')['spec']['volumeName']}")["spec"]["capacity"]["storage"] == "1536Mi")
    load.check()
    before = uid(cluster)
    cluster.kubectl(f"delete pod {POD} --wait=false")
    wait_for(lambda: replaced(cluster, before))
    load.check()
    wait_for(lambda: cluster.get(f"pvc {CLAIM}")["status"]["capacity"]["storage"] == "1536Mi")
    size = cluster.kubectl(["exec", POD, "--", "df", "-m", "/var/lib/postgresql"]).out.splitlines()[-1].split()[-5]
    assert int(size) > 1400


def test_the_cluster_is_stopped_and_started(cluster: Cluster, load: Load) -> None:
    cluster.down()
    cluster.up()
    load.check()


def test_the_machine_loses_its_power(cluster: Cluster, load: Load) -> None:
    cut_power(cluster)
    cluster.up()
    load.check()
