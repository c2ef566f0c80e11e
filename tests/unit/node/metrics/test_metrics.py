"""The kubelet's pages of metrics."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from prometheus_client.parser import text_string_to_metric_families as parsed

from tests.unit.node.make import pod
from tiphys.api.core import v1 as core
from tiphys.node.metrics import starts
from tiphys.node.metrics.families import kubelet_lines, operation_type
from tiphys.node.metrics.probes import ProbeMetrics
from tiphys.node.pod.observed import Observed, SeenSandbox
from tiphys.obs import metrics


def text(lines: object) -> str:
    return metrics.page(lines).decode()  # type: ignore[arg-type]


def test_names_of_runtime_operations_are_upstreams() -> None:
    verbs = ("CreateContainer", "RunPodSandbox", "ExecSync", "ListContainerStats", "Version")
    names_of = [operation_type(verb) for verb in verbs]
    assert names_of == ["create_container", "run_podsandbox", "exec_sync", "list_container_stats", "version"]


def test_probes_are_counted_until_their_pod_is_gone() -> None:
    counted, one = ProbeMetrics(), pod()
    counted.observe(one, "app", "liveness", True, 0.1)
    counted.observe(one, "app", "liveness", False, 0.1)
    totals = next(family for family in parsed(text(counted.lines())) if family.name == "prober_probe").samples
    assert {sample.labels["result"]: sample.value for sample in totals} == {"successful": 1, "failed": 1}
    counted.forget(one.metadata.uid)
    assert list(counted.lines()) == []


def test_running_pods_and_the_node_are_named() -> None:
    page = text(kubelet_lines("n1", [Observed("u", sandboxes=(SeenSandbox("s", 0, True, 0.0, ()),))]))
    assert 'kubelet_node_name{node="n1"} 1' in page
    assert "kubelet_running_pods 1" in page


def test_a_pod_start_counts_once_and_without_what_the_node_cannot_help() -> None:
    began = datetime(2030, 1, 1, tzinfo=UTC)
    init = core.ContainerStateTerminated(startedAt=began + timedelta(seconds=1), finishedAt=began + timedelta(seconds=4))
    status = core.PodStatus(
        phase="Running", initContainerStatuses=[core.ContainerStatus(name="init", state=core.ContainerState(terminated=init))]
    )
    one = pod(metadata={"creationTimestamp": began})
    before = list(starts.SLI_SECONDS.labels().counts), starts.START_SECONDS.labels().sum, starts.SLI_SECONDS.labels().sum
    start = starts.PodStart(100.0, fresh=True)
    start.observe(one, core.PodStatus(phase="Pending"), now=began, elapsed=101.0, pulling=0.0)
    for _ in range(2):
        start.observe(one, status, now=began + timedelta(seconds=10), elapsed=108.0, pulling=5.0)
    starts.PodStart(0.0, fresh=False).observe(one, status, now=began, elapsed=1.0, pulling=0.0)  # It ran before the kubelet did.
    assert sum(starts.SLI_SECONDS.labels().counts) == sum(before[0]) + 1
    assert starts.START_SECONDS.labels().sum - before[1] == 8.0
    assert starts.SLI_SECONDS.labels().sum - before[2] == 2.0
