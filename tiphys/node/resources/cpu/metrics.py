"""Metrics of the CPU manager ("Kubernetes Metrics Reference")."""

from __future__ import annotations

from tiphys.node.resources.topology import Topology
from tiphys.obs import metrics

PINNING_REQUESTS = metrics.counter("kubelet_cpu_manager_pinning_requests_total", "Containers that were to own CPUs.")
PINNING_ERRORS = metrics.counter("kubelet_cpu_manager_pinning_errors_total", "Containers that could not get the CPUs they were to own.")
SHARED = metrics.gauge("kubelet_cpu_manager_shared_pool_size_millicores", "CPUs that can still be owned, in thousandths.")
OWNED = metrics.gauge("kubelet_cpu_manager_exclusive_cpu_allocation_count", "CPUs that containers own.")
PER_NODE = metrics.gauge("kubelet_cpu_manager_allocation_per_numa", "CPUs that containers own, by NUMA node.", "numa_node")
ALIGNED = metrics.counter(
    "kubelet_container_aligned_compute_resources_count", "Containers whose CPUs are aligned, by the boundary.", "scope", "boundary"
)
ALIGNED_FAILURES = metrics.counter(
    "kubelet_container_aligned_compute_resources_failure_count", "Containers whose CPUs could not be aligned.", "scope", "boundary"
)


def show(topology: Topology, owned: frozenset[int], available: int) -> None:
    """Set the gauges."""
    OWNED.labels().set(len(owned))
    SHARED.labels().set(available * 1000)
    for node, cpus in topology.groups["node"].items():
        PER_NODE.labels(str(node)).set(len(cpus & owned))
