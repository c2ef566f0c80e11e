"""The kubelet's own families at `/metrics`, and where its parts count ("Kubernetes Metrics Reference")."""

from __future__ import annotations

from collections.abc import Iterator

from tiphys.node.pod.observed import Observed
from tiphys.obs import metrics

STORAGE_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 25.0, 50.0, 120.0, 300.0, 600.0)
STATUS_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0)
PULL_BUCKETS = (1, 5, 10, 20, 30, 60, 120, 180, 240, 300, 360, 480, 600, 900, 1200, 1800, 2700, 3600)
_MIB, _GIB = 1 << 20, 1 << 30
_SIZES = (
    (100 * _GIB, "GT100GB"), (60 * _GIB, "60GB-100GB"), (40 * _GIB, "40GB-60GB"), (30 * _GIB, "30GB-40GB"), (20 * _GIB, "20GB-30GB"),
    (10 * _GIB, "10GB-20GB"), (5 * _GIB, "5GB-10GB"), (_GIB, "1GB-5GB"), (500 * _MIB, "500MB-1GB"), (100 * _MIB, "100MB-500MB"),
    (10 * _MIB, "10MB-100MB"),
)  # fmt: skip
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
STARTED_CONTAINERS_ERRORS = metrics.counter(
    "kubelet_started_containers_errors_total", "Containers that could not be started, by type and by the reason that their status shows.",
    "container_type", "code",
)  # fmt: skip
SANDBOX_SECONDS = metrics.histogram("kubelet_run_podsandbox_duration_seconds", "Time to start a sandbox, in seconds.", "runtime_handler")
SANDBOX_ERRORS = metrics.counter("kubelet_run_podsandbox_errors_total", "Sandboxes that could not be started.", "runtime_handler")
WORKER_START = metrics.histogram(
    "kubelet_pod_worker_start_duration_seconds", "Time from the arrival of a pod to its first sync, in seconds."
)
STATUS_SYNC = metrics.histogram(
    "kubelet_pod_status_sync_duration_seconds", "Time from a change of a pod's status until the API server has it, in seconds.",
    buckets=STATUS_BUCKETS,
)  # fmt: skip
CONTAINERS_PER_POD = metrics.histogram(
    "kubelet_containers_per_pod_count", "Containers of the pods that arrived.", buckets=metrics.exponential(1, 2, 5)
)
CGROUP_SECONDS = metrics.histogram(
    "kubelet_cgroup_manager_duration_seconds", "Time to create, update or destroy a pod's control group, in seconds.", "operation_type"
)
PULL_SECONDS = metrics.histogram(
    "kubelet_image_pull_duration_seconds", "Time to pull an image, waits included, in seconds, by the size of images.",
    "image_size_in_bytes", buckets=PULL_BUCKETS,
)  # fmt: skip
REJECTIONS = metrics.counter("kubelet_admission_rejections_total", "Pods that the node rejected, by reason.", "reason")
ORPHANS = metrics.counter("kubelet_orphaned_runtime_pods_total", "Pods of the runtime that neither the API nor a worker knew.")
IMAGE_VOLUMES = metrics.counter("kubelet_image_volume_requested_total", "Image volumes of containers that were started.", stability="BETA")
IMAGE_VOLUMES_MOUNTED = metrics.counter("kubelet_image_volume_mounted_succeed_total", "Image volumes that were mounted.", stability="BETA")
IMAGE_VOLUMES_FAILED = metrics.counter(
    "kubelet_image_volume_mounted_errors_total", "Image volumes that could not be mounted.", stability="BETA"
)
for _counter in (STARTED_PODS, STARTED_PODS_ERRORS, ORPHANS, IMAGE_VOLUMES, IMAGE_VOLUMES_MOUNTED, IMAGE_VOLUMES_FAILED):
    _counter.labels()  # Shown as 0 from the start, as upstream's.
EVICTIONS = metrics.counter("kubelet_evictions", "Pods that the node evicted, by the limit that they exceeded.", "eviction_signal")
IMAGES_COLLECTED = metrics.counter(
    "kubelet_image_garbage_collected_total", "Images removed by garbage collection, whether for their age or for space.", "reason"
)
ORPHAN_VOLUMES = metrics.gauge("kubelet_orphan_pod_cleaned_volumes", "Former pods whose volumes the last look for orphans had to remove.")
ORPHAN_VOLUME_ERRORS = metrics.gauge(
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


def size_label(size: int) -> str:
    """Upstream's label of an image's size in bytes."""
    return next((label for bound, label in _SIZES if size > bound), "0-10MB")


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
