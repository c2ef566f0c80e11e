"""Claims of a pod's generic ephemeral volumes. Pure ("Ephemeral Volumes": Generic ephemeral volumes)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tiphys.api.core import v1 as core
from tiphys.api.helpers.pod_claims import ephemeral_claim, ownership_error
from tiphys.api.helpers.pods import is_finished
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.controllers.shared.claim import reference
from tiphys.controllers.shared.slim import SlimPod


@dataclass(slots=True)
class Plan:
    """Next step for a pod's claims, by volume."""

    create: list[str] = field(default_factory=list)
    """Volumes that have no claim."""
    foreign: dict[str, str] = field(default_factory=dict)
    """Volumes whose claim is not the pod's own, with the reason."""


def has_volumes(pod: SlimPod) -> bool:
    """Return whether a pod has volumes that need a claim made for it."""
    return any(volume.ephemeral is not None for volume in pod.spec.volumes)


def plan(pod: SlimPod, find: Callable[[str], core.PersistentVolumeClaim | None]) -> Plan:
    """Return the next step for a pod; `find` looks up claims of its namespace. Pods that end or have ended need no claim."""
    step = Plan()
    if pod.metadata.deletionTimestamp is not None or is_finished(pod):
        return step
    for volume in pod.spec.volumes:
        if volume.ephemeral is None:
            continue
        claim = find(ephemeral_claim(pod.metadata.name, volume.name))
        if claim is None:
            step.create.append(volume.name)
        elif why := ownership_error(pod.metadata, claim):
            step.foreign[volume.name] = why
    return step


def new_claim(pod: core.Pod, volume: core.Volume) -> core.PersistentVolumeClaim | None:
    """Return the claim for a volume of a pod, which controls it; None if the volume has no template."""
    template = volume.ephemeral.volumeClaimTemplate if volume.ephemeral is not None else None
    if template is None:
        return None
    return core.PersistentVolumeClaim(
        metadata=ObjectMeta(
            name=ephemeral_claim(pod.metadata.name, volume.name),
            namespace=pod.metadata.namespace,
            labels=dict(template.metadata.labels),
            annotations=dict(template.metadata.annotations),
            ownerReferences=[reference(pod)],
        ),
        spec=template.spec,
    )
