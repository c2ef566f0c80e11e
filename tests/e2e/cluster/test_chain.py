"""The example of a StatefulSet: pods with names of their own, in DNS too, that start and are updated in order."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiphys.testing.cluster import Cluster, wait_for

IMAGES = ("busybox", "nginx")
MANIFEST = Path(__file__).parents[3] / "examples" / "chain" / "chain.yaml"
EVERYBODY = "chain-0 chain-1 chain-2"


@pytest.fixture(scope="module")
def chain(cluster: Cluster) -> Cluster:
    cluster.apply(MANIFEST.read_text())
    cluster.kubectl("rollout status statefulset/chain --timeout=90s")
    cluster.kubectl("run client --image tiphys.local/busybox:1 --restart Never -- sleep 3600")
    cluster.kubectl("wait pod/client --for=condition=Ready --timeout=30s")
    return cluster


def answer(cluster: Cluster, pod: str) -> str:
    return cluster.kubectl(["exec", "client", "--", "wget", "-qO-", f"http://{pod}.chain/"], check=False).out.strip()


def test_pods_start_in_order_and_know_each_other_by_name(chain: Cluster) -> None:
    assert answer(chain, "chain-2") == EVERYBODY
    assert chain.kubectl("exec chain-1 -c tell -- hostname -f").out.strip() == "chain-1.chain.default.svc.cluster.local"


def test_a_deleted_pod_comes_back_under_its_name(chain: Cluster) -> None:
    before = chain.get("pod chain-1")["metadata"]["uid"]
    chain.kubectl("delete pod chain-1")
    wait_for(lambda: answer(chain, "chain-1") == "chain-0 chain-1", timeout=60)
    assert chain.get("pod chain-1")["metadata"]["uid"] != before


def test_updates_and_rollbacks_leave_all_in_place(chain: Cluster) -> None:
    chain.kubectl("rollout status statefulset/chain --timeout=60s")
    first = chain.get("statefulset chain")["status"]["currentRevision"]
    chain.kubectl("rollout restart statefulset/chain")
    chain.kubectl("rollout status statefulset/chain --timeout=120s")
    assert chain.get("statefulset chain")["status"]["currentRevision"] != first
    chain.kubectl("rollout undo statefulset/chain")
    chain.kubectl("rollout status statefulset/chain --timeout=120s")
    assert chain.get("statefulset chain")["status"]["currentRevision"] == first
    wait_for(lambda: answer(chain, "chain-2") == EVERYBODY, timeout=60)


def test_a_rollback_from_an_image_that_does_not_exist_needs_no_hand(chain: Cluster) -> None:
    chain.kubectl("set image statefulset/chain tell=tiphys.local/nobody-has-this:1")
    wait_for(lambda: "nobody-has-this" in chain.get("pod chain-2")["spec"]["containers"][0]["image"], timeout=60)
    chain.kubectl("rollout undo statefulset/chain")
    chain.kubectl("rollout status statefulset/chain --timeout=120s")
    wait_for(lambda: answer(chain, "chain-2") == EVERYBODY, timeout=60)
