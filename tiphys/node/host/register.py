"""The node in the API: its Node object, its status, and the Lease that says it is alive.

The Lease is renewed every ten seconds; the status is written when it changed, and every five minutes all the same ("Node Heartbeats").
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import platform
from collections.abc import Callable, Mapping

import msgspec

from tiphys.api import well_known
from tiphys.api.coordination import v1 as coordination
from tiphys.api.core import v1 as core
from tiphys.api.machinery import base
from tiphys.api.machinery.conditions import is_true
from tiphys.api.machinery.errors import AlreadyExists, Conflict, NotFound, StatusError
from tiphys.api.meta.v1 import ObjectMeta, OwnerReference
from tiphys.node.cri.errors import CriError
from tiphys.node.host import machine
from tiphys.node.host.node_events import node_events
from tiphys.node.host.problems import clock_problem, read_only
from tiphys.node.host.status import MAX_IMAGES, NodeFacts, node_status, same, status_patch
from tiphys.node.services import NodeServices
from tiphys.node.settings import NodeSettings

log = logging.getLogger(__name__)

LEASE_NAMESPACE = "kube-node-lease"
VERSION = "v1.36.0+tiphys"
IMAGES_PERIOD = 60.0
ANNOTATIONS = {well_known.ATTACHED_BY_CONTROLLER: "true"}
"""Annotations of every node."""
PATIENCE = 15.0
"""Seconds for which a runtime may be away before the node says that it is not ready."""
_CONDITIONS = {"RuntimeReady": "container runtime", "NetworkReady": "container runtime network"}
_TROUBLE = (StatusError, ConnectionError, TimeoutError, OSError)


def missing_metadata(meta: ObjectMeta, labels: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return the labels and annotations that a node which is there already lacks, as a merge patch of its metadata. Pure."""
    parts = {"labels": (labels, meta.labels), "annotations": (ANNOTATIONS, meta.annotations)}
    missing = {part: {name: value for name, value in wide.items() if present.get(name) != value} for part, (wide, present) in parts.items()}
    return {part: values for part, values in missing.items() if values}


def node_labels(settings: NodeSettings) -> dict[str, str]:
    """The labels of every node, and the configured ones."""
    arch = machine.architecture()
    return {
        well_known.ARCH: arch,
        well_known.OS: "linux",
        well_known.HOSTNAME: settings.name,
        "beta.kubernetes.io/arch": arch,
        "beta.kubernetes.io/os": "linux",
        **settings.labels,
    }


