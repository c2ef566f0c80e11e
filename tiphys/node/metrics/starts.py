"""Duration of pod starts: as users see it, and without times that the node cannot influence ("Kubernetes Metrics Reference")."""

from __future__ import annotations

from datetime import datetime

from tiphys.api.core import v1 as core
from tiphys.api.helpers.resources import is_sidecar
from tiphys.node.metrics import families
from tiphys.obs import metrics

BUCKETS = (0.5, 1, 2, 3, 4, 5, 6, 8, 10, 20, 30, 45, 60, 120, 180, 240, 300, 360, 480, 600, 900, 1200, 1800, 2700, 3600)
START_SECONDS = metrics.histogram(
    "kubelet_pod_start_duration_seconds", "Time from the arrival of a pod on the node to its running, in seconds.", buckets=BUCKETS
)
SLI_SECONDS = metrics.histogram(
    "kubelet_pod_start_sli_duration_seconds",
    "Time from the creation of a pod to its running, in seconds, without pulls of images and init containers.", buckets=BUCKETS,
)  # fmt: skip
TOTAL_SECONDS = metrics.histogram(
    "kubelet_pod_start_total_duration_seconds",
    "Time from the creation of a pod to its running, in seconds, with pulls of images and init containers.", buckets=BUCKETS,
)  # fmt: skip


class PodStart:
    """The start of one pod, from its arrival on the node. It counts once, and not for pods that ran before the kubelet started."""

    def __init__(self, arrived: float, *, fresh: bool) -> None:
        self._arrived = arrived
        self._counted = self._synced = not fresh

    def sync(self, elapsed: float) -> None:
        """Count the first time that the pod is worked on; `elapsed` is the monotonic clock."""
        if not self._synced:
            self._synced = True
            families.WORKER_START.labels().observe(elapsed - self._arrived)

    def observe(self, pod: core.Pod, status: core.PodStatus, *, now: datetime, elapsed: float, pulling: float) -> None:
        """Count the pod if it runs now; `elapsed` is the monotonic clock, `pulling` the seconds that its images took."""
        if self._counted or status.phase != "Running":
            return
        self._counted = True
        START_SECONDS.labels().observe(elapsed - self._arrived)
        created = pod.metadata.creationTimestamp
        if created is not None:
            TOTAL_SECONDS.labels().observe(max((now - created).total_seconds(), 0.0))
            SLI_SECONDS.labels().observe(max((now - created).total_seconds() - pulling - _init_seconds(pod, status), 0.0))


def _init_seconds(pod: core.Pod, status: core.PodStatus) -> float:
    """Seconds that init containers ran before the others could start."""
    sidecars = {one.name for one in pod.spec.initContainers if is_sidecar(one)}
    total = 0.0
    for one in status.initContainerStatuses:
        ended = one.state.terminated
        if one.name not in sidecars and ended is not None and ended.startedAt is not None and ended.finishedAt is not None:
            total += (ended.finishedAt - ended.startedAt).total_seconds()
    return total
