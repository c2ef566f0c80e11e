"""The reference driver of storage as its example deploys it: in pods, with its sidecars, on a cluster that has just started."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tiphys.testing.cluster import Cluster, wait_for

IMAGES = ("busybox", "tiphys")
EXAMPLE = Path(__file__).parents[3] / "examples" / "csi-directory"
DRIVER = "directory.csi.tiphys.io"


@pytest.fixture(scope="module")
def driver(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """The cluster with the example, in the cluster's directories."""
    copy = tmp_path_factory.mktemp("example") / "csi-directory"
    shutil.copytree(EXAMPLE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    manifest = (copy / "driver.yaml").read_text()
    volumes = cluster.data_dir / "csi-directory"
    manifest = manifest.replace("/var/lib/tiphys/node", f"{cluster.data_dir}/node").replace("/var/lib/csi-directory", str(volumes))
    (copy / "driver.yaml").write_text(manifest)
    cluster.kubectl(f"label node {cluster.node} topology.kubernetes.io/zone=here")
    assert "Warning" not in cluster.kubectl(f"apply -k {copy}").err
    cluster.kubectl("rollout status -n csi-directory statefulset/csi-directory-controller --timeout=60s")
    cluster.kubectl("rollout status -n csi-directory daemonset/csi-directory-node --timeout=60s")
    return cluster


def test_the_driver_is_registered_with_its_place_and_limit(driver: Cluster) -> None:
    def entry() -> dict[str, object] | None:
        listed = driver.get(f"csinode {driver.node}")["spec"].get("drivers") or []
        return next((one for one in listed if one["name"] == DRIVER), None)

    zone = f"topology.{DRIVER}/zone"
    assert wait_for(entry) == {"name": DRIVER, "nodeID": driver.node, "topologyKeys": [zone], "allocatable": {"count": 64}}
    assert driver.get(f"node {driver.node}")["metadata"]["labels"][zone] == "here"
    wait_for(lambda: len(driver.get("csistoragecapacities -n csi-directory")["items"]) == 2)


def test_a_claim_is_attached_mounted_grown_and_deleted(driver: Cluster) -> None:
    driver.apply((EXAMPLE / "claim.yaml").read_text())
    driver.kubectl("wait pod/diary pod/scratch --for=condition=Ready --timeout=60s")
    attached = driver.get("volumeattachments")["items"]
    assert [(one["spec"]["attacher"], one["status"]["attached"]) for one in attached] == [(DRIVER, True)]
    before = _size(driver)
    driver.kubectl(["patch", "pvc", "diary", "-p", '{"spec":{"resources":{"requests":{"storage":"2Gi"}}}}'])
    wait_for(lambda: _size(driver) > 1.5 * before)
    wait_for(lambda: driver.get("pvc diary")["status"]["capacity"]["storage"] == "2Gi")
    driver.kubectl("delete pod diary scratch --timeout=60s")
    driver.kubectl("delete pvc diary --timeout=60s")
    wait_for(lambda: not driver.get("pv")["items"])
    assert driver.get("volumeattachments")["items"] == []


def _size(cluster: Cluster) -> int:
    """Kilobytes of the file system that the pod sees."""
    return int(cluster.kubectl("exec diary -- df -k /diary").out.splitlines()[-1].split()[1])
