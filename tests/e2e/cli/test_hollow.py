"""A cluster of hollow nodes from the command line: workloads and batch, without containers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tiphys.testing.cluster import Cluster, taken_slot

RULES = """
apiVersion: hollow.tiphys.io/v1
kind: HollowRules
rules:
- match: {labels: app=slow}
  behavior: {ready: 1s}
"""
JOB = """
apiVersion: batch/v1
kind: Job
metadata: {name: sum}
spec:
  completions: 20
  parallelism: 10
  completionMode: Indexed
  template:
    spec:
      restartPolicy: Never
      containers: [{name: main, image: none}]
"""


@pytest.fixture(scope="module")
def hollow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    rules = tmp_path_factory.mktemp("rules") / "rules.yaml"
    rules.write_text(RULES)
    with taken_slot() as cluster:
        try:
            shown = cluster.up("--runtime", "hollow", "--hollow-nodes", "1000", "--hollow-zones", "2", "--hollow-rules", str(rules))
            assert "1000 hollow nodes" in shown.out
            assert "nodes    1000 of 1000 Ready" in cluster.tiphys("status").out
            yield cluster
        finally:
            cluster.down(purge=True)


def test_workloads_are_spread(hollow: Cluster) -> None:
    hollow.kubectl("create deployment slow --image none --replicas 40")
    hollow.kubectl("rollout status deployment/slow --timeout=60s")
    pods = hollow.get("pods -l app=slow")["items"]
    assert len({pod["spec"]["nodeName"] for pod in pods}) == 40


def test_jobs_end(hollow: Cluster) -> None:
    hollow.apply(JOB)
    hollow.kubectl("wait job/sum --for=condition=complete --timeout=60s")
    assert hollow.get("job sum")["status"]["completedIndexes"] == "0-19"


def test_wrong_rules_are_told_before_anything_starts(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES.replace("ready: 1s", "ready: soon, speed: 3"))
    with taken_slot() as cluster:
        try:
            refused = cluster.tiphys("up", "--runtime", "hollow", "--hollow-rules", str(rules), check=False)
            assert refused.code != 0
            assert "rules[0].behavior.ready: 'soon' is not a duration" in refused.text
            assert "rules[0].behavior.speed: unknown; known are pull, start, ready" in refused.text
        finally:
            cluster.down(purge=True)
