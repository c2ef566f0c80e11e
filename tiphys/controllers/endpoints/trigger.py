"""Time of the change that a write of endpoints follows, from which consumers tell how late they are ("Well-Known Labels, Annotations and
Taints": `endpoints.kubernetes.io/last-change-trigger-time`). Pure.

The time is read from what the write changes, so that nothing need be remembered: of the pods that are new or that became ready or not, the
first one's change; of the first write for a Service, its creation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.helpers.pods import condition
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.controllers.shared.slim import SlimPod

LAST_CHANGE: Final = "endpoints.kubernetes.io/last-change-trigger-time"

Readiness = Mapping[str, bool]
"""Uid of a pod to its readiness as endpoints show it."""


def trigger_time(service: core.Service, pods: Iterable[SlimPod], before: Readiness | None, after: Readiness) -> datetime | None:
    """Return the time of the first change between two states, None when no pod changed; `before` is None when nothing was written yet."""
    if before is None:
        return service.metadata.creationTimestamp
    moments = []
    for pod in pods:
        uid = pod.metadata.uid
        ready = condition(pod, "Ready")
        if uid in after and before.get(uid) != after[uid] and ready is not None and ready.lastTransitionTime is not None:
            moments.append(ready.lastTransitionTime)
    return min(moments, default=None)


def stamped(meta: ObjectMeta, moment: datetime | None) -> ObjectMeta:
    """Return metadata with the annotation for this time, without one for None."""
    annotations = {key: value for key, value in meta.annotations.items() if key != LAST_CHANGE}
    if moment is not None:
        annotations[LAST_CHANGE] = f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return msgspec.structs.replace(meta, annotations=annotations)
