"""Types of objects as controllers keep them: only the fields that some loop reads, a fraction of the whole. Pure.

Each is a type of its own, so reading a field that is not kept is an error of the type checker and never a silent blank. The client decodes
straight into it, which costs less than decoding the whole object. Slim objects are never written back: loops patch, or create and delete.
A field that a new loop needs is added here, under its name on the wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from sys import intern
from typing import Final

from tiphys.api.apiextensions import v1 as apiextensions
from tiphys.api.core import v1 as core
from tiphys.api.helpers.jobs import TRACKING
from tiphys.api.machinery.base import Struct, Time, always, constant
from tiphys.api.meta.v1 import KubeObject
from tiphys.api.well_known import LAST_APPLIED
from tiphys.runtime import Slim, fate_of


class SlimContainer(Struct, forbid_unknown_fields=False):
    """The ports of a container."""

    name: str = ""
    ports: list[core.ContainerPort] = []
    restartPolicy: str = ""


class SlimEphemeral(Struct, forbid_unknown_fields=False):
    """Mark of a volume whose claim is made for the pod."""


class SlimVolume(Struct, forbid_unknown_fields=False):
    """The claim behind a volume."""

    name: str = ""
    persistentVolumeClaim: core.PersistentVolumeClaimVolumeSource | None = None
    ephemeral: SlimEphemeral | None = None


class SlimNodeTerm(Struct, forbid_unknown_fields=False):
    """Fields of a node that a term of a node selector asks for, which is its name."""

    matchFields: list[core.NodeSelectorRequirement] = []


class SlimNodeSelector(Struct, forbid_unknown_fields=False):
    """Terms of a node selector."""

    nodeSelectorTerms: list[SlimNodeTerm] = []


class SlimNodeAffinity(Struct, forbid_unknown_fields=False):
    """Required part of a node affinity."""

    requiredDuringSchedulingIgnoredDuringExecution: SlimNodeSelector | None = None


class SlimAffinity(Struct, forbid_unknown_fields=False):
    """Node that a pod is made for, before it is bound."""

    nodeAffinity: SlimNodeAffinity | None = None


class SlimPodSpec(Struct, forbid_unknown_fields=False):
    """Fields of a pod's spec about its node, its names, its ports and its claims."""

    nodeName: str = ""
    affinity: SlimAffinity | None = None
    """Affinity of pods that ask for a node by its name and have none yet."""
    hostname: str = ""
    subdomain: str = ""
    tolerations: list[core.Toleration] = []
    initContainers: list[SlimContainer] = []
    """Those with ports, and those that run beside the others."""
    containers: list[SlimContainer] = []
    """Those with ports."""
    volumes: list[SlimVolume] = []
    """Those with a claim behind them."""
    resourceClaims: list[core.PodResourceClaim] = []


class SlimWaiting(Struct, forbid_unknown_fields=False):
    """Reason for which a container does not run yet, or not again."""

    reason: str = ""


class SlimTermination(Struct, forbid_unknown_fields=False):
    """Result of a container that has ended."""

    exitCode: int = 0
    finishedAt: Time | None = None


class SlimContainerState(Struct, forbid_unknown_fields=False):
    """State of a container, as far as it waits; in pods of Jobs also how it ended."""

    waiting: SlimWaiting | None = None
    terminated: SlimTermination | None = None


class SlimContainerStatus(Struct, forbid_unknown_fields=False):
    """Number of restarts of a container, and its state where a loop reads it."""

    name: str = ""
    restartCount: int = 0
    state: SlimContainerState | None = None


class SlimExtendedClaim(Struct, forbid_unknown_fields=False):
    """The claim that the scheduler made for a pod's extended resources."""

    resourceClaimName: str = ""


class SlimPodStatus(Struct, forbid_unknown_fields=False):
    """State and addresses of a pod."""

    phase: str = ""
    reason: str = ""
    podIP: str = ""
    podIPs: list[core.PodIP] = []
    startTime: Time | None = None
    conditions: list[core.PodCondition] = []
    containerStatuses: list[SlimContainerStatus] = []
    initContainerStatuses: list[SlimContainerStatus] = []
    """Only in pods of Jobs: those that run beside the others, that were restarted, or that failed."""
    resourceClaimStatuses: list[core.PodResourceClaimStatus] = []
    extendedResourceClaimStatus: SlimExtendedClaim | None = None


