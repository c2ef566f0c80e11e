"""The node lifecycle controller: detects nodes without heartbeats, updates their conditions, and keeps pods away from them."""

from __future__ import annotations

from tiphys.api.coordination import v1 as coordination
from tiphys.api.core import v1 as core
from tiphys.api.helpers.pods import is_ready
from tiphys.api.machinery.base import time
from tiphys.api.machinery.errors import NotFound
from tiphys.controllers.node.plan import Census, is_evicting, silent_conditions, taints, zone_of
from tiphys.controllers.node.settings import NodeSettings
from tiphys.controllers.shared.nodes import ON_NODE, index_nodes, readiness
from tiphys.controllers.shared.slim import PODS, SlimPod
from tiphys.obs import metrics
from tiphys.runtime import DONE, ControllerContext, Declaration, Key, Result, Whole, copied, patch_status

LEASES = "kube-node-lease"
EVICTIONS = metrics.counter("node_collector_evictions_total", "Nodes that were given up, by zone.", "zone", stability="STABLE")


class NodeController:
    """Watches heartbeats. Keys are nodes.

    A heartbeat is any change of the node's Lease or Ready condition, and what counts is when it was seen here: the clocks of nodes are
    not trusted, and after a restart every node has the whole grace period again.
    """

    declaration = Declaration(
        name="node",
        kind=core.Node,
        roles=("node-controller",),
        reads=(Whole(core.Node), PODS, Whole(coordination.Lease, namespace=LEASES)),
        settings=NodeSettings,
    )

    def __init__(self, settings: NodeSettings) -> None:
        self._grace, self._startup_grace = settings.grace, max(settings.grace, settings.startup_grace)
        self._beats: dict[str, float] = {}
        self._census = Census()
        self._evicted: dict[str, float] = {}
        """Zone to the time at which a node in it was last evicted."""
        self._registered: dict[str, str] = {}
        """Uids of the nodes that are watched over, by name."""

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._nodes = ctx.read(core.Node)
        self._pods = index_nodes(ctx.read(SlimPod))
        self._leases = ctx.read(coordination.Lease)
        self._leases.subscribe(self._on_lease)
        self._nodes.subscribe(self._on_node)
        ctx.watch(self._nodes, when=_changed)
        ctx.watch(self._pods, lambda pod: [Key("", pod.spec.nodeName)], when=self._lands_on_lost)

    def _on_lease(self, old: coordination.Lease | None, new: coordination.Lease | None) -> None:
        if new is not None and (old is None or old.spec.renewTime != new.spec.renewTime):
            self._beats[new.metadata.name] = self._ctx.clock.monotonic()

    def _on_node(self, old: core.Node | None, new: core.Node | None) -> None:
        changed = False
        if new is not None:
            changed = self._census.put(new)
            if old is None or _heartbeat(old) != _heartbeat(new):
                self._beats[new.metadata.name] = self._ctx.clock.monotonic()
        elif old is not None:
            changed = self._census.drop(old.metadata.name)
            self._beats.pop(old.metadata.name, None)
        if changed:
            # How many nodes are lost decides what happens to each of them.
            for node in self._nodes.list():
                if readiness(node) in ("False", "Unknown"):
                    self._ctx.enqueue(Key.of(node))

    def _lands_on_lost(self, old: SlimPod | None, new: SlimPod | None) -> bool:
        if new is None or not new.spec.nodeName or not is_ready(new):
            return False
        return _readiness(self._nodes.get(Key("", new.spec.nodeName))) == "Unknown"

    async def reconcile(self, key: Key) -> Result:
        node = self._nodes.get(key)
        self._register(key.name, node)
        if node is None or node.metadata.deletionTimestamp is not None:
            return DONE
        EVICTIONS.labels(_zone(node))
        left = self._time_left(node)
        if left <= 0 and readiness(node) != "Unknown":
            if await self._is_silent(node):
                node = await self._mark_silent(node)
            else:
                self._beats[key.name] = self._ctx.clock.monotonic()
                left = self._grace
        if readiness(node) == "Unknown":
            await self._mark_pods(node)
        wait = await self._taint(node)
        waits = [seconds for seconds in (wait, left) if seconds is not None and seconds > 0]
        return Result(min(waits, default=None))

    def _register(self, name: str, node: core.Node | None) -> None:
        """Record that a node came or went, as seen from here: after a restart all nodes come."""
        known, uid = self._registered.pop(name, None), node.metadata.uid if node is not None else None
        if known is not None and known != uid:
            gone = core.ObjectReference(apiVersion="v1", kind="Node", name=name, uid=known)
            self._ctx.recorder.event(gone, "Normal", "RemovingNode", f"Node {name} event: Removing Node {name} from Controller")
        if node is not None and known != uid:
            self._ctx.recorder.event(node, "Normal", "RegisteredNode", f"Node {name} event: Registered Node {name} in Controller")
        if uid is not None:
            self._registered[name] = uid

    def _time_left(self, node: core.Node) -> float:
        now = self._ctx.clock.monotonic()
        grace = self._grace if readiness(node) else self._startup_grace
        return self._beats.setdefault(node.metadata.name, now) + grace - now

    async def _is_silent(self, node: core.Node) -> bool:
        """Check with the server, lest a cache that is behind makes nodes disappear."""
        name = node.metadata.name
        try:
            live = await self._ctx.client.get(coordination.Lease, name, LEASES)
        except NotFound:
            return True
        known = self._leases.get(Key(LEASES, name))
        return known is not None and known.spec.renewTime == live.spec.renewTime

    async def _mark_silent(self, node: core.Node) -> core.Node:
        changed = copied(node)
        changed.status.conditions = silent_conditions(node, self._ctx.clock.now())
        written = await self._ctx.client.update_status(changed)
        self._ctx.recorder.event(node, "Normal", "NodeNotReady", f"Node {node.metadata.name} status is now: NodeNotReady")
        return written

    async def _mark_pods(self, node: core.Node) -> None:
        """Mark the pods of a silent node as not ready, since nobody can say that they are: Services must not count on them."""
        for pod in self._pods.by_index(ON_NODE, node.metadata.name):
            if not is_ready(pod):
                continue
            condition = {"type": "Ready", "status": "False", "lastTransitionTime": time(self._ctx.clock.now())}
            if await patch_status(self._ctx.client, core.Pod, pod.metadata, {"conditions": [condition]}):
                self._ctx.recorder.event(pod, "Warning", "NodeNotReady", "Node is not ready")

    async def _taint(self, node: core.Node) -> float | None:
        """Write the taints; returns the seconds until an eviction may have its turn."""
        lost = readiness(node) in ("False", "Unknown")
        seconds = self._census.pace(node) if lost else None
        evict, wait = seconds is not None, None
        if seconds is not None and not is_evicting(node):
            wait = self._turn(node, seconds)
            evict = wait is None
        desired = taints(node, evict=evict, now=self._ctx.clock.now())
        if desired != node.spec.taints:
            body = {"metadata": {"resourceVersion": node.metadata.resourceVersion}, "spec": {"taints": desired}}
            await self._ctx.client.patch(core.Node, node.metadata.name, body=body)
            if evict and not is_evicting(node):
                EVICTIONS.labels(_zone(node)).inc()
        return wait

    def _turn(self, node: core.Node, seconds: float) -> float | None:
        """Return None when the node may be evicted now (which is recorded), else the seconds until it may."""
        now, zone = self._ctx.clock.monotonic(), zone_of(node)
        last = self._evicted.get(zone)
        if last is not None and last + seconds > now:
            return last + seconds - now
        self._evicted[zone] = now
        return None


def _zone(node: core.Node) -> str:
    """Return the zone as a label; "" for nodes without one."""
    return zone_of(node).strip(":")


def _readiness(node: core.Node | None) -> str:
    return readiness(node) if node is not None else ""


def _heartbeat(node: core.Node) -> object:
    return next(((one.status, one.lastHeartbeatTime) for one in node.status.conditions if one.type == "Ready"), None)


def _changed(old: core.Node | None, new: core.Node | None) -> bool:
    """Return whether anything but a heartbeat changed."""
    if old is None or new is None:
        return True
    before, after = ({condition.type: condition.status for condition in node.status.conditions} for node in (old, new))
    return before != after or old.spec != new.spec or old.metadata.deletionTimestamp != new.metadata.deletionTimestamp
