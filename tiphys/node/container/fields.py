"""Values that a pod may learn about itself: `fieldRef` and `resourceFieldRef` of the downward API. Pure.

See "Downward API" in the Kubernetes documentation for the fields; their spelling in files and variables is matched by programs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.machinery import quantity
from tiphys.node.pod.plan import AnyContainer, find_container

_BOUNDED = ("cpu", "memory", "ephemeral-storage")
"""Resources that always have a limit: at most the node's."""
_INDEXED = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


class FieldPathError(ValueError):
    """The pod asks for something about itself that does not exist."""


class Identity(msgspec.Struct, frozen=True):
    """Place of the pod as known at the moment: addresses, and what the node could give at most."""

    pod_ips: Sequence[str] = ()
    host_ips: Sequence[str] = ()
    allocatable: Mapping[str, str] = {}


def pod_field(pod: core.Pod, path: str, identity: Identity) -> str:
    """The value of a `fieldRef`; raises FieldPathError for a path that is not supported."""
    indexed = _INDEXED.fullmatch(path)
    if indexed is not None:
        values = pod.metadata.labels if indexed[1] == "labels" else pod.metadata.annotations
        return values.get(indexed[2], "")
    simple = {
        "metadata.name": pod.metadata.name,
        "metadata.namespace": pod.metadata.namespace,
        "metadata.uid": pod.metadata.uid,
        "metadata.labels": _lines(pod.metadata.labels),
        "metadata.annotations": _lines(pod.metadata.annotations),
        "spec.nodeName": pod.spec.nodeName,
        "spec.serviceAccountName": pod.spec.serviceAccountName,
        "spec.host": pod.spec.nodeName,
        "status.hostIP": identity.host_ips[0] if identity.host_ips else "",
        "status.hostIPs": ",".join(identity.host_ips),
        "status.podIP": identity.pod_ips[0] if identity.pod_ips else "",
        "status.podIPs": ",".join(identity.pod_ips),
    }
    if path not in simple:
        raise FieldPathError(f"unsupported fieldPath: {path}")
    return simple[path]


def _lines(values: Mapping[str, str]) -> str:
    return "\n".join(f"{key}={msgspec.json.encode(value).decode()}" for key, value in sorted(values.items()))


def resource_field(pod: core.Pod, container: AnyContainer | None, ref: core.ResourceFieldSelector, identity: Identity) -> str:
    """The value of a `resourceFieldRef`, divided by its divisor and rounded up.

    A container without a limit, or with one of 0, may use what the pod as a whole may (KEP-2837), or else the node's allocatable.
    """
    if ref.containerName:
        container = find_container(pod, ref.containerName)
    if container is None:
        raise FieldPathError(f"container {ref.containerName} not found")
    side, _, resource = ref.resource.partition(".")
    if side not in ("limits", "requests") or not resource:
        raise FieldPathError(f"unsupported container resource : {ref.resource}")
    limits, requests = container.resources.limits, container.resources.requests
    value = (limits if side == "limits" else requests).get(resource, "0")
    if side == "limits" and resource in _BOUNDED and not quantity.parse(value):
        value = _outer_limit(pod, resource, identity)
    amount = quantity.parse(value)
    divisor = quantity.parse(ref.divisor) if ref.divisor and ref.divisor != "0" else quantity.parse("1")
    return str(math.ceil(amount / divisor))


def _outer_limit(pod: core.Pod, resource: str, identity: Identity) -> str:
    allocatable = identity.allocatable.get(resource, "0")
    whole = pod.spec.resources.limits.get(resource, "0") if pod.spec.resources is not None and resource != "ephemeral-storage" else "0"
    return whole if quantity.parse(whole) else allocatable
