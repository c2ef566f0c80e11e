"""The kubelet's pages of metrics."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families as parsed

from tests.unit.node.make import pod
from tiphys.node import names
from tiphys.node.cri.pb import api_pb2 as pb
from tiphys.node.metrics.cadvisor import Machine, cadvisor_lines
from tiphys.node.metrics.families import kubelet_lines, operation_type
from tiphys.node.metrics.probes import ProbeMetrics
from tiphys.node.observed import Observed, SeenSandbox
from tiphys.obs import metrics


def text(lines: object) -> str:
    return metrics.page(lines).decode()  # type: ignore[arg-type]


def test_names_of_runtime_operations_are_upstreams() -> None:
    verbs = ("CreateContainer", "RunPodSandbox", "ExecSync", "ListContainerStats", "Version")
    names_of = [operation_type(verb) for verb in verbs]
    assert names_of == ["create_container", "run_podsandbox", "exec_sync", "list_container_stats", "version"]


def test_cadvisor_page_has_use_by_pod_container_and_interface() -> None:
    labels = {names.POD_NAMESPACE: "ns", names.POD_NAME: "web", names.POD_UID: "u1", names.CONTAINER_NAME: "app"}
    container = pb.ContainerStats(
        attributes=pb.ContainerAttributes(id="c1", labels=labels),
        cpu=pb.CpuUsage(usage_core_nano_seconds=pb.UInt64Value(value=1_500_000_000)),
        memory=pb.MemoryUsage(working_set_bytes=pb.UInt64Value(value=4096)),
    )
    network = pb.NetworkUsage(default_interface=pb.NetworkInterfaceUsage(name="eth0", rx_bytes=pb.UInt64Value(value=7)))
    sandbox = pb.PodSandboxStats(
        attributes=pb.PodSandboxAttributes(id="s1", metadata=pb.PodSandboxMetadata(name="web", namespace="ns", uid="u1")),
        linux=pb.LinuxPodSandboxStats(network=network),
    )
    families = {one.name: one.samples for one in parsed(text(cadvisor_lines(Machine(2, 1 << 30), [container], [sandbox], {"c1": "web:1"})))}
    (cpu,) = families["container_cpu_usage_seconds"]
    assert cpu.value == 1.5
    assert cpu.labels["image"] == "web:1"  # Dashboards leave out series without an image.
    assert (cpu.labels["namespace"], cpu.labels["pod"], cpu.labels["container"], cpu.labels["name"]) == ("ns", "web", "app", "c1")
    (received,) = families["container_network_receive_bytes"]
    assert (received.value, received.labels["interface"], received.labels["pod"]) == (7, "eth0", "web")
    assert families["machine_cpu_cores"][0].value == 2


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
