"""The namespace controller: empties terminating namespaces, and removes their finalizer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import NotFound, StatusError
from tiphys.api.machinery.scheme import Kind
from tiphys.api.meta.v1 import KubeObject
from tiphys.client import partial_kind
from tiphys.controllers.namespace.plan import FINALIZER, Content, content_kinds, status, summarize
from tiphys.controllers.shared import custom
from tiphys.controllers.shared.slim import DEFINITIONS, PODS, SlimDefinition, SlimPod
from tiphys.runtime import DONE, ControllerContext, Declaration, Key, Result, Whole, copied, update_present, write_status

FIRST_LOOK = 0.1
LAST_LOOK = 10.0
"""Seconds between checks of the remaining contents: first and last, doubling in between."""


class NamespaceController:
    """Empties namespaces. Keys are namespaces. Each pass deletes all contents once; what remains is awaited."""

    declaration = Declaration(
        name="namespace",
        kind=core.Namespace,
        roles=("namespace-controller",),
        reads=(Whole(core.Namespace), PODS, DEFINITIONS),
    )

    def __init__(self) -> None:
        self._looks: dict[str, int] = {}

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._kinds = content_kinds(ctx.client.scheme)
        self._namespaces = ctx.read(core.Namespace)
        self._pods = ctx.read(SlimPod)
        self._definitions = ctx.read(SlimDefinition)
        ctx.watch(self._namespaces, when=lambda old, new: new is not None and new.metadata.deletionTimestamp is not None)
        # Pods are what takes longest to go: look again as soon as one is gone.
        ctx.watch(self._pods, self._dying, when=lambda old, new: new is None)

    def _dying(self, pod: SlimPod) -> Iterable[Key]:
        key = Key("", pod.metadata.namespace)
        namespace = self._namespaces.get(key)
        return (key,) if namespace is not None and namespace.metadata.deletionTimestamp is not None else ()

    async def reconcile(self, key: Key) -> Result:
        namespace = self._namespaces.get(key)
        if namespace is None or namespace.metadata.deletionTimestamp is None or FINALIZER not in namespace.spec.finalizers:
            self._looks.pop(key.name, None)
            return DONE
        content = await self._empty(key.name)
        namespace = await write_status(self._ctx.client, namespace, status(namespace, content, self._ctx.clock.now()))
        if namespace is not None and content.is_empty:
            await self._finalize(namespace)
            return DONE
        looks = self._looks[key.name] = self._looks.get(key.name, -1) + 1
        return Result(min(FIRST_LOOK * 2**looks, LAST_LOOK))

    async def _empty(self, namespace: str) -> Content:
        """Delete everything in the namespace, pods first, and return what is left."""
        left: dict[str, list[KubeObject]] = {}
        errors: dict[str, str] = {}

        async def empty(kind: Kind[KubeObject]) -> None:
            try:
                left[kind.resource] = await self._empty_kind(kind, namespace)
            except StatusError as error:
                errors[kind.resource] = str(error)

        pods, *most, events = self._kinds
        defined = (custom.custom_kind(definition) for definition in self._definitions.list())
        most += [kind for kind in defined if kind is not None and kind.namespaced]  # type: ignore[misc]
        await empty(pods)
        if left.get(pods.resource) == []:
            await asyncio.gather(*(empty(kind) for kind in most))
            await empty(events)
        return summarize(left, errors)

    async def _empty_kind(self, kind: Kind[KubeObject], namespace: str) -> list[KubeObject]:
        client = self._ctx.client
        slim: Kind[KubeObject] = partial_kind(kind.group, kind.version, kind.plural)  # type: ignore[assignment]
        objects = (await client.list(slim, namespace)).items
        if all(obj.metadata.deletionTimestamp is not None for obj in objects):
            return objects
        if "deletecollection" in kind.verbs:
            await client.delete_collection(slim, namespace, propagation="Background")
        else:
            for obj in objects:
                await self._delete(slim, obj)
        return (await client.list(slim, namespace)).items

    async def _delete(self, kind: Kind[KubeObject], obj: KubeObject) -> None:
        try:
            await self._ctx.client.delete(kind, obj.metadata.name, obj.metadata.namespace, propagation="Background")
        except NotFound:
            return

    async def _finalize(self, namespace: core.Namespace) -> None:
        changed = copied(namespace)
        changed.spec.finalizers = [name for name in changed.spec.finalizers if name != FINALIZER]
        await update_present(self._ctx.client, changed, subresource="finalize")
