"""The garbage collector: deletes objects whose owners are all gone."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import NotFound
from tiphys.api.machinery.scheme import Kind, Scheme
from tiphys.api.meta.v1 import KubeObject, ObjectMeta, OwnerReference
from tiphys.client import PartialObject
from tiphys.controllers.garbage.graph import FOREGROUND, ORPHAN, Graph, Ident, is_orphaning, is_waiting
from tiphys.controllers.garbage.plan import Owner, blocks, fate
from tiphys.controllers.shared import custom
from tiphys.controllers.shared.slim import DEFINITIONS, SlimDefinition
from tiphys.runtime import DONE, ControllerContext, Declaration, Informer, Key, Result
from tiphys.runtime.declaration import metadata_of

DEFINED = "-"
"""Marker of keys for definitions, whose kinds may have to be followed or dropped."""
REMEMBERED = 1000
"""Maximum number of absent owners that are remembered."""


def _kind_changed(old: SlimDefinition | None, new: SlimDefinition | None) -> bool:
    before, after = custom.custom_kind(old), custom.custom_kind(new)
    return (before and before.ident) != (after and after.ident)


def collected_kinds(scheme: Scheme) -> list[Kind[Any]]:
    """Return the collected kinds: one per storage. Events are left out, since they expire by themselves."""
    needed = {"list", "watch", "delete"}
    return [kind for kind in scheme if kind.stored is None and kind.type is not core.Event and needed <= set(kind.verbs)]


class GarbageCollector:
    """Collects garbage. Keys are objects of all kinds (`Ident.key`).

    It uses the caches that other loops have, and keeps only slim metadata of all other kinds. Before anything is deleted the object and its
    absent owners are read from the server, so a cache that is behind deletes nothing.
    """

    declaration = Declaration(
        name="garbage-collector-controller",
        roles=("generic-garbage-collector",),
        reads=(DEFINITIONS,),
        follows_any=True,
    )

    def __init__(self) -> None:
        self._graph = Graph()
        self._kinds: dict[str, Kind[PartialObject]] = {}
        self._informers: dict[str, Informer[Any]] = {}
        self._custom: dict[str, str] = {}
        self._absent: OrderedDict[tuple[str, str], None] = OrderedDict()

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx, self._scheme = ctx, ctx.client.scheme
        for kind in collected_kinds(self._scheme):
            self._follow(kind.resource, metadata_of(kind))
        self._definitions = ctx.read(SlimDefinition)
        ctx.watch(self._definitions, lambda definition: (Key("", f"{DEFINED}/{definition.metadata.name}"),), when=_kind_changed)

    async def _follow_defined(self, name: str) -> None:
        """Follow a custom kind that was added, and drop one that was removed."""
        kind = custom.custom_kind(self._definitions.get(Key("", name)))
        resource = self._custom.get(name, "")
        known = self._kinds.get(resource)
        if known is not None and (kind is None or known.ident != kind.ident):
            informer = self._informers.pop(resource)
            del self._kinds[resource], self._custom[name]
            await self._ctx.release(informer)
            for obj in informer.list():
                for ident in self._graph.change(resource, obj, None):
                    self._ctx.enqueue(ident.key())
        if kind is not None and kind.resource not in self._kinds:
            self._custom[name] = kind.resource
            self._follow(kind.resource, kind)

    def _follow(self, resource: str, kind: Kind[PartialObject]) -> None:
        self._kinds[resource] = kind
        informer = self._informers[resource] = self._ctx.follow(kind)

        def handler(old: KubeObject | None, new: KubeObject | None) -> None:
            for ident in self._graph.change(resource, old, new):
                self._ctx.enqueue(ident.key())
            for ident, owner in self._graph.out_of_reach(old, new):
                self._warn(ident, owner)

        informer.subscribe(handler)

    def _warn(self, ident: Ident, owner: str) -> None:
        """Report on an object that one of its owners is not in its namespace, so that it will be collected."""
        meta = self._cached(ident)
        reference = None if meta is None else next((one for one in meta.ownerReferences if one.uid == owner), None)
        if meta is None or reference is None:
            return
        version, kind = self._type_of(ident.resource)
        about = core.ObjectReference(apiVersion=version, kind=kind, namespace=meta.namespace, name=meta.name, uid=meta.uid)
        named = f"{reference.apiVersion}/{reference.kind}, namespace: {meta.namespace}, name: {reference.name}, uid: {reference.uid}"
        message = f'ownerRef [{named}] does not exist in namespace "{meta.namespace}"'
        self._ctx.recorder.event(about, "Warning", "OwnerRefInvalidNamespace", message)

    def _type_of(self, resource: str) -> tuple[str, str]:
        """Return the apiVersion and kind of a followed resource."""
        kind = next((kind for kind in collected_kinds(self._scheme) if kind.resource == resource), None)
        if kind is not None:
            return kind.api_version, kind.kind
        definition = self._definitions.get(Key("", resource))
        return self._kinds[resource].api_version, "" if definition is None else definition.status.acceptedNames.kind

    async def reconcile(self, key: Key) -> Result:
        ident = Ident.parse(key)
        if ident.resource == DEFINED:
            await self._follow_defined(ident.name)
            return DONE
        meta = self._cached(ident)
        if meta is None:
            return DONE
        try:
            if is_orphaning(meta):
                await self._orphan(ident, meta)
            elif is_waiting(meta):
                await self._finish_foreground(ident, meta)
                # Its owners may be waiting for it in turn: a circle is opened from here.
                await self._judge(ident, meta)
            elif meta.deletionTimestamp is None:
                await self._judge(ident, meta)
        except NotFound:
            # It went meanwhile, as it should.
            return DONE
        return DONE

    def _cached(self, ident: Ident) -> ObjectMeta | None:
        informer = self._informers.get(ident.resource)
        obj = None if informer is None else informer.get(Key(ident.namespace, ident.name))
        return obj.metadata if obj is not None else None

    def _dependents(self, uid: str) -> list[tuple[Ident, ObjectMeta]]:
        cached = ((ident, self._cached(ident)) for ident in self._graph.dependents(uid))
        return [(ident, meta) for ident, meta in cached if meta is not None]

    async def _orphan(self, ident: Ident, meta: ObjectMeta) -> None:
        """Remove the references to it from its dependents, then its finalizer."""
        for dependent, its in self._dependents(meta.uid):
            kept = [reference for reference in its.ownerReferences if reference.uid != meta.uid]
            try:
                await self._write_owners(dependent, its, kept)
            except NotFound:
                continue
        await self._drop_finalizer(ident, meta, ORPHAN)

    async def _finish_foreground(self, ident: Ident, meta: ObjectMeta) -> None:
        """Remove the finalizer of an object that waits for its dependents once none of them blocks it."""
        dependents = self._dependents(meta.uid)
        if not any(blocks(its, meta.uid) for _, its in dependents):
            await self._drop_finalizer(ident, meta, FOREGROUND)
            return
        for dependent, _ in dependents:
            self._ctx.enqueue(dependent.key())

    async def _judge(self, ident: Ident, meta: ObjectMeta) -> None:
        """Decide the fate of an object by its owners."""
        states = {reference.uid: self._cached_state(ident, reference) for reference in meta.ownerReferences}
        if all(state == "solid" for state in states.values()):
            return
        live = (await self._ctx.client.get(self._kinds[ident.resource], ident.name, ident.namespace)).metadata
        if live.uid != meta.uid:
            return
        states = {reference.uid: await self._live_state(ident, reference) for reference in live.ownerReferences}
        decision = fate(live, states, [its for _, its in self._dependents(live.uid)])
        version = live.resourceVersion
        if decision.owners is not None and list(decision.owners) != live.ownerReferences:
            version = (await self._write_owners(ident, live, decision.owners)).resourceVersion
        if decision.propagation is None or live.deletionTimestamp is not None:
            return
        await self._ctx.client.delete(
            self._kinds[ident.resource],
            ident.name,
            ident.namespace,
            propagation=decision.propagation,
            uid=live.uid,
            resource_version=version,
        )

    def _cached_state(self, ident: Ident, reference: OwnerReference) -> Owner:
        """Return the state of an owner as the caches show it."""
        owner = self._graph.find(reference.uid)
        if owner is None or owner.namespace not in ("", ident.namespace):
            return "absent"
        meta = self._cached(owner)
        if meta is None:
            return "absent"
        return "waiting" if is_waiting(meta) else "solid"

    async def _live_state(self, ident: Ident, reference: OwnerReference) -> Owner:
        """Return the state of an owner; the server is asked about owners that are not in the caches."""
        known = self._cached_state(ident, reference)
        if known != "absent" or (ident.namespace, reference.uid) in self._absent:
            return known
        kind = self._find_kind(reference)
        if kind is None or (kind.namespaced and not ident.namespace):
            return "unknown"
        namespace = ident.namespace if kind.namespaced else ""
        try:
            meta = (await self._ctx.client.get(metadata_of(kind), reference.name, namespace)).metadata
        except NotFound:
            return self._note_absent(ident.namespace, reference.uid)
        if meta.uid != reference.uid:
            return self._note_absent(ident.namespace, reference.uid)
        return "waiting" if is_waiting(meta) else "solid"

    def _note_absent(self, namespace: str, uid: str) -> Owner:
        # A uid never comes back, so this needs no expiry. The namespace is the dependent's: from another one an owner is never seen.
        self._absent[namespace, uid] = None
        if len(self._absent) > REMEMBERED:
            self._absent.popitem(last=False)
        return "absent"

    def _find_kind(self, reference: OwnerReference) -> Kind[Any] | None:
        """Return the kind that a reference names, in its version or any other."""
        kind = self._scheme.by_gvk(reference.apiVersion, reference.kind)
        if kind is not None:
            return kind
        for definition in self._definitions.list():
            if custom.is_named(definition, reference.apiVersion, reference.kind):
                return custom.custom_kind(definition)
        group = reference.apiVersion.rpartition("/")[0]
        return next((other for other in self._scheme if (other.group, other.kind) == (group, reference.kind)), None)

    async def _write_owners(self, ident: Ident, meta: ObjectMeta, owners: Sequence[OwnerReference]) -> ObjectMeta:
        return await self._patch(ident, meta, {"ownerReferences": list(owners)})

    async def _drop_finalizer(self, ident: Ident, meta: ObjectMeta, finalizer: str) -> None:
        await self._patch(ident, meta, {"finalizers": [name for name in meta.finalizers if name != finalizer]})

    async def _patch(self, ident: Ident, meta: ObjectMeta, change: dict[str, object]) -> ObjectMeta:
        body = {"metadata": {"uid": meta.uid, "resourceVersion": meta.resourceVersion, **change}}
        written = await self._ctx.client.patch(self._kinds[ident.resource], ident.name, ident.namespace, body=body)
        return written.metadata
