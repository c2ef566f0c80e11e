"""Requests and limits of all pods, as upstream's scheduler shows them at `/metrics/resources` ("Metrics For Kubernetes System Components:
kube-scheduler metrics"). Here the scheduler shares its process, and the page, with the API server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from tiphys.api.core import v1 as core
from tiphys.api.helpers.resources import Amounts, pod_limits, pod_requests
from tiphys.obs import metrics

_LABELS = ("namespace", "pod", "node", "scheduler", "priority", "resource", "unit")
_UNITS = {"cpu": "cores", "memory": "bytes", "storage": "bytes", "ephemeral-storage": "bytes"}
_OVER = ("Succeeded", "Failed")


def lines(pods: Callable[[], Iterable[core.Pod]]) -> Iterator[str]:
    """The text of the page. Pods that have ended use nothing any more."""
    for name, doc, of in (
        ("kube_pod_resource_limit", "Limits of pods, in the unit of each resource.", pod_limits),
        ("kube_pod_resource_request", "Requests of pods, in the unit of each resource.", pod_requests),
    ):
        yield metrics.head(name, "gauge", doc, "STABLE")
        for pod in pods():
            if not (pod.spec.nodeName and pod.status.phase in _OVER):
                yield from _samples(name, pod, of(pod))


def _samples(name: str, pod: core.Pod, amounts: Amounts) -> Iterator[str]:
    spec, meta = pod.spec, pod.metadata
    priority = "" if spec.priority is None else str(spec.priority)
    for resource, amount in amounts.items():
        if amount:
            values = (meta.namespace, meta.name, spec.nodeName, spec.schedulerName, priority, resource, _unit(resource))
            yield metrics.sample(name, metrics.pairs(_LABELS, values), amount / 1000 if resource == "cpu" else amount)


def _unit(resource: str) -> str:
    if resource.startswith("hugepages-"):
        return "bytes"
    return "integer" if resource.startswith("attachable-volumes-") else _UNITS.get(resource, "")
