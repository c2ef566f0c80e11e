"""/pods and /runningpods/: the pods that the node is to run, and those that its container runtime runs. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from tiphys.api.core import v1 as core
from tiphys.node.pod.observed import Observed


def pod_list(pods: Iterable[core.Pod]) -> dict[str, Any]:
    """A PodList; as in any list, its items do not say their own kind."""
    items = msgspec.json.decode(msgspec.json.encode(list(pods)))
    for item in items:
        item.pop("kind", None)
        item.pop("apiVersion", None)
    return {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}


def running_pods(seen: Iterable[Observed]) -> dict[str, Any]:
    """A PodList of what runs: names and images of running containers, as far as the runtime knows."""
    items = [_running(one) for one in seen if one.running or any(box.ready for box in one.sandboxes)]
    return {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}


def _running(seen: Observed) -> dict[str, Any]:
    containers = [{"name": one.name, "image": one.image or one.image_ref, "resources": {}} for one in seen.running]
    metadata = {"name": seen.name, "namespace": seen.namespace, "uid": seen.uid}
    return {"metadata": metadata, "spec": {"containers": containers}, "status": {}}
