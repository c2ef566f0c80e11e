"""Facts about a pod that scheduling needs, extracted from it once.

Pods made from one template differ in names only, so everything but the names is a `Template`, shared by all of them, found by its key.
Filters and scores take templates; their results are kept per template (see `classes`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.machinery import ordered
from tiphys.runtime.key import Key
from tiphys.scheduler.devices.pod import PodDevices, pod_devices
from tiphys.scheduler.matching import image_name
from tiphys.scheduler.resources import HostPort, Requests, host_ports, pod_requests
from tiphys.scheduler.settings import DEFAULTS
from tiphys.scheduler.slim import SlimContainer, SlimContainerStatus, SlimPod
from tiphys.scheduler.social import Social, make_social, social_key
from tiphys.scheduler.volumes.pod import PodVolumes, pod_volumes

_encode = ordered.encoder("deterministic", codec=msgspec.msgpack)


class Template(msgspec.Struct, frozen=True, eq=False):
    """Part of a pod that decides where it can run, apart from its relations to other pods."""

    key: bytes
    requests: Requests
    ports: tuple[HostPort, ...]
    images: tuple[str, ...]
    containers: int
    node_selector: dict[str, str]
    required: tuple[core.NodeSelectorTerm, ...] | None
    """Terms of the required node affinity, one of which must match; None without."""
    preferred: tuple[core.PreferredSchedulingTerm, ...]
    tolerations: tuple[core.Toleration, ...]


class PodInfo(msgspec.Struct, frozen=True, eq=False):
    """Pod as the scheduler sees it. `pod` is the object as last read: READ ONLY."""

    pod: SlimPod
    key: Key
    uid: str
    priority: int
    template: Template
    social: Social
    terminating: bool
    volumes: PodVolumes | None = None
    devices: PodDevices | None = None


class Affinity(NamedTuple):
    """Node affinity, decoded."""

    required: tuple[core.NodeSelectorTerm, ...] | None
    preferred: tuple[core.PreferredSchedulingTerm, ...]


def node_affinity(pod: SlimPod) -> Affinity:
    """Decode the node affinity of a pod."""
    affinity = pod.spec.affinity.nodeAffinity if pod.spec.affinity is not None else None
    if affinity is None:
        return Affinity(None, ())
    required = affinity.requiredDuringSchedulingIgnoredDuringExecution
    terms = tuple(required.nodeSelectorTerms) if required is not None else None
    return Affinity(terms, tuple(affinity.preferredDuringSchedulingIgnoredDuringExecution))


def _container_key(container: SlimContainer) -> object:
    ports = [(port.hostIP, port.protocol, port.hostPort) for port in container.ports if port.hostPort]
    return container.image, container.resources.requests, container.restartPolicy, ports


def _status_key(status: SlimContainerStatus) -> object:
    return status.name, status.allocatedResources, status.resources.requests if status.resources is not None else None


def template_key(pod: SlimPod) -> bytes:
    """Return a key that is equal for pods with equal templates."""
    spec, status = pod.spec, pod.status
    affinity = spec.affinity.nodeAffinity if spec.affinity is not None else None
    return _encode(
        (
            [_container_key(one) for one in spec.containers],
            [_container_key(one) for one in spec.initContainers],
            spec.nodeSelector,
            affinity,
            spec.tolerations,
            spec.overhead,
            spec.resources,
            [volume.image.reference for volume in spec.volumes if volume.image is not None],
            [_status_key(one) for one in status.containerStatuses if one.allocatedResources or one.resources is not None],
            [_status_key(one) for one in status.initContainerStatuses if one.allocatedResources or one.resources is not None],
        )
    )


def make_template(pod: SlimPod, key: bytes) -> Template:
    """Extract the template of a pod."""
    spec = pod.spec
    affinity = node_affinity(pod)
    containers = [*spec.initContainers, *spec.containers]
    staying = [one for one in spec.initContainers if one.restartPolicy == "Always"]
    images = [one.image for one in containers] + [volume.image.reference for volume in spec.volumes if volume.image is not None]
    return Template(
        key=key,
        requests=pod_requests(pod),
        ports=host_ports([*staying, *spec.containers]),
        images=tuple(image_name(image) for image in images),
        containers=len(containers),
        node_selector=spec.nodeSelector,
        required=affinity.required,
        preferred=affinity.preferred,
        tolerations=tuple(spec.tolerations),
    )


P = TypeVar("P")


class Shared(Generic[P]):
    """Parts of pods by key. Beyond `limit` the least recently used are dropped; pods that have one keep it."""

    def __init__(self, key: Callable[[SlimPod], bytes], make: Callable[[SlimPod, bytes], P], limit: int = 4096) -> None:
        self._key, self._make, self._limit = key, make, limit
        self._known: dict[bytes, P] = {}

    def of(self, pod: SlimPod) -> P:
        """Return the part of this pod."""
        key = self._key(pod)
        part = self._known.pop(key, None)
        if part is None:
            part = self._make(pod, key)
            if len(self._known) >= self._limit:
                del self._known[next(iter(self._known))]
        self._known[key] = part
        return part


class Reader:
    """Reader of pods that shares their common parts."""

    def __init__(self) -> None:
        self._templates: Shared[Template] = Shared(template_key, make_template)
        self._socials: Shared[Social] = Shared(social_key, make_social)

    def info(self, pod: SlimPod) -> PodInfo:
        """Return the entry that the scheduler keeps for a pod."""
        return PodInfo(
            pod=pod,
            key=Key.of(pod),
            uid=pod.metadata.uid,
            priority=pod.spec.priority or 0,
            template=self._templates.of(pod),
            social=self._socials.of(pod),
            terminating=pod.metadata.deletionTimestamp is not None,
            volumes=pod_volumes(pod) if pod.spec.volumes else None,
            devices=pod_devices(pod) if pod.spec.resourceClaims else None,
        )


def is_mine(pod: SlimPod, scheduler: str = DEFAULTS.name) -> bool:
    """Return whether this scheduler is responsible for the pod."""
    return not pod.spec.nodeName and (pod.spec.schedulerName or scheduler) == scheduler and pod.metadata.deletionTimestamp is None


def is_over(pod: SlimPod) -> bool:
    """Return whether the pod has ended and uses no resources of its node."""
    return pod.status.phase in ("Succeeded", "Failed")
