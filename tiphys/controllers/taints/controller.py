"""Taint eviction: deletes pods that do not tolerate a NoExecute taint of their node, or no longer do."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from tiphys.api.core import v1 as core
from tiphys.controllers.shared.evict import mark_disrupted
from tiphys.controllers.shared.nodes import ON_NODE, index_nodes
from tiphys.controllers.shared.slim import PODS, SlimPod
from tiphys.controllers.taints.plan import evicting, leave_at
from tiphys.runtime import DONE, ControllerContext, Declaration, Key, Result, Whole, delete_exact

Seen = dict[tuple[str, str, str], datetime]


class TaintEvictionController:
    """Keys are pods."""

    declaration = Declaration(
        name="taint-eviction-controller",
        kind=core.Pod,
        roles=("node-controller",),
        reads=(Whole(core.Node), PODS),
    )

    def __init__(self) -> None:
        self._seen: dict[str, Seen] = {}
        """Per node, when taints were first seen that do not say when they were added."""
        self._due: dict[Key, str] = {}
        """Uids of the pods whose eviction waits for its time."""

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._nodes = ctx.read(core.Node)
        self._pods = index_nodes(ctx.read(SlimPod))
        ctx.watch(self._nodes, self._on_node, when=lambda old, new: _taints(old) != _taints(new))
        ctx.watch(self._pods, when=self._concerned)

    def _on_node(self, node: core.Node) -> Iterable[Key]:
        return [Key.of(pod) for pod in self._pods.by_index(ON_NODE, node.metadata.name)]

    def _concerned(self, old: SlimPod | None, new: SlimPod | None) -> bool:
        if new is None or not new.spec.nodeName:
            return False
        if old is not None and (old.spec.nodeName, old.spec.tolerations) == (new.spec.nodeName, new.spec.tolerations):
            return False
        return bool(_taints(self._nodes.get(Key("", new.spec.nodeName))))

    async def reconcile(self, key: Key) -> Result:
        pod = self._pods.get(key)
        due = self._due.pop(key, None)
        if pod is None or pod.metadata.deletionTimestamp is not None or not pod.spec.nodeName:
            return DONE
        node = self._nodes.get(Key("", pod.spec.nodeName))
        taints = evicting(node) if node is not None else []
        now = self._ctx.clock.now()
        since = self._since(pod.spec.nodeName, taints, now)
        moment = leave_at(taints, pod.spec.tolerations, since) if taints else None
        meta = pod.metadata
        if moment is None:
            if due == meta.uid:
                self._ctx.recorder.event(pod, "Normal", "TaintManagerEviction", f"Cancelling deletion of Pod {key}")
            return DONE
        left = (moment - now).total_seconds()
        if left > 0:
            self._due[key] = meta.uid
            return Result(left)
        self._ctx.recorder.event(pod, "Normal", "TaintManagerEviction", f"Marking for deletion Pod {key}")
        message = "Taint manager: deleting due to NoExecute taint"
        await mark_disrupted(self._ctx.client, pod, "DeletionByTaintManager", message, now)
        await delete_exact(self._ctx.client, core.Pod, meta)
        return DONE

    def _since(self, node: str, taints: Iterable[core.Taint], now: datetime) -> list[datetime]:
        known = self._seen.get(node, {})
        seen: Seen = {}
        result = []
        for taint in taints:
            if taint.timeAdded is not None:
                result.append(taint.timeAdded)
                continue
            ident = (taint.key, taint.value, taint.effect)
            seen[ident] = known.get(ident, now)
            result.append(seen[ident])
        if seen:
            self._seen[node] = seen
        else:
            self._seen.pop(node, None)
        return result


def _taints(node: core.Node | None) -> list[core.Taint]:
    return evicting(node) if node is not None else []
