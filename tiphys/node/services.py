"""Connections and managers that all workers of a node share, and questions that several parts ask."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from pathlib import Path

import msgspec

from tiphys.aio.clock import Clock
from tiphys.api.core import v1 as core
from tiphys.api.helpers.resources import Amounts
from tiphys.api.helpers.sysctls import AllowedSysctls
from tiphys.api.machinery.errors import NotFound, StatusError
from tiphys.api.node.v1 import RuntimeClass
from tiphys.client.client import Client
from tiphys.node.container import config as container_config
from tiphys.node.container.dns_config import Resolver, parse_resolv_conf
from tiphys.node.container.env import Sources, referenced
from tiphys.node.container.fields import Identity
from tiphys.node.container.memory import MemoryRules
from tiphys.node.container.probes import ProbeManager
from tiphys.node.cri.client import CriClient
from tiphys.node.eviction.pressure import Shown
from tiphys.node.mirror.static import StaticStatuses
from tiphys.node.objects import ObjectCache, Unreachable
from tiphys.node.pod.admission_rules import NODE_AFFINITY, Rejection, reject, under_pressure
from tiphys.node.pod.admitted import Admitted
from tiphys.node.pod.allocations import Allocations
from tiphys.node.pod.cgroups import PodCgroups
from tiphys.node.pod.observed import Observed
from tiphys.node.pod.status_writer import StatusWriter
from tiphys.node.pulls.puller import ImagePuller
from tiphys.node.resources.assigner import Refused
from tiphys.node.resources.assigners import Assigners
from tiphys.node.resources.cpu.manager import CpuManager
from tiphys.node.runtime.features import KnownFeatures
from tiphys.node.runtime.pleg import Relister
from tiphys.node.settings import NodeSettings
from tiphys.node.static.annotations import is_static
from tiphys.node.tokens import TokenCache
from tiphys.node.volumes.manager import VolumeManager
from tiphys.node.volumes.volume_stats import VolumeMeter
from tiphys.runtime.informer import Informer
from tiphys.runtime.recorder import EventRecorder


class Machine(msgspec.Struct, frozen=True):
    """The node's own size."""

    cores: int = 1
    memory: int = 0
    allocatable: dict[str, str] = {}
    apparmor: bool = False
    """True if the kernel can confine containers with AppArmor."""
    pods: Amounts = {}
    """Limits of all pods together: thousandths of a core, bytes, processes (`pid`). Without one, there is no limit."""


