"""Metrics of the managers of resources ("Kubernetes Metrics Reference")."""

from __future__ import annotations

from tiphys.node.resources.topology import Topology
from tiphys.obs import metrics

PINNING_REQUESTS = metrics.counter("kubelet_cpu_manager_pinning_requests_total", "Containers that were to own CPUs.")
PINNING_ERRORS = metrics.counter("kubelet_cpu_manager_pinning_errors_total", "Containers that could not get the CPUs they were to own.")
SHARED = metrics.gauge("kubelet_cpu_manager_shared_pool_size_millicores", "CPUs that can still be owned, in thousandths.")
OWNED = metrics.gauge("kubelet_cpu_manager_exclusive_cpu_allocation_count", "CPUs that containers own.")
PER_NODE = metrics.gauge("kubelet_cpu_manager_allocation_per_numa", "CPUs that containers own, by NUMA node.", "numa_node")
ALIGNED = metrics.counter(
    "kubelet_container_aligned_compute_resources_count", "Containers whose resources are aligned, by the boundary.", "scope", "boundary"
)
ALIGNED_FAILURES = metrics.counter(
    "kubelet_container_aligned_compute_resources_failure_count", "Containers whose resources could not be aligned.", "scope", "boundary"
)
MEMORY_REQUESTS = metrics.counter("kubelet_memory_manager_pinning_requests_total", "Containers that were to own memory.")
MEMORY_ERRORS = metrics.counter("kubelet_memory_manager_pinning_errors_total", "Containers that could not get the memory they were to own.")
ADMISSION_REQUESTS = metrics.counter("kubelet_topology_manager_admission_requests_total", "Pods whose resources were to be aligned.")
ADMISSION_ERRORS = metrics.counter("kubelet_topology_manager_admission_errors_total", "Pods whose resources could not be aligned.")
ADMISSION_MILLISECONDS = metrics.histogram(
    "kubelet_topology_manager_admission_duration_ms", "Time to assign resources to a pod, in milliseconds.",
    buckets=metrics.exponential(0.05, 2, 15),
)  # fmt: skip


def show_cpus(topology: Topology, owned: frozenset[int], available: int) -> None:
    """Set the gauges of CPUs."""
    OWNED.labels().set(len(owned))
    SHARED.labels().set(available * 1000)
    for node, cpus in topology.groups["node"].items():
        PER_NODE.labels(str(node)).set(len(cpus & owned))


def prepare_alignment() -> None:
    """Show the counts of alignment with NUMA nodes before the first pod."""
    for scope in ("container", "pod"):
        ALIGNED.labels(scope, "numa_node").inc(0)
        ALIGNED_FAILURES.labels(scope, "numa_node").inc(0)
