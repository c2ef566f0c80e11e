"""Identity of a StatefulSet's pods: ordinals, names, labels and volumes ("StatefulSets: Pod Identity"). Pure."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.controllers.shared.claim import reference
from tiphys.controllers.shared.revisions import HASH_LABEL
from tiphys.controllers.shared.slim import SlimPod

POD_NAME: Final = "statefulset.kubernetes.io/pod-name"
POD_INDEX: Final = "apps.kubernetes.io/pod-index"
"""Labels of every pod: its name and its ordinal."""

LABEL_LENGTH: Final = 63
"""Maximum length of a revision's name, which is the value of a label of its pods."""

_NUMBERED = re.compile(r"(.+)-(0|[1-9][0-9]{0,9})", re.ASCII)
_LARGEST = 2**31 - 1


def pod_name(owner: apps.StatefulSet, ordinal: int) -> str:
    """Return the name of the pod with an ordinal."""
    return f"{owner.metadata.name}-{ordinal}"


def parse_pod_name(name: str) -> tuple[str, int] | None:
    """Return the StatefulSet and the ordinal that a pod's name tells, None when it is no such name.

    Each ordinal has exactly one name: one with leading zeros is none.
    """
    match = _NUMBERED.fullmatch(name)
    if match is None or int(match[2]) > _LARGEST:
        return None
    return match[1], int(match[2])


def is_member(owner: apps.StatefulSet, pod: SlimPod) -> bool:
    """Return whether a pod's name is one of the StatefulSet's."""
    parsed = parse_pod_name(pod.metadata.name)
    return parsed is not None and parsed[0] == owner.metadata.name


def ordinal_of(pod: SlimPod) -> int:
    """Return the ordinal of a member."""
    parsed = parse_pod_name(pod.metadata.name)
    if parsed is None:
        raise ValueError(f"{pod.metadata.name} has no ordinal")
    return parsed[1]


def revision_of(pod: SlimPod | core.Pod) -> str:
    """Return the name of the revision that a pod was made from, "" when it is unknown."""
    return pod.metadata.labels.get(HASH_LABEL, "")


def identity_labels(pod: SlimPod) -> dict[str, str]:
    """Return the labels that tell the identity of a member."""
    return {POD_NAME: pod.metadata.name, POD_INDEX: str(ordinal_of(pod))}


def has_identity(pod: SlimPod) -> bool:
    """Return whether a member is labeled with its own name."""
    return pod.metadata.labels.get(POD_NAME) == pod.metadata.name


def claim_name(owner: apps.StatefulSet, template: core.PersistentVolumeClaim, ordinal: int) -> str:
    """Return the name of a pod's claim."""
    return f"{template.metadata.name}-{owner.metadata.name}-{ordinal}"


def has_storage(owner: apps.StatefulSet, pod: SlimPod) -> bool:
    """Return whether a member mounts the claims of its ordinal."""
    ordinal = ordinal_of(pod)
    mounted = {volume.name: volume.persistentVolumeClaim for volume in pod.spec.volumes}
    for template in owner.spec.volumeClaimTemplates:
        source = mounted.get(template.metadata.name)
        if source is None or source.claimName != claim_name(owner, template, ordinal):
            return False
    return True


def make_pod(owner: apps.StatefulSet, template: core.PodTemplateSpec, ordinal: int, revision: str) -> core.Pod:
    """Create the pod of an ordinal from the template of a revision. It shares the template's parts, so write it but do not change it."""
    name = pod_name(owner, ordinal)
    labels = {**template.metadata.labels, POD_NAME: name, POD_INDEX: str(ordinal), HASH_LABEL: revision}
    meta = ObjectMeta(
        name=name,
        namespace=owner.metadata.namespace,
        labels=labels,
        annotations=dict(template.metadata.annotations),
        finalizers=list(template.metadata.finalizers),
        ownerReferences=[reference(owner)],
    )
    spec = msgspec.structs.replace(
        template.spec, hostname=name, subdomain=owner.spec.serviceName, volumes=_volumes(owner, template.spec.volumes, ordinal)
    )
    return core.Pod(metadata=meta, spec=spec)


def _volumes(owner: apps.StatefulSet, volumes: list[core.Volume], ordinal: int) -> list[core.Volume]:
    """Return the volumes of a pod; its claims replace those of the template with the same name."""
    claims = {
        template.metadata.name: core.Volume(
            name=template.metadata.name,
            persistentVolumeClaim=core.PersistentVolumeClaimVolumeSource(claimName=claim_name(owner, template, ordinal)),
        )
        for template in owner.spec.volumeClaimTemplates
    }
    return [*claims.values(), *(volume for volume in volumes if volume.name not in claims)]
