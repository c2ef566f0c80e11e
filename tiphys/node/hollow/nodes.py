"""Loop that registers hollow nodes, renews their Leases and keeps their status ("Node Heartbeats")."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import msgspec

from tiphys.api import well_known
from tiphys.api.coordination import v1 as coordination
from tiphys.api.core import v1 as core
from tiphys.api.machinery import base
from tiphys.api.machinery.conditions import is_true
from tiphys.api.machinery.errors import AlreadyExists, NotFound
from tiphys.api.meta.v1 import ObjectMeta, OwnerReference
from tiphys.api.storage import v1 as storage
from tiphys.node.hollow.pods import is_lost
from tiphys.node.hollow.settings import KUBELET, HollowSettings
from tiphys.node.host.register import LEASE_NAMESPACE, VERSION, taint_of
from tiphys.node.host.status import NodeFacts, node_status, same, status_patch
from tiphys.runtime import DONE, ControllerContext, Declaration, Informer, Key, Result, Whole

_INFO = core.NodeSystemInfo(
    machineID="",
    systemUUID="",
    bootID="",
    kernelVersion="hollow",
    osImage="hollow",
    containerRuntimeVersion="hollow://1",
    kubeletVersion=VERSION,
    kubeProxyVersion="",
    operatingSystem="linux",
    architecture="amd64",
)


class HollowNodeController:
    """Keeps hollow nodes alive in the API. Keys are the names of the nodes in `hosts`, which gives the address of each."""

    declaration = Declaration(name="hollow-node", kind=core.Node, reads=(Whole(core.Node),))

    def __init__(self, settings: HollowSettings, hosts: dict[str, str]) -> None:
        self._settings = settings
        self._hosts = hosts
        self._numbers = {name: number for number, name in enumerate(hosts)}
        self._leases: dict[str, coordination.Lease] = {}
        self._reported: dict[str, float] = {}
        """Moment at which the status of a node is to be written again although nothing changed, on the monotonic clock."""
        self._beats: dict[str, float] = {}

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._nodes: Informer[core.Node] = ctx.read(core.Node)
        ctx.watch(self._nodes, when=self._concerns)
        for name in self._hosts:
            ctx.enqueue(Key("", name))

    def _concerns(self, old: core.Node | None, new: core.Node | None) -> bool:
        """True for what others change: a node that is gone, silent, heard again, or called unhealthy."""
        node = new if new is not None else old
        assert node is not None
        return node.metadata.name in self._hosts and (new is None or is_lost(old) != is_lost(new) or not _is_ready(new))

    async def reconcile(self, key: Key) -> Result:
        name = key.name
        if name not in self._hosts:
            return DONE
        node = self._nodes.get(key)
        if is_lost(node):
            return DONE
        if node is None:
            node = await self._register(name)
        now = self._ctx.clock.monotonic()
        if now >= self._beats.get(name, now):
            await self._beat(node)
            # Spread over the period: a thousand nodes that start together must not renew together for ever.
            share = self._ctx.rng.uniform(0.9, 1.0) if name in self._beats else self._ctx.rng.random()
            self._beats[name] = now + self._settings.heartbeat * share
        await self._report(node, now)
        return Result(max(0.0, self._beats[name] - now))

    async def _register(self, name: str) -> core.Node:
        node = core.Node(
            metadata=ObjectMeta(name=name, labels=dict(self._labels(name)), annotations={well_known.ATTACHED_BY_CONTROLLER: "true"})
        )
        node.spec.taints = [taint_of(text) for text in self._settings.taints]
        node.status = self._status(node)
        self._leases.pop(name, None)
        self._beats.pop(name, None)
        with contextlib.suppress(AlreadyExists):
            node = await self._ctx.client.create(node)
            self._note_report(name)
            return node
        return await self._ctx.client.get(core.Node, name)

    def _labels(self, name: str) -> Iterator[tuple[str, str]]:
        yield from {well_known.ARCH: "amd64", well_known.OS: "linux", well_known.HOSTNAME: name, "type": "hollow"}.items()
        if self._settings.zones:
            yield well_known.ZONE, f"zone-{self._numbers[name] % self._settings.zones + 1}"
        yield from self._settings.labels.items()

    # -- the status

    def _status(self, node: core.Node) -> core.NodeStatus:
        settings, name = self._settings, node.metadata.name
        capacity = {"cpu": settings.cpu, "memory": settings.memory, "pods": str(settings.max_pods), "ephemeral-storage": "1Ti"}
        facts = NodeFacts(name=name, addresses=(self._hosts[name],), port=KUBELET.port, capacity=capacity, allocatable=capacity, info=_INFO)
        return node_status(node.status, facts, self._ctx.clock.now())

    async def _report(self, node: core.Node, now: float) -> None:
        name = node.metadata.name
        status = self._status(node)
        if same(status, node.status) and now < self._reported.get(name, now + 1.0):
            return
        with contextlib.suppress(NotFound):
            await self._ctx.client.patch(core.Node, name, body=status_patch(status), kind="strategic", subresource="status")
        self._note_report(name)

    def _note_report(self, name: str) -> None:
        self._reported[name] = self._ctx.clock.monotonic() + self._settings.status_report * self._ctx.rng.uniform(0.9, 1.0)

    # -- the lease

    async def _beat(self, node: core.Node) -> None:
        name, client = node.metadata.name, self._ctx.client
        lease = self._leases.pop(name, None)
        if lease is None and self._settings.local_storage:
            await self._show_driver(node)
        try:
            if lease is None:
                lease = await client.get(coordination.Lease, name, LEASE_NAMESPACE)
            self._leases[name] = await client.update(msgspec.structs.replace(lease, spec=self._claimed(lease.spec, name)))
        except NotFound:
            owner = OwnerReference(apiVersion="v1", kind="Node", name=name, uid=node.metadata.uid)
            meta = ObjectMeta(name=name, namespace=LEASE_NAMESPACE, ownerReferences=[owner])
            lease = coordination.Lease(metadata=meta, spec=self._claimed(coordination.LeaseSpec(), name))
            self._leases[name] = await client.create(lease)

    async def _show_driver(self, node: core.Node) -> None:
        """Write the driver of local volumes to the CSINode, which belongs to this very Node."""
        name, client = node.metadata.name, self._ctx.client
        owner = OwnerReference(apiVersion="v1", kind="Node", name=name, uid=node.metadata.uid)
        driver = storage.CSINodeDriver(name=well_known.LOCAL_PATH_DRIVER, nodeID=name, topologyKeys=[well_known.HOSTNAME])
        desired = storage.CSINode(metadata=ObjectMeta(name=name, ownerReferences=[owner]), spec=storage.CSINodeSpec(drivers=[driver]))
        try:
            await client.create(desired)
        except AlreadyExists:
            present = await client.get(storage.CSINode, name)
            if present.metadata.ownerReferences != [owner]:
                desired.metadata.resourceVersion = present.metadata.resourceVersion
                await client.update(desired)

    def _claimed(self, spec: coordination.LeaseSpec, name: str) -> coordination.LeaseSpec:
        renewed = base.micro_time(self._ctx.clock.now())
        return msgspec.structs.replace(spec, holderIdentity=name, leaseDurationSeconds=self._settings.lease_seconds, renewTime=renewed)


def _is_ready(node: core.Node) -> bool:
    return is_true(node.status.conditions, "Ready")