class SlimPod(KubeObject, forbid_unknown_fields=False):
    """A pod as all controllers share it."""

    apiVersion: str = constant("v1")
    kind: str = constant("Pod")
    spec: SlimPodSpec = always(SlimPodSpec)
    status: SlimPodStatus = always(SlimPodStatus)


def compact(pod: SlimPod) -> SlimPod:
    """Drop fields that no loop reads from a slim pod and share its repeating texts; changes and returns the pod."""
    meta, spec, status = pod.metadata, pod.spec, pod.status
    meta.managedFields = []
    meta.labels = _interned(meta.labels)
    meta.annotations = {key: value for key, value in meta.annotations.items() if key != LAST_APPLIED}
    meta.namespace = intern(meta.namespace)
    spec.nodeName = intern(spec.nodeName)
    if spec.nodeName or not named_nodes(spec):
        spec.affinity = None
    sidecars = {container.name for container in spec.initContainers if container.restartPolicy == "Always"}
    spec.initContainers = [container for container in spec.initContainers if container.ports or container.name in sidecars]
    spec.containers = [container for container in spec.containers if container.ports]
    spec.volumes = [volume for volume in spec.volumes if volume.persistentVolumeClaim is not None or volume.ephemeral is not None]
    status.phase = intern(status.phase)
    _compact_containers(status, sidecars, results=TRACKING in meta.finalizers)
    return pod


def _compact_containers(status: SlimPodStatus, sidecars: set[str], *, results: bool) -> None:
    """Keep the results of containers only where a Job counts them: nobody else reads them. What waits is kept everywhere."""
    for container in (*status.containerStatuses, *status.initContainerStatuses):
        container.name = intern(container.name) if results else ""
        state = container.state
        if state is not None and state.waiting is None and not (results and state.terminated is not None):
            container.state = None
    status.initContainerStatuses = [
        container
        for container in status.initContainerStatuses
        if results and (container.name in sidecars or container.restartCount or _failed(container))
    ]


def _failed(container: SlimContainerStatus) -> bool:
    return container.state is not None and container.state.terminated is not None and container.state.terminated.exitCode != 0


def named_nodes(spec: SlimPodSpec) -> list[core.NodeSelectorRequirement]:
    """Return the requirements on the name of the node that a pod's affinity states, in all its terms."""
    affinity = spec.affinity.nodeAffinity if spec.affinity is not None else None
    required = affinity.requiredDuringSchedulingIgnoredDuringExecution if affinity is not None else None
    return [one for term in required.nodeSelectorTerms for one in term.matchFields] if required is not None else []


PODS: Final = Slim(SlimPod, core.Pod, compact)


class SlimScale(Struct, forbid_unknown_fields=False):
    """Mark of a version with a scale subresource."""


class SlimSubresources(Struct, forbid_unknown_fields=False):
    """The subresources of a version, of which only the scale counts."""

    scale: SlimScale | None = None


class SlimVersion(Struct, forbid_unknown_fields=False):
    """A version of a custom kind, without its schema."""

    name: str = ""
    served: bool = False
    storage: bool = False
    subresources: SlimSubresources | None = None


class SlimDefinitionSpec(Struct, forbid_unknown_fields=False):
    """Group, scope and versions of a custom kind."""

    group: str = ""
    scope: str = ""
    versions: list[SlimVersion] = []


class SlimDefinitionStatus(Struct, forbid_unknown_fields=False):
    """Names of a custom kind, and whether it is served."""

    conditions: list[apiextensions.CustomResourceDefinitionCondition] | None = None
    acceptedNames: apiextensions.CustomResourceDefinitionNames = always(apiextensions.CustomResourceDefinitionNames)


class SlimDefinition(KubeObject, forbid_unknown_fields=False):
    """A definition without its schemas, which are most of it."""

    apiVersion: str = constant("apiextensions.k8s.io/v1")
    kind: str = constant("CustomResourceDefinition")
    spec: SlimDefinitionSpec = always(SlimDefinitionSpec)
    status: SlimDefinitionStatus = always(SlimDefinitionStatus)


def without_annotations(definition: SlimDefinition) -> SlimDefinition:
    """Drop the annotations, which may hold all of the definition once more; changes and returns the definition."""
    definition.metadata = fate_of(definition.metadata)
    return definition


DEFINITIONS: Final = Slim(SlimDefinition, apiextensions.CustomResourceDefinition, without_annotations)


def _interned(labels: Mapping[str, str]) -> dict[str, str]:
    return {intern(key): intern(value) for key, value in labels.items()}
