"""Node TTL: tells kubelets by an annotation for how long they may keep what they read ("Well-Known Labels, Annotations and Taints")."""

from __future__ import annotations

from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import NotFound
from tiphys.controllers.nodettl.plan import SIZES, next_size
from tiphys.runtime import DONE, ControllerContext, Declaration, Key, Result, Whole

TTL = "node.alpha.kubernetes.io/ttl"
"""Annotation of a node: seconds for which its kubelet may keep Secrets and ConfigMaps."""


class NodeTtlController:
    """Keys are nodes. A node is looked at when it comes, when its annotation changes, and when the cluster has grown or shrunk."""

    declaration = Declaration(name="ttl", kind=core.Node, roles=("ttl-controller",), reads=(Whole(core.Node),))

    def __init__(self) -> None:
        self._size = 0

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._nodes = ctx.read(core.Node)
        ctx.watch(self._nodes, when=lambda old, new: new is not None and (old is None or _ttl(old) != _ttl(new)))
        self._nodes.subscribe(self._count)

    def _count(self, old: core.Node | None, new: core.Node | None) -> None:
        if old is not None and new is not None:
            return
        size = next_size(self._size, len(self._nodes))
        if size != self._size:
            self._size = size
            for node in self._nodes.list():
                self._ctx.enqueue(Key.of(node))

    async def reconcile(self, key: Key) -> Result:
        node = self._nodes.get(key)
        ttl = str(SIZES[self._size].seconds)
        if node is None or _ttl(node) == ttl:
            return DONE
        body = {"metadata": {"uid": node.metadata.uid, "annotations": {TTL: ttl}}}
        try:
            await self._ctx.client.patch(core.Node, key.name, body=body)
        except NotFound:
            return DONE
        return DONE


def _ttl(node: core.Node) -> str | None:
    return node.metadata.annotations.get(TTL)