class NodeRegistration:
    """Keeps the API server's idea of this node up to date."""

    def __init__(self, services: NodeServices, capacity: dict[str, str], begun: Callable[[], bool]) -> None:
        self.services = services
        self.capacity = capacity
        self.extended: Callable[[], tuple[Mapping[str, str], Mapping[str, str]]] = lambda: ({}, {})
        """Capacity and allocatable of further resources, which change while the node runs."""
        self._begun = begun
        self._down_since = 0.0
        self._node: core.Node | None = None
        self._written: core.NodeStatus | None = None
        self._written_at = 0.0
        self._info: core.NodeSystemInfo | None = None
        self._images: list[core.ContainerImage] = []
        self._images_at = -IMAGES_PERIOD
        self._soon = asyncio.Event()
        self.ready = asyncio.Event()
        """Set once the Node is Ready in the API and pods are served."""
        self._registered = asyncio.Event()
        self._clock_problem = ""
        self.obstacles: list[Callable[[], str]] = []
        """Further reasons for which the node may not be ready: each gives a sentence, or ""."""

    async def node(self) -> core.Node:
        """The Node object as it was last read or written. Waits for the first registration."""
        await self._registered.wait()
        assert self._node is not None
        return self._node

    def hurry(self) -> None:
        """Something about the node changed: look at once."""
        self._soon.set()

    async def run(self) -> None:
        """Register, then keep the Lease and the status, until cancelled."""
        self.services.tell_of_node("Normal", "Starting", "Starting kubelet.")
        await self._register()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_lease(), name="node lease")
            group.create_task(self._keep_status(), name="node status")

    # -- the object

    async def _register(self) -> None:
        wait = 0.05
        while True:
            try:
                self._node = await self._create_or_adopt()
                self._registered.set()
                return
            except _TROUBLE as error:
                log.info("node not registered yet", extra={"error": str(error)})
                await self.services.clock.sleep(wait)
                wait = min(wait * 2, 5.0)

    async def _create_or_adopt(self) -> core.Node:
        client, settings = self.services.client, self.services.settings
        try:
            node = await client.get(core.Node, settings.name)
        except NotFound:
            node = core.Node(metadata=ObjectMeta(name=settings.name, labels=node_labels(settings), annotations=dict(ANNOTATIONS)))
            if settings.pod_cidr:
                node.spec.podCIDR, node.spec.podCIDRs = settings.pod_cidr, [settings.pod_cidr]
            node.spec.taints = [taint_of(text) for text in settings.taints]
            node.status = await self._status(node)
            with contextlib.suppress(AlreadyExists):
                created = await client.create(node)
                if created.status.conditions:
                    self._wrote(created.status)
                return created
            node = await client.get(core.Node, settings.name)
        if node.status.conditions:
            # What the kubelet before us wrote stands until it is known to be wrong: a restart is not a failure of the node.
            self._written = node.status
        missing = missing_metadata(node.metadata, node_labels(settings))
        if missing:
            node = await client.patch(core.Node, settings.name, body={"metadata": missing}, kind="merge")
        return node

    # -- the status

    async def _status(self, node: core.Node) -> core.NodeStatus:
        services = self.services
        not_ready, runtime = await self._runtime()
        not_ready += [problem for obstacle in self.obstacles if (problem := obstacle())]
        problems = {"ReadonlyFilesystem": await asyncio.to_thread(read_only, services.settings.root), "ClockSkew": self._clock_problem}
        if problems["ReadonlyFilesystem"]:
            not_ready.append(problems["ReadonlyFilesystem"])
        if self._info is None or (runtime and self._info.containerRuntimeVersion != runtime):
            self._info = await asyncio.to_thread(machine.system_info, runtime or "containerd://unknown", VERSION)
        capacity, allocatable = self.extended()
        facts = NodeFacts(
            name=services.settings.name,
            addresses=services.settings.addresses,
            port=services.settings.port,
            capacity={**self.capacity, **capacity},
            allocatable={**services.machine.allocatable, **allocatable},
            info=self._info,
            images=await self._list_images(),
            pressures=services.pressure.conditions,
            volumes_in_use=services.volumes.persistent.in_use.names(),
            features=services.features.latest,
            not_ready=not_ready,
            problems=problems,
        )
        return node_status(node.status, facts, services.clock.now())

    async def _runtime(self) -> tuple[list[str], str]:
        """Return why the runtime cannot run pods, and its name and version."""
        try:
            status = await self.services.cri.status()
            self.services.features.update(status)
            known = self._info.containerRuntimeVersion if self._info is not None else ""
            if not known or known.endswith("unknown"):
                version = await self.services.cri.version()
                known = f"{version.runtime_name}://{version.runtime_version}"
        except CriError as error:
            now = self.services.clock.monotonic()
            self._down_since = self._down_since or now
            if now - self._down_since < PATIENCE and self._shows_ready():
                # A runtime that restarts leaves the pods running: nobody needs to move them.
                return [], ""
            return [f"container runtime is down: {error.message or error.code}"], ""
        self._down_since = 0.0
        bad = [one for one in status.status.conditions if not one.status]
        messages = [
            f"{_CONDITIONS.get(one.type, one.type)} not ready: {one.type}=false reason:{one.reason} message:{one.message}" for one in bad
        ]
        if not self._begun() and not self._shows_ready():
            messages.append("pods are not served yet")
        return messages, known

    async def _list_images(self) -> list[core.ContainerImage]:
        """The largest images, looked up once a minute."""
        now = self.services.clock.monotonic()
        if now - self._images_at < IMAGES_PERIOD:
            return self._images
        try:
            images = await self.services.cri.list_images()
        except CriError:
            return self._images
        self._images_at = now
        ordered = sorted(images, key=lambda one: (-one.size, one.id))[:MAX_IMAGES]
        self._images = [core.ContainerImage(names=[*one.repo_digests, *one.repo_tags], sizeBytes=one.size) for one in ordered]
        return self._images

    async def _keep_status(self) -> None:
        settings, clock = self.services.settings, self.services.clock
        while True:
            self._soon.clear()
            trouble = False
            try:
                await self._sync_status()
            except NotFound:
                log.warning("the Node object is gone, registering again")
                await self._register()
            except _TROUBLE as error:
                trouble = True
                log.info("node status not written", extra={"error": str(error)})
            period = settings.status_period if self.ready.is_set() and not trouble and self._shows_ready() else 0.5
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(period):
                    await self._soon.wait()
                # A storm of changes is one change.
                await clock.sleep(0.05)

    async def _sync_status(self) -> None:
        assert self._node is not None
        clock, settings = self.services.clock, self.services.settings
        base_status = msgspec.structs.replace(self._node, status=self._written or self._node.status)
        status = await self._status(base_status)
        due = clock.monotonic() - self._written_at >= settings.status_report
        if self._written is not None and not due and same(status, self._written):
            self.services.volumes.persistent.in_use.reported(self._written.volumesInUse)
            self._note_ready()
            return
        body = status_patch(status)
        self._node = await self.services.client.patch(core.Node, settings.name, body=body, kind="strategic", subresource="status")
        self._wrote(status)

    def _wrote(self, status: core.NodeStatus) -> None:
        for event in node_events(self._written, status, self.services.settings.name):
            self.services.tell_of_node(event.type, event.reason, event.message)
        self._written, self._written_at = status, self.services.clock.monotonic()
        self.services.volumes.persistent.in_use.reported(status.volumesInUse)
        self._note_ready()

    def _shows_ready(self) -> bool:
        return self._written is not None and is_true(self._written.conditions, "Ready")

    def _note_ready(self) -> None:
        if self._begun() and self._shows_ready():
            self.ready.set()

    # -- the lease

    async def _keep_lease(self) -> None:
        settings, clock = self.services.settings, self.services.clock
        lease: coordination.Lease | None = None
        while True:
            wait = settings.heartbeat
            try:
                lease = await self._renew(lease)
            except _TROUBLE as error:
                log.info("node lease not renewed", extra={"error": str(error)})
                lease, wait = None, 1.0
            await clock.sleep(wait)

    async def _renew(self, lease: coordination.Lease | None) -> coordination.Lease:
        client, settings, clock = self.services.client, self.services.settings, self.services.clock
        if lease is None:
            try:
                lease = await client.get(coordination.Lease, settings.name, LEASE_NAMESPACE)
            except NotFound:
                return await client.create(self._new_lease())
        fresh = msgspec.json.decode(msgspec.json.encode(lease), type=coordination.Lease)
        fresh.spec.holderIdentity = settings.name
        fresh.spec.leaseDurationSeconds = settings.lease_seconds
        fresh.spec.renewTime = base.micro_time(clock.now())
        before = clock.now()
        try:
            renewed = await client.update(fresh)
        except Conflict:
            return await self._renew(None)
        self._compare_clocks(clock_problem(renewed, before, clock.now()))
        return renewed

    def _compare_clocks(self, problem: str) -> None:
        if bool(problem) != bool(self._clock_problem):
            self._clock_problem = problem
            self.hurry()

    def _new_lease(self) -> coordination.Lease:
        assert self._node is not None
        meta = self._node.metadata
        owner = OwnerReference(apiVersion="v1", kind="Node", name=meta.name, uid=meta.uid)
        spec = coordination.LeaseSpec(
            holderIdentity=meta.name,
            leaseDurationSeconds=self.services.settings.lease_seconds,
            renewTime=base.micro_time(self.services.clock.now()),
        )
        return coordination.Lease(metadata=ObjectMeta(name=meta.name, namespace=LEASE_NAMESPACE, ownerReferences=[owner]), spec=spec)


def default_name() -> str:
    """The machine's name as a Node's."""
    return platform.node().lower() or "node"


def taint_of(text: str) -> core.Taint:
    """Return the taint that `key=value:Effect` stands for."""
    pair, _, effect = text.rpartition(":")
    key, _, value = pair.partition("=")
    return core.Taint(key=key, value=value, effect=effect)
