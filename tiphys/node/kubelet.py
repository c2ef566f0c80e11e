"""Composition of the kubelet: its parts, the order in which they start, and the end (nothing is stopped: containers go on).

kubelet = Kubelet(NodeSettings(name="n1", root=...), client, CriClient(socket))
await kubelet.run()
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from tiphys.aio.clock import Clock, LoopClock
from tiphys.api.core import v1 as core
from tiphys.api.helpers.resources import amounts
from tiphys.api.helpers.sysctls import AllowedSysctls
from tiphys.api.machinery import quantity
from tiphys.api.machinery.base import Quantity
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.client.client import Client
from tiphys.node.container.log_rotation import rotate_logs
from tiphys.node.container.probes import ProbeManager
from tiphys.node.cri.client import CriClient
from tiphys.node.csi.drivers import PLUGIN_TYPE as CSI_PLUGIN
from tiphys.node.csi.node import CsiNode
from tiphys.node.devices.manager import PLUGIN_TYPE as DEVICE_PLUGIN
from tiphys.node.devices.manager import DeviceManager
from tiphys.node.devices.registry import DeviceRegistry
from tiphys.node.dra.drivers import PLUGIN_TYPE as DRA_PLUGIN
from tiphys.node.dra.manager import DraManager
from tiphys.node.eviction.manager import EvictionManager
from tiphys.node.eviction.pressure import Shown
from tiphys.node.garbage.collector import GarbageCollector
from tiphys.node.host import machine
from tiphys.node.host.enforcement import enforce
from tiphys.node.host.oom import OomKill, OomWatch
from tiphys.node.host.register import NodeRegistration, node_labels
from tiphys.node.loop import PodLoop
from tiphys.node.metrics import families
from tiphys.node.mirror.part import Part
from tiphys.node.mirror.publisher import MirrorPods
from tiphys.node.mirror.static import StaticStatuses
from tiphys.node.objects import ObjectCache
from tiphys.node.plugins.watcher import PluginWatcher
from tiphys.node.pod.admitted import Admitted
from tiphys.node.pod.allocations import Allocations
from tiphys.node.pod.cgroups import PodCgroups
from tiphys.node.pod.observed import Observed
from tiphys.node.pod.status_writer import StatusWriter
from tiphys.node.pod_resources.server import PodResourcesServer
from tiphys.node.pod_resources.source import CpuSource, DeviceSource, MemorySource, Source
from tiphys.node.pulls.puller import ImagePuller, PullsImages
from tiphys.node.resources import parts as resource_parts
from tiphys.node.resources.assigner import Assigner
from tiphys.node.resources.assigners import Assigners
from tiphys.node.resources.cpu.reconciler import CpuReconciler
from tiphys.node.runtime import containerd_events
from tiphys.node.runtime.features import KnownFeatures
from tiphys.node.runtime.pleg import Relister
from tiphys.node.serve.endpoints.health import HealthServer
from tiphys.node.services import NodeServices
from tiphys.node.settings import NodeSettings
from tiphys.node.shutdown.logind import Logind, is_available
from tiphys.node.shutdown.manager import ShutdownManager
from tiphys.node.static.manager import StaticPods
from tiphys.node.tokens import TokenCache
from tiphys.node.volumes import mounts
from tiphys.node.volumes.image import ImageVolumes
from tiphys.node.volumes.manager import VolumeManager
from tiphys.node.volumes.nfs import NfsMounts, NfsPlugin
from tiphys.node.volumes.persistent import PersistentVolumes
from tiphys.node.volumes.plugin import MountRecord
from tiphys.node.volumes.supervised import Supervised
from tiphys.node.volumes.upkeep import VolumeUpkeep
from tiphys.node.volumes.volume_stats import VolumeMeter
from tiphys.obs.health import Check
from tiphys.runtime.informer import InformerFactory
from tiphys.runtime.recorder import EventRecorder

if TYPE_CHECKING:
    from tiphys.node.serve.server import KubeletServer

log = logging.getLogger(__name__)


class Kubelet:
    """One kubelet. `run` works until it is cancelled and leaves the containers running; the next one takes them over."""

    def __init__(
        self,
        settings: NodeSettings,
        client: Client,
        cri: CriClient,
        *,
        clock: Clock | None = None,
        informers: InformerFactory | None = None,
        puller: PullsImages | None = None,
        parts: Sequence[Part] = (),
        assigners: Sequence[Assigner] = (),
        rng: random.Random | None = None,
    ) -> None:
        self.settings = settings
        self.clock = clock or LoopClock()
        self.informers = informers or InformerFactory(client, clock=self.clock, rng=rng)
        self._own_informers = informers is None
        size, capacity = machine.measure(settings)
        cpus = resource_parts.cpu_manager(settings, resource_parts.machine_topology())
        memory = resource_parts.memory_manager(settings)
        objects = ObjectCache(self.informers)
        tokens = TokenCache(client, self.clock)
        nodes = self.informers.of(core.Node, fields=f"metadata.name={settings.name}")
        persistent = PersistentVolumes(settings.root, settings.name, client, self.clock, nodes, self._tell_about)
        self.csi = CsiNode(settings.root, settings.name, client, self.informers, self.clock, rng=rng)
        """Drivers of storage: `csi.drivers.add` takes one of this process into use."""
        persistent.plugins.append(self.csi.plugin)
        self.plugins = PluginWatcher(settings.root / "plugins_registry", {CSI_PLUGIN: self.csi.drivers}, clock=self.clock, rng=rng)
        """Plugins behind sockets; `handlers` takes those of further types before `run`."""
        self.devices = DeviceManager(settings.root / "device-plugins", self.clock, machine=machine.numa_nodes(), rng=rng)
        self.plugins.handlers[DEVICE_PLUGIN] = self.devices
        self.claims = DraManager(settings.root, settings.name, client, self.clock)
        self.plugins.handlers[DRA_PLUGIN] = self.claims.drivers
        self.device_registry = DeviceRegistry(self.devices, self.clock)
        self.processes = Supervised()
        persistent.plugins.append(NfsPlugin(settings.root, NfsMounts(self.processes)))
        image_volumes = ImageVolumes(settings.root, cri, self.clock, socket=settings.containerd_socket)
        relister = Relister(cri, self._on_runtime, self.clock)
        self.services = NodeServices(
            settings=settings,
            client=client,
            cri=cri,
            clock=self.clock,
            relister=relister,
            images=ImagePuller(cri, self.clock, settings.root, options=settings, puller=puller),
            volumes=VolumeManager(settings.root, objects, tokens, self.clock, persistent, image_volumes),
            meter=VolumeMeter(self.clock, persistent.mounted, self._volume_abnormal),
            objects=objects,
            tokens=tokens,
            probes=ProbeManager(cri, self.clock, on_change=self._on_probe, tell=self._tell),
            statuses=StatusWriter(client, self.clock),
            recorder=EventRecorder(client, "kubelet", clock=self.clock, host=settings.name, rng=rng),
            cgroups=PodCgroups(
                settings.cgroup_parent,
                max_pids=settings.pod_max_pids,
                milli_cpu=quantity.milli(size.allocatable["cpu"]),
                limits={name: size.pods[name] for name in ("memory", "pid") if name in size.pods},
            ),
            cluster_services=self.informers.of(core.Service),
            machine=size,
            memory=machine.memory_rules(settings, size),
            features=KnownFeatures(cri),
            nodes=nodes,
            sysctls=AllowedSysctls.of(settings.allowed_unsafe_sysctls),
            admitted=Admitted(settings.root),
            pressure=Shown(),
            admissions=asyncio.Lock(),
            assigners=Assigners(
                (*assigners, self.devices, self.claims, *(one for one in (cpus, memory) if one is not None)),
                alignment=resource_parts.topology_manager(settings),
            ),
            resource_health=[self.devices.health],
            cpus=cpus,
            shutting_down=asyncio.Event(),
            static=StaticStatuses(),
            unregistered=core.Node(
                metadata=ObjectMeta(name=settings.name, labels=node_labels(settings)),
                status=core.NodeStatus(allocatable={name: Quantity(value) for name, value in size.allocatable.items()}),
            ),
            allocations=Allocations(
                amounts({name: Quantity(value) for name, value in size.allocatable.items()}), resource_parts.pinned(settings)
            ),
            managed=self.devices.names,
        )
        pods = self.informers.of(core.Pod, fields=f"spec.nodeName={settings.name}")
        self.static = StaticPods(settings, self.clock, self._show_static, self._tell_node)
        ends = self._ends if settings.containerd_socket else None
        self.loop = PodLoop(self.services, pods, ends=ends, awaits_static=self.static.is_used)
        self.checks: dict[str, Check] = {
            "ping": lambda: "",
            "log": lambda: "",
            "syncloop": self.loop.health,
            "device-plugin": self.device_registry.health,
        }
        """Health checks by name. What is written to the log is out before the next request is read, so `log` cannot be stuck."""
        self.garbage = GarbageCollector(self.services, self.loop.workers, self.loop.begun)
        self.evictions = EvictionManager(self.services, self.loop.serving, reclaimer=self.garbage)
        self.server: KubeletServer | None = None
        self.health = HealthServer(self.checks, self.clock)
        self.registration = NodeRegistration(self.services, capacity, lambda: self.loop.live)
        sources: list[Source] = [DeviceSource(self.devices)]
        sources += [CpuSource(cpus)] if cpus is not None else []
        sources += [MemorySource(memory)] if memory is not None else []
        self.pod_resources = PodResourcesServer(settings.root / "pod-resources", self.loop.known_pods, sources, self.clock)
        self.registration.extended = self.devices.capacity
        self.devices.on_change = self.registration.hurry
        self.devices.on_health = self.loop.on_health
        self.services.cgroups.owns_cpus = self.services.owns_cpus
        self.shutdown = ShutdownManager(self.services, self.loop.serving, self.registration.hurry)
        """Graceful shutdown of the node: `begin` starts it."""
        self.registration.obstacles.append(self.shutdown.obstacle)
        persistent.in_use.hurry = self.evictions.hurry = self.registration.hurry
        self.upkeep = VolumeUpkeep(persistent, self._serving_pod, self.clock, period=settings.volume_period)
        self.mirrors = MirrorPods(
            client,
            self.services.statuses,
            self.clock,
            settings,
            parts,
            pods=pods,
            node=self.registration.node,
            static=self.services.static,
            tell=self._tell_mirror,
        )
        objects.subscribe(self.loop.on_objects)

    @property
    def ready(self) -> asyncio.Event:
        """Set once the Node has been written as Ready."""
        return self.registration.ready

    async def run(self) -> None:
        """Serve until cancelled. Raises OSError when the server's port is taken, or control groups or mounts cannot be made."""
        await asyncio.to_thread(self._prepare)
        await self.services.images.start()
        await self.services.features.load()
        # Before the Node's status is written, which names what may be mounted.
        records = self.services.volumes.persistent.records
        await records.load()
        await self.evictions.begin()
        families.RECONSTRUCTIONS.labels().inc(len(records.mounts()))
        self.server = server = self._server()
        if server is not None:
            await server.start()
        if self._own_informers:
            self.informers.start()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.csi.run(), name="drivers of storage")
                group.create_task(self.plugins.run(), name="plugins")
                group.create_task(self.pod_resources.run(), name="PodResources API")
                group.create_task(self.device_registry.run(), name="registration of device plugins")
                group.create_task(self.loop.run(), name="pods")
                group.create_task(self.registration.run(), name="node")
                group.create_task(self.mirrors.run(), name="mirror pods")
                group.create_task(self.static.run(), name="static pods")
                group.create_task(OomWatch(self.settings.cgroup_parent, self._tell_of_kill).run(), name="kernel log")
                group.create_task(self.shutdown.run(), name="shutdowns of the node")
                if self.shutdown.periods and is_available():
                    group.create_task(self._logind().run(), name="shutdowns of systemd")
                group.create_task(rotate_logs(self.services), name="log rotation")
                group.create_task(enforce(self.services), name="limits of reserves")
                group.create_task(self.garbage.run(), name="garbage collection")
                group.create_task(self.evictions.run(), name="evictions")
                if (cpus := self.services.cpus) is not None:
                    period = self.settings.cpu_reconcile_period
                    group.create_task(CpuReconciler(cpus, self.services.cri, self.services.relister, period=period).run(), name="CPUs")
                group.create_task(self.upkeep.run(), name="volumes")
                group.create_task(self.services.meter.run(), name="volume stats")
                if self.settings.healthz_port:
                    group.create_task(self.health.run(self.settings.healthz_bind, self.settings.healthz_port), name="health page")
        finally:
            if server is not None:
                await server.close()
            await self._close()

    def _prepare(self) -> None:
        self.settings.root.mkdir(parents=True, exist_ok=True)
        # Volumes below may hold set-id programs and device files of containers, which users of the machine must not reach.
        self.settings.root.chmod(0o750)
        if not mounts.make_shared(self.settings.root):
            log.warning(
                "mounts of containers do not reach the machine, since volumes were mounted before", extra={"root": self.settings.root}
            )
        self.settings.logs.mkdir(parents=True, exist_ok=True)
        self.services.cgroups.prepare()
        resource_parts.refuse_other_policy(self.settings)

    def _server(self) -> KubeletServer | None:
        if self.settings.tls_cert is None:
            return None
        from tiphys.node.serve.server import KubeletServer

        return KubeletServer(self.services, self.loop, self.mirrors, self.checks)

    async def _close(self) -> None:
        services = self.services
        await self.csi.drivers.close()
        await self.devices.close()
        await self.claims.close()
        await services.probes.close()
        await services.statuses.close()
        await services.images.close()
        await services.volumes.images.close()
        await services.volumes.persistent.close()
        await self.processes.close()
        await services.recorder.close()
        await services.objects.close()
        if self._own_informers:
            await self.informers.stop()

    def _ends(self) -> AsyncIterator[containerd_events.End]:
        return containerd_events.ends(self.settings.containerd_socket)

    def _on_runtime(self, observed: Observed) -> None:
        self.loop.on_runtime(observed)

    def _on_probe(self, uid: str) -> None:
        self.loop.on_probe(uid)

    def _logind(self) -> Logind:
        shutdown = self.shutdown
        return Logind(shutdown.seconds, self.clock, shutdown.begin, shutdown.cancel, shutdown.finished)

    def _show_static(self, pods: Sequence[core.Pod], complete: bool) -> None:
        self.loop.set_static(pods, complete)

    def _tell_node(self, reason: str, message: str) -> None:
        self.services.tell_of_node("Warning", reason, message)

    def _tell_of_kill(self, kill: OomKill) -> None:
        message = f"System OOM encountered, victim process: {kill.process}, pid: {kill.pid}"
        self.services.tell_of_node("Warning", "SystemOOM", message)

    def _tell_mirror(self, pod: core.Pod, message: str) -> None:
        self.services.tell(pod, "", "Warning", "FailedMirrorPod", message)

    def _tell(self, pod: core.Pod, container: str, type_: str, reason: str, message: str) -> None:
        self.services.tell(pod, container, type_, reason, message)

    def _tell_about(self, obj: core.Pod | core.PersistentVolumeClaim, type_: str, reason: str, message: str) -> None:
        self.services.recorder.event(obj, type_, reason, message)

    def _serving_pod(self, uid: str) -> core.Pod | None:
        worker = self.loop.worker(uid)
        return worker.pod if worker is not None and worker.is_serving else None

    def _volume_abnormal(self, record: MountRecord, message: str) -> None:
        pod = self._serving_pod(record.uid)
        if pod is not None:
            self.services.tell(pod, "", "Warning", "VolumeConditionAbnormal", f"Volume {record.volume}: {message}")
