"""Pod garbage collection: pods that no kubelet will ever finish, and finished pods beyond a threshold ("Pod garbage collection")."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from tiphys.api.core import v1 as core
from tiphys.api.helpers.pods import is_finished
from tiphys.api.machinery.errors import NotFound
from tiphys.controllers.podgc.settings import PodCollectorSettings
from tiphys.controllers.shared.evict import mark_disrupted
from tiphys.controllers.shared.nodes import ON_NODE, index_nodes, is_out_of_service
from tiphys.controllers.shared.slim import PODS, SlimPod
from tiphys.obs import metrics
from tiphys.runtime import DONE, ControllerContext, Declaration, Key, Result, Whole, delete_exact

FINISHED = "finished pods"
SWEEP = Key("", "finished pods")
"""Key for counting finished pods, which no single pod triggers."""
SWEEP_AFTER = 20.0
DELETED = metrics.counter("pod_gc_collector_force_delete_pods_total", "Pods that were deleted by force.", "namespace", "reason")
ERRORS = metrics.counter("pod_gc_collector_force_delete_pod_errors_total", "Errors of deletions of pods by force.", "namespace", "reason")


def _finished(pod: SlimPod) -> Iterable[str]:
    return ("yes",) if is_finished(pod) and pod.metadata.deletionTimestamp is None else ()


def surplus(pods: Iterable[SlimPod], threshold: int) -> list[SlimPod]:
    """Return the finished pods to remove so that `threshold` remain: evicted ones first, then the oldest. Pure."""
    ordered = sorted(pods, key=lambda pod: (pod.status.reason != "Evicted", _born(pod), pod.metadata.name))
    return ordered[: max(len(ordered) - threshold, 0)]


def _born(pod: SlimPod) -> datetime:
    return pod.metadata.creationTimestamp or datetime.max.replace(tzinfo=UTC)


class PodCollector:
    """Removes pods. Keys are pods, and SWEEP."""

    declaration = Declaration(
        name="pod-garbage-collector-controller",
        kind=core.Pod,
        roles=("pod-garbage-collector",),
        reads=(Whole(core.Node), PODS),
        settings=PodCollectorSettings,
    )

    def __init__(self, settings: PodCollectorSettings) -> None:
        self._threshold = settings.threshold
        self._grace = settings.missing_grace
        self._missing: dict[str, float] = {}
        """Missing nodes that pods are bound to, with the time at which that was noticed."""

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._nodes = ctx.read(core.Node)
        self._pods = index_nodes(ctx.read(SlimPod))
        self._pods.add_index(FINISHED, _finished)
        self._pods.subscribe(self._on_pod)
        ctx.watch(self._nodes, self._on_node, when=lambda old, new: new is None or is_out_of_service(new))
        self._nodes.subscribe(self._on_return)

    def _on_node(self, node: core.Node) -> Iterable[Key]:
        return [Key.of(pod) for pod in self._pods.by_index(ON_NODE, node.metadata.name)]

    def _on_return(self, old: core.Node | None, new: core.Node | None) -> None:
        if new is not None:
            self._missing.pop(new.metadata.name, None)

    def _on_pod(self, old: SlimPod | None, new: SlimPod | None) -> None:
        if new is None:
            return
        if self._threshold and is_finished(new) and not (old is not None and is_finished(old)):
            self._ctx.enqueue(SWEEP, SWEEP_AFTER)
        stuck = new.metadata.deletionTimestamp is not None and not new.spec.nodeName
        moved = old is None or old.spec.nodeName != new.spec.nodeName or old.metadata.deletionTimestamp != new.metadata.deletionTimestamp
        if stuck or (moved and new.spec.nodeName):
            self._ctx.enqueue(Key.of(new))

    async def reconcile(self, key: Key) -> Result:
        if key == SWEEP:
            await self._sweep()
            return DONE
        pod = self._pods.get(key)
        if pod is None:
            return DONE
        if not pod.spec.nodeName:
            if pod.metadata.deletionTimestamp is not None:
                await self._remove(pod, "unscheduled")
            return DONE
        node = self._nodes.get(Key("", pod.spec.nodeName))
        if node is None:
            return await self._without_node(pod)
        if pod.metadata.deletionTimestamp is not None and is_out_of_service(node):
            await self._remove(pod, "out-of-service", "PodGC: node is out of service")
        return DONE

    async def _without_node(self, pod: SlimPod) -> Result:
        name, now = pod.spec.nodeName, self._ctx.clock.monotonic()
        left = self._missing.setdefault(name, now) + self._grace - now
        if left > 0:
            # A node may register again under its name, and this cache may be behind.
            return Result(left)
        try:
            await self._ctx.client.get(core.Node, name)
        except NotFound:
            await self._remove(pod, "orphaned", "PodGC: node no longer exists")
        return DONE

    async def _remove(self, pod: SlimPod, reason: str, why: str = "") -> None:
        """Delete a pod at once. `reason` is the label of the metrics; with `why` an unfinished pod is marked as disrupted and failed."""
        labels = (pod.metadata.namespace, reason)
        try:
            if why and not is_finished(pod):
                await mark_disrupted(self._ctx.client, pod, "DeletionByPodGC", why, self._ctx.clock.now(), failed=True)
            deleted = await delete_exact(self._ctx.client, core.Pod, pod.metadata, grace=0)
        except Exception:
            ERRORS.labels(*labels).inc()
            raise
        if deleted:
            DELETED.labels(*labels).inc()

    async def _sweep(self) -> None:
        for pod in surplus(self._pods.by_index(FINISHED, "yes"), self._threshold):
            await self._remove(pod, "terminated")
