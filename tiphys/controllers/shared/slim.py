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
from tiphys.api.machinery.base import Struct, always, constant
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


class SlimPodSpec(Struct, forbid_unknown_fields=False):
    """Fields of a pod's spec about its node, its names, its ports and its claims."""

    nodeName: str = ""
    hostname: str = ""
    subdomain: str = ""
    tolerations: list[core.Toleration] = []
    initContainers: list[SlimContainer] = []
    """Those with ports."""
    containers: list[SlimContainer] = []
    """Those with ports."""
    volumes: list[SlimVolume] = []
    """Those with a claim behind them."""


class SlimContainerStatus(Struct, forbid_unknown_fields=False):
    """Number of restarts of a container."""

    restartCount: int = 0


class SlimPodStatus(Struct, forbid_unknown_fields=False):
    """State and addresses of a pod."""

    phase: str = ""
    reason: str = ""
    podIP: str = ""
    podIPs: list[core.PodIP] = []
    conditions: list[core.PodCondition] = []
    containerStatuses: list[SlimContainerStatus] = []


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
    spec.initContainers = [container for container in spec.initContainers if container.ports]
    spec.containers = [container for container in spec.containers if container.ports]
    spec.volumes = [volume for volume in spec.volumes if volume.persistentVolumeClaim is not None or volume.ephemeral is not None]
    status.phase = intern(status.phase)
    return pod


PODS: Final = Slim(SlimPod, core.Pod, compact)


class SlimVersion(Struct, forbid_unknown_fields=False):
    """A version of a custom kind, without its schema."""

    name: str = ""
    served: bool = False
    storage: bool = False
    subresources: apiextensions.CustomResourceSubresources | None = None


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
