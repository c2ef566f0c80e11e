"""Jobs on real containers: what they print, how they end, and that nothing of them stays."""

from __future__ import annotations

import json
import re

from tiphys.testing.cluster import Cluster, wait_for


def job(name: str, command: str, spec: str = "", *, pod: str = "restartPolicy: Never", container: str = "") -> str:
    """Return a manifest of a Job that runs a shell command; what else its parts have is in YAML, in the flow style."""
    main = f"{{name: main, image: 'tiphys.local/busybox:1', command: [sh, -c, {json.dumps(command)}], {container}}}"
    template = f"{{spec: {{terminationGracePeriodSeconds: 1, {pod}, containers: [{main}]}}}}"
    return f"{{apiVersion: batch/v1, kind: Job, metadata: {{name: {name}}}, spec: {{template: {template}, {spec}}}}}"


INDEXED = job("fan", "echo index $JOB_COMPLETION_INDEX on $(hostname)", "completions: 3, parallelism: 3, completionMode: Indexed")
RESTARTED = job(
    "again",
    "test -e /data/tried && exit 0; touch /data/tried; exit 1",
    pod="restartPolicy: OnFailure, volumes: [{name: data, emptyDir: {}}]",
    container="volumeMounts: [{name: data, mountPath: /data}]",
)
POLICY = job(
    "early",
    "test $JOB_COMPLETION_INDEX = 0 && exit 3; sleep 3600",
    """
    completions: 2, parallelism: 2, completionMode: Indexed,
    podFailurePolicy: {rules: [{action: FailJob, onExitCodes: {operator: In, values: [3]}}]},
    """,
)
LONG = job("long", "exec sleep 3600")


def test_every_index_knows_its_number_and_its_name(cluster: Cluster) -> None:
    cluster.apply(INDEXED)
    cluster.kubectl("wait job/fan --for=condition=complete --timeout=60s")
    status = cluster.get("job fan")["status"]
    assert (status["completedIndexes"], status["succeeded"], status["uncountedTerminatedPods"]) == ("0-2", 3, {})
    for index in range(3):
        selector = f"batch.kubernetes.io/job-completion-index={index},job-name=fan"
        assert cluster.kubectl(f"logs -l {selector}").out == f"index {index} on fan-{index}\n"
    assert re.search(r"fan\s+Complete\s+3/3", cluster.kubectl("get jobs").out)
    assert all("finalizers" not in pod["metadata"] for pod in cluster.get("pods -l job-name=fan")["items"])
    cluster.kubectl("delete job fan --timeout=60s")
    wait_for(lambda: not cluster.get("pods -l job-name=fan")["items"])


def test_a_container_that_fails_once_is_restarted_in_its_pod(cluster: Cluster) -> None:
    cluster.apply(RESTARTED)
    cluster.kubectl("wait job/again --for=condition=complete --timeout=90s")
    assert "failed" not in cluster.get("job again")["status"]
    (pod,) = cluster.get("pods -l job-name=again")["items"]
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 1


def test_an_exit_code_ends_it_and_its_other_pods(cluster: Cluster) -> None:
    cluster.apply(POLICY)
    cluster.kubectl("wait job/early --for=condition=failed --timeout=60s")
    job = cluster.get("job early")
    assert [(one["type"], one["reason"]) for one in job["status"]["conditions"]] == [
        ("FailureTarget", "PodFailurePolicy"),
        ("Failed", "PodFailurePolicy"),
    ]
    assert "failed with exit code 3 matching FailJob rule at index 0" in job["status"]["conditions"][0]["message"]
    assert not job["status"].get("terminating")


def test_suspended_pods_go_and_come_back(cluster: Cluster) -> None:
    cluster.apply(LONG)
    wait_for(lambda: cluster.get("job long")["status"].get("ready") == 1)
    cluster.kubectl(["patch", "job", "long", "-p", '{"spec":{"suspend":true}}'])
    cluster.kubectl("wait job/long --for=condition=suspended --timeout=30s")
    wait_for(lambda: not cluster.get("pods -l job-name=long")["items"])
    cluster.kubectl(["patch", "job", "long", "-p", '{"spec":{"suspend":false}}'])
    wait_for(lambda: cluster.get("job long")["status"].get("ready") == 1)
    cluster.kubectl("delete job long --timeout=60s")
    wait_for(lambda: not cluster.get("pods -l job-name=long")["items"])
