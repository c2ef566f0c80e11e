"""The kubelet's own families at `/metrics`, and where its parts count ("Kubernetes Metrics Reference")."""

from __future__ import annotations

from collections.abc import Iterator

from tiphys.node.pod.observed import Observed
from tiphys.obs import metrics

STORAGE_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 25.0, 50.0, 120.0, 300.0, 600.0)
OPERATION_BUCKETS = metrics.exponential(0.005, 2.5, 14)

OPERATIONS = metrics.counter("kubelet_runtime_operations_total", "Requests to the runtime, by operation.", "operation_type")
OPERATION_ERRORS = metrics.counter("kubelet_runtime_operations_errors_total", "Requests to the runtime that failed.", "operation_type")
OPERATION_SECONDS = metrics.histogram(
    "kubelet_runtime_operations_duration_seconds", "Time of requests to the runtime, in seconds.", "operation_type",
    buckets=OPERATION_BUCKETS,
)  # fmt: skip
RELIST_SECONDS = metrics.histogram("kubelet_pleg_relist_duration_seconds", "Time to list what the runtime holds, in seconds.")
RELIST_INTERVAL = metrics.histogram("kubelet_pleg_relist_interval_seconds", "Time between the starts of two lists, in seconds.")
LAST_SEEN = metrics.gauge("kubelet_pleg_last_seen_seconds", "When the runtime was listed last, in seconds since the epoch.")
WORK_SECONDS = metrics.histogram("kubelet_pod_worker_duration_seconds", "Time to sync a pod, in seconds.", "operation_type")
STARTED_PODS = metrics.counter("kubelet_started_pods_total", "Sandboxes that were started.")
STARTED_PODS_ERRORS = metrics.counter("kubelet_started_pods_errors_total", "Sandboxes that could not be started.")
STARTED_CONTAINERS = metrics.counter("kubelet_started_containers_total", "Containers that were started, by type.", "container_type")
TERMINATED_CONTAINERS = metrics.counter(
    "kubelet_terminated_containers_total", "Containers that terminated, by type, exit code and reason.",
    "container_type", "exit_code", "reason",
)  # fmt: skip
EVICTIONS = metrics.counter("kubelet_evictions", "Pods that the node evicted, by the limit that they exceeded.", "eviction_signal")
IMAGES_COLLECTED = metrics.counter(
    "kubelet_image_garbage_collected_total", "Images removed by garbage collection, whether for their age or for space.", "reason"
)
ORPHANS = metrics.gauge("kubelet_orphan_pod_cleaned_volumes", "Former pods whose volumes the last look for orphans had to remove.")
ORPHAN_ERRORS = metrics.gauge(
    "kubelet_orphan_pod_cleaned_volumes_errors", "Former pods whose volumes could not be removed yet at the last look for orphans."
)
EVICTION_AGE = metrics.histogram(
    "kubelet_eviction_stats_age_seconds", "Age of the figures by which a pod was evicted, in seconds.", "eviction_signal",
)  # fmt: skip
PREEMPTIONS = metrics.counter("kubelet_preemptions", "Pods that made room for critical ones, by the resource.", "preemption_signal")

STORAGE_SECONDS = metrics.histogram(
    "storage_operation_duration_seconds", "Time of operations on volumes, in seconds.",
    "volume_plugin", "operation_name", "status", "migrated", buckets=STORAGE_BUCKETS,
)  # fmt: skip
VOLUME_TOTAL_SECONDS = metrics.histogram(
    "volume_operation_total_seconds", "Time until a volume is mounted, waits and retries included, in seconds.", "plugin_name",
    "operation_name", buckets=STORAGE_BUCKETS,
)  # fmt: skip
RECONSTRUCTIONS = metrics.counter("reconstruct_volume_operations_total", "Mounts whose records were found at the start of the kubelet.")

PULL_INTENTS = metrics.gauge("kubelet_imagemanager_ondisk_pullintents", "Pulls under way that are on record.")
PULLED_RECORDS = metrics.gauge("kubelet_imagemanager_ondisk_pulledrecords", "Images on record as pulled.")
PULL_CHECKS = metrics.counter(
    "kubelet_imagemanager_image_mustpull_checks_total", "Looks at whether a pod may use an image that is there, by result.", "result"
)
IMAGE_REQUESTS = metrics.counter(
    "kubelet_image_manager_ensure_image_requests_total", "Images that containers needed.", "pull_policy", "present_locally", "pull_required"
)
PROVIDER_ERRORS = metrics.counter(
    "kubelet_credential_provider_plugin_errors_total", "Credential providers that gave no usable answer.", "plugin_name"
)
PROVIDER_SECONDS = metrics.histogram(
    "kubelet_credential_provider_plugin_duration", "Time of credential providers to answer, in seconds.", "plugin_name"
)

CONTAINER_TYPES = {"main": "container", "init": "init_container", "sidecar": "init_container", "ephemeral": "ephemeral_container"}
"""Upstream's name of each kind of container."""
_NAMES = {
    "RunPodSandbox": "run_podsandbox", "StopPodSandbox": "stop_podsandbox", "RemovePodSandbox": "remove_podsandbox",
    "PodSandboxStatus": "podsandbox_status", "ListPodSandbox": "list_podsandbox", "PodSandboxStats": "podsandbox_stats",
    "ListPodSandboxStats": "list_podsandbox_stats", "UpdateContainerResources": "update_container",
    "UpdatePodSandboxResources": "update_podsandbox_resources",
}  # fmt: skip
_OPERATIONS: dict[str, tuple[metrics.Counter, metrics.Histogram]] = {}


def operation(verb: str) -> tuple[metrics.Counter, metrics.Histogram]:
    """Return the counter and the timer of a verb of the runtime's interface."""
    known = _OPERATIONS.get(verb)
    if known is None:
        name = operation_type(verb)
        known = _OPERATIONS[verb] = (OPERATIONS.labels(name), OPERATION_SECONDS.labels(name))
    return known


def operation_type(verb: str) -> str:
    """Upstream's name of a verb: `CreateContainer` is `create_container`."""
    return _NAMES.get(verb) or "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in verb).lstrip("_")


def storage_operation(plugin: str, operation: str, seconds: float, *, failed: bool) -> None:
    """Count an operation on a volume. Names are upstream's: `volume_mount`, `volume_unmount`, `map_volume`."""
    STORAGE_SECONDS.labels(plugin, operation, "fail-unknown" if failed else "success", "false").observe(seconds)


def kubelet_lines(node: str, pods: list[Observed]) -> Iterator[str]:
    """The families that are read from the node when it is scraped."""
    yield metrics.head("kubelet_node_name", "gauge", "The node's name; the count is always 1.", "ALPHA")
    yield metrics.sample("kubelet_node_name", metrics.pairs(("node",), (node,)), 1)
    yield metrics.head("kubelet_running_pods", "gauge", "Pods that have a running sandbox.", "ALPHA")
    yield metrics.sample("kubelet_running_pods", "", sum(1 for pod in pods if pod.sandbox is not None and pod.sandbox.ready))
    yield metrics.head("kubelet_running_containers", "gauge", "Containers, by state.", "ALPHA")
    states = [container.state for pod in pods for container in pod.containers]
    for state in ("created", "exited", "running", "unknown"):
        yield metrics.sample("kubelet_running_containers", metrics.pairs(("container_state",), (state,)), states.count(state))
