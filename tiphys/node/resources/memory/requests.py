"""Memory that containers request for themselves. Pure."""

from __future__ import annotations

from tiphys.api.core import v1 as core
from tiphys.api.helpers.resources import amount, is_sidecar
from tiphys.node.host.huge_pages import PREFIX
from tiphys.node.pod.plan import AnyContainer
from tiphys.node.resources.cpu.requests import is_guaranteed


def memory_requests(pod: core.Pod, container: AnyContainer) -> dict[str, int]:
    """Return the memory and huge pages that the container is to own, in bytes; {} unless the pod is Guaranteed."""
    if not is_guaranteed(pod) or isinstance(container, core.EphemeralContainer):
        return {}
    listed = {**container.resources.limits, **container.resources.requests}
    sizes = {name: amount(name, quantity) for name, quantity in listed.items() if name == "memory" or name.startswith(PREFIX)}
    return {name: size for name, size in sizes.items() if size}


def pod_memory_requests(pod: core.Pod) -> dict[str, int]:
    """Return the most memory of each kind that the pod's containers own at once."""
    sidecars: dict[str, int] = {}
    peak: dict[str, int] = {}
    for container in pod.spec.initContainers:
        for name, size in memory_requests(pod, container).items():
            if is_sidecar(container):
                sidecars[name] = sidecars.get(name, 0) + size
            else:
                peak[name] = max(peak.get(name, 0), sidecars.get(name, 0) + size)
    total = dict(sidecars)
    for container in pod.spec.containers:
        for name, size in memory_requests(pod, container).items():
            total[name] = total.get(name, 0) + size
    return {name: max(total.get(name, 0), peak.get(name, 0)) for name in total.keys() | peak.keys()}
