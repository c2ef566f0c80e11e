"""Pods as controllers keep them: the fields that some loop reads, a fraction of the whole. Pure but for `pods`.

The objects must never be written back; loops patch pods, or create and delete them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from sys import intern

from tiphys.api.core import v1 as core
from tiphys.api.well_known import LAST_APPLIED
from tiphys.runtime import Informer, InformerSource


def pods(informers: InformerSource) -> Informer[core.Pod]:
    """The informer of pods that all controllers share."""
    return informers.of(core.Pod, transform=slim_pod)


def slim_pod(pod: core.Pod) -> core.Pod:
    """The pod without what no controller asks about, and with its repeating texts shared."""
    meta, spec, status = pod.metadata, pod.spec, pod.status
    meta.managedFields = []
    meta.labels = _shared(meta.labels)
    meta.annotations = {key: value for key, value in meta.annotations.items() if key != LAST_APPLIED}
    meta.namespace = intern(meta.namespace)
    return core.Pod(
        metadata=meta,
        spec=core.PodSpec(
            nodeName=intern(spec.nodeName),
            hostname=spec.hostname,
            subdomain=spec.subdomain,
            tolerations=spec.tolerations,
            initContainers=_with_ports(spec.initContainers),
            containers=_with_ports(spec.containers),
            volumes=_claimed(spec.volumes) if spec.volumes else [],
        ),
        status=core.PodStatus(
            phase=intern(status.phase),
            reason=status.reason,
            podIP=status.podIP,
            podIPs=status.podIPs,
            conditions=status.conditions,
            containerStatuses=[core.ContainerStatus(restartCount=found.restartCount) for found in status.containerStatuses],
        ),
    )


def _with_ports(containers: Iterable[core.Container]) -> list[core.Container]:
    return [core.Container(name=found.name, ports=found.ports, restartPolicy=found.restartPolicy) for found in containers if found.ports]


def _claimed(volumes: Iterable[core.Volume]) -> list[core.Volume]:
    """The volumes that are claims; of those made for the pod only that they are."""
    return [
        core.Volume(
            name=volume.name,
            persistentVolumeClaim=volume.persistentVolumeClaim,
            ephemeral=core.EphemeralVolumeSource() if volume.ephemeral is not None else None,
        )
        for volume in volumes
        if volume.persistentVolumeClaim is not None or volume.ephemeral is not None
    ]


def _shared(labels: Mapping[str, str]) -> dict[str, str]:
    return {intern(key): intern(value) for key, value in labels.items()}
