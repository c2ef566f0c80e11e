"""The examples of batch work, scaling and storage: a job that fans out, a cron job, an application under load, a journal on volumes."""

from __future__ import annotations

import re
from pathlib import Path

from tiphys.testing.cluster import Cluster, wait_for

IMAGES = ("busybox", "web")
EXAMPLES = Path(__file__).parents[3] / "examples"


def apply(cluster: Cluster, name: str) -> None:
    cluster.apply((EXAMPLES / name).read_text())


def test_a_job_fans_out(cluster: Cluster) -> None:
    apply(cluster, "primes/primes.yaml")
    cluster.kubectl("wait job/primes --for=condition=complete --timeout=90s")
    assert cluster.get("job primes")["status"]["completedIndexes"] == "0-7"
    shares = cluster.kubectl("logs -l app=primes --tail=-1").out.splitlines()
    assert (len(shares), min(shares), max(shares)) == (8, "0-999: 168", "7000-7999: 107")


def test_a_cron_job_runs_by_the_clock_and_by_hand(cluster: Cluster) -> None:
    apply(cluster, "clock/clock.yaml")
    cluster.kubectl("create job now --from cronjob/clock")
    cluster.kubectl("wait job/now --for=condition=complete --timeout=30s")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\n", cluster.kubectl("logs job/now").out)
    wait_for(lambda: "lastScheduleTime" in cluster.get("cronjob clock")["status"], timeout=100)
    run, *_ = [one for one in cluster.get("jobs")["items"] if re.fullmatch(r"clock-\d+", one["metadata"]["name"])]
    assert run["metadata"]["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"].endswith(":00Z")
    cluster.kubectl(f"wait job/{run['metadata']['name']} --for=condition=complete --timeout=30s")
    cluster.kubectl("delete cronjob clock")


def test_an_application_follows_its_load(cluster: Cluster) -> None:
    apply(cluster, "scale/scale.yaml")
    cluster.kubectl("rollout status deployment/scale --timeout=60s")
    apply(cluster, "scale/load.yaml")
    wait_for(lambda: cluster.get("deployment scale")["status"].get("readyReplicas") == 4, timeout=120)
    cluster.kubectl("delete job load --timeout=30s")
    wait_for(lambda: cluster.get("deployment scale")["status"]["replicas"] == 1, timeout=180)
    told = cluster.kubectl("get events --field-selector=reason=SuccessfulRescale -o jsonpath={.items[*].message}").out
    assert "cpu resource utilization (percentage of request) above target" in told
    assert "All metrics below target" in told


def volume_size(cluster: Cluster, claim: str) -> str:
    """Return the size of the volume of a claim, which its file system may still lag behind."""
    volume = cluster.get(f"pvc {claim}")["spec"]["volumeName"]
    size: str = cluster.get(f"pv {volume}")["spec"]["capacity"]["storage"]
    return size


def test_a_volume_outlives_its_pod_and_grows(cluster: Cluster) -> None:
    apply(cluster, "storage/storage.yaml")
    cluster.kubectl("rollout status statefulset/journal --timeout=60s")
    before = cluster.get("pod journal-0")["metadata"]["uid"]
    kept = cluster.kubectl("exec journal-0 -- cat /data/journal").out
    cluster.kubectl(["patch", "pvc", "data-journal-0", "-p", '{"spec":{"resources":{"requests":{"storage":"128Mi"}}}}'])
    wait_for(lambda: volume_size(cluster, "data-journal-0") == "128Mi")
    cluster.kubectl("delete pod journal-0 --now")
    wait_for(lambda: cluster.get("pod journal-0")["metadata"]["uid"] != before)
    cluster.kubectl("wait pod/journal-0 --for=condition=Ready --timeout=60s")
    assert cluster.kubectl("exec journal-0 -- cat /data/journal").out.startswith(kept)
    wait_for(lambda: cluster.get("pvc data-journal-0")["status"]["capacity"]["storage"] == "128Mi")
    cluster.kubectl("scale statefulset/journal --replicas=1")
    wait_for(lambda: cluster.get("statefulset journal")["status"]["replicas"] == 1)
    assert cluster.get("pvc data-journal-1")["status"]["phase"] == "Bound"
    cluster.kubectl("delete -f -", stdin=(EXAMPLES / "storage" / "storage.yaml").read_text())
    wait_for(lambda: cluster.get("pvc,pv")["items"] == [])