class NodeServices(msgspec.Struct, kw_only=True, eq=False):
    """One of each, made by the kubelet."""

    settings: NodeSettings
    client: Client
    cri: CriClient
    clock: Clock
    relister: Relister
    images: ImagePuller
    volumes: VolumeManager
    meter: VolumeMeter
    objects: ObjectCache
    tokens: TokenCache
    probes: ProbeManager
    statuses: StatusWriter
    recorder: EventRecorder
    cgroups: PodCgroups
    cluster_services: Informer[core.Service]
    machine: Machine
    memory: MemoryRules
    features: KnownFeatures
    """Features of the runtime."""
    allocations: Allocations
    admitted: Admitted
    pressure: Shown
    """Conditions of the node that eviction reports."""
    assigners: Assigners
    cpus: CpuManager | None
    """None with the CPU policy `none`."""
    admissions: asyncio.Lock
    """Held from the checks of a pod until it is in the book, so that nobody comes between."""
    nodes: Informer[core.Node]
    """Of this node only."""
    sysctls: AllowedSysctls
    shutting_down: asyncio.Event
    """Set while the node is about to be shut down."""
    static: StaticStatuses
    unregistered: core.Node
    """The Node as this machine registers it: static pods are admitted by it while the API server is away."""
    managed: Callable[[], Collection[str]] = tuple
    """Names of the resources that assigners hand out one by one."""
    resource_health: list[Callable[[str, str], list[core.ResourceStatus]]] = []
    """Sources of the health of what was assigned to a container, by the pod's uid and the container's name."""

    stopped: dict[str, str] = {}
    """Reasons for which the kubelet stopped containers, by id, until their ends are seen."""

    def tell(self, pod: core.Pod, container: str, type_: str, reason: str, message: str) -> None:
        """Record an event about a pod, or about one of its containers."""
        about = core.ObjectReference(
            apiVersion="v1",
            kind="Pod",
            namespace=pod.metadata.namespace,
            name=pod.metadata.name,
            uid=pod.metadata.uid,
            resourceVersion=pod.metadata.resourceVersion,
            fieldPath=_field_path(pod, container),
        )
        self.recorder.event(about, type_, reason, message)

    def tell_of_node(self, type_: str, reason: str, message: str) -> None:
        """Record an event about the node."""
        about = core.ObjectReference(apiVersion="v1", kind="Node", name=self.settings.name, uid=self.settings.name)
        self.recorder.event(about, type_, reason, message)

    def health(self, pod: core.Pod) -> dict[str, list[core.ResourceStatus]]:
        """Return the health of what was assigned to the pod's containers, by their names."""
        uid = pod.metadata.uid
        healths = {one.name: [status for source in self.resource_health for status in source(uid, one.name)] for one in pod.spec.containers}
        return {name: statuses for name, statuses in healths.items() if statuses}

    def hashes(self, pod: core.Pod) -> dict[str, str]:
        return container_config.hashes(pod)

    def pod_ips(self, pod: core.Pod, seen: Observed) -> tuple[str, ...]:
        """The pod's addresses, () while it has none."""
        if pod.spec.hostNetwork:
            return self.settings.addresses
        return seen.sandbox.ips if seen.sandbox is not None else ()

    def pod_ip(self, pod: core.Pod, seen: Observed) -> str:
        """Return the address at which probes reach the pod."""
        ips = self.pod_ips(pod, seen)
        return ips[0] if ips else ""

    def identity(self, pod: core.Pod, seen: Observed) -> Identity:
        return Identity(self.pod_ips(pod, seen), self.settings.addresses, self.machine.allocatable)

    def host_resolver(self) -> Resolver:
        """The machine's own resolver, read each time since it may change."""
        path = self.settings.resolv_conf
        # systemd-resolved's stub listens on loopback, which means the pod itself inside a pod.
        real = Path("/run/systemd/resolve/resolv.conf")
        try:
            resolver = parse_resolv_conf(path.read_text(encoding="utf-8", errors="replace"))
            if "127.0.0.53" in resolver.servers and real.exists():
                resolver = parse_resolv_conf(real.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            return Resolver()
        return resolver

    async def rejection(self, pod: core.Pod) -> Rejection | None:
        """Return why the node rejects a pod, or None. A node whose labels do not match is read again: the scheduler may know newer ones."""
        if self.shutting_down.is_set():
            return Rejection("NodeShutdown", "Pod was rejected as the node is shutting down.")
        pressed = under_pressure(pod, self.pressure.conditions)
        if pressed is not None:
            return pressed
        if is_static(pod):
            return self._judged(pod, next(iter(self.nodes.list()), self.unregistered))
        await self.nodes.wait_synced()
        nodes = self.nodes.list()
        if nodes:
            rejected = self._judged(pod, nodes[0])
            if rejected is None or rejected.reason != NODE_AFFINITY:
                return rejected
        return self._judged(pod, await self.client.get(core.Node, self.settings.name))

    async def assign(self, pod: core.Pod) -> Rejection | None:
        """Assign to a pod that is not rejected what its containers own; return why that is impossible, or None."""
        try:
            await self.assigners.admit(pod)
        except Refused as refused:
            return Rejection(refused.reason, str(refused))
        return None

    def owns_cpus(self, uid: str, container: str = "") -> bool:
        """Return whether a container owns CPUs, or any container of the pod."""
        return self.cpus is not None and self.cpus.owns_cpus(uid, container)

    def _judged(self, pod: core.Pod, node: core.Node) -> Rejection | None:
        others = self.allocations.others(pod.metadata.uid)
        capacity, apparmor = self.allocations.capacity, self.machine.apparmor
        return reject(pod, node, others, capacity, self.sysctls, apparmor=apparmor, managed=self.managed())

    async def env_sources(self, pod: core.Pod, seen: Observed) -> Sources:
        """Return the objects that the environments of a pod's containers come from. Raises Unreachable."""
        config_maps, secrets = referenced(pod)
        namespace = pod.metadata.namespace
        if not is_static(pod):
            await self.cluster_services.wait_synced()
        return Sources(
            config_maps={name: await self.objects.get(core.ConfigMap, namespace, name) for name in config_maps},
            secrets={name: await self.objects.get(core.Secret, namespace, name) for name in secrets},
            services=self.cluster_services.list(),
            identity=self.identity(pod, seen),
        )

    async def runtime_handler(self, pod: core.Pod) -> str:
        """Return the runtime's name for the pod's runtime class, "" for its default. Raises Unreachable, also without such a class."""
        name = pod.spec.runtimeClassName
        if not name:
            return ""
        try:
            return (await self.client.get(RuntimeClass, name)).handler
        except NotFound:
            raise Unreachable(f'RuntimeClass "{name}" not found') from None
        except (StatusError, ConnectionError, TimeoutError) as error:
            raise Unreachable(f'failed to read RuntimeClass "{name}": {error}') from error

    async def pull_secrets(self, pod: core.Pod) -> list[core.Secret]:
        """The pod's pull secrets that exist. Raises Unreachable."""
        secrets = [await self.objects.get(core.Secret, pod.metadata.namespace, one.name) for one in pod.spec.imagePullSecrets]
        return [secret for secret in secrets if secret is not None]


def _field_path(pod: core.Pod, container: str) -> str:
    if not container:
        return ""
    groups = {"containers": pod.spec.containers, "initContainers": pod.spec.initContainers}
    for field, group in groups.items():
        if any(one.name == container for one in group):
            return f"spec.{field}{{{container}}}"
    return f"spec.ephemeralContainers{{{container}}}"
