"""CPUs that containers request for themselves alone. Pure."""

from __future__ import annotations

from tiphys.api.core import v1 as core
from tiphys.api.helpers.resources import amount, is_sidecar, qos_class
from tiphys.node.pod.plan import AnyContainer


def is_guaranteed(pod: core.Pod) -> bool:
    """True for pods of the class Guaranteed whose resources are those of their containers, not of the pod as a whole."""
    return (pod.status.qosClass or qos_class(pod)) == "Guaranteed" and pod.spec.resources is None


def exclusive_cpus(pod: core.Pod, container: AnyContainer) -> int:
    """Return the number of CPUs that the container is to own: a whole number, in a Guaranteed pod; 0 for all others."""
    if not is_guaranteed(pod) or isinstance(container, core.EphemeralContainer):
        return 0
    requests = container.resources.requests or container.resources.limits
    milli = amount("cpu", requests["cpu"]) if "cpu" in requests else 0
    return 0 if milli % 1000 else milli // 1000


def pod_exclusive_cpus(pod: core.Pod) -> int:
    """Return the most CPUs that the pod's containers own at once."""
    sidecars = peak = 0
    for container in pod.spec.initContainers:
        count = exclusive_cpus(pod, container)
        if is_sidecar(container):
            sidecars += count
        else:
            peak = max(peak, sidecars + count)
    return max(peak, sidecars + sum(exclusive_cpus(pod, container) for container in pod.spec.containers))
