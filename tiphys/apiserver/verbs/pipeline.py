"""Pipeline of writes: decode, defaults, the kind's rules, admission, validation, and the store with its optimistic concurrency.

    create  decode > metadata > defaults > prepare_create > admit (mutate) > validate > admit (validate) > store
    update  change(old) > carry over metadata > defaults > prepare_update > admit > validate both ways > store, again if it lost a race

A write that loses against another one is tried again on the new state unless the client named the version that it wants to replace.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

from msgspec.structs import astuple

from tiphys.api.kinds import SCHEME
from tiphys.api.machinery import codec
from tiphys.api.machinery.apply.managers import chosen
from tiphys.api.machinery.base import time
from tiphys.api.machinery.errors import BadRequest, Conflict, FieldError, Invalid
from tiphys.api.machinery.limits import ObjectTooLarge
from tiphys.api.machinery.quantity import canonicalize
from tiphys.api.machinery.remembered import Remembered
from tiphys.api.machinery.scheme import Kind, Rules
from tiphys.api.meta.v1 import KubeObject, ObjectMeta, OwnerReference
from tiphys.api.rules import meta as meta_rules
from tiphys.apiserver.admission.chain import AdmissionRequest, Operation
from tiphys.apiserver.answers import render
from tiphys.apiserver.cache.entry import Entry, EntryCodec
from tiphys.apiserver.chain.aside import LARGE
from tiphys.apiserver.chain.context import Context
from tiphys.apiserver.chain.options import JSON_MEDIA, field_validation, resource_version
from tiphys.apiserver.verbs import ownership
from tiphys.store.contract import KeyMissing, RevisionMismatch
from tiphys.wire.http import Response

Change = Callable[[Entry, Any], Any]
"""From the current entry and its decoded object (not to be changed) to the wanted object."""

MAX_RACES = 64
MANY_PARTS = 20_000
"""Objects inside one object from which on it is many."""
SYSTEM_SUBRESOURCES = frozenset(("binding", "finalize"))
"""Their handlers change exactly their own fields, which the rules of ordinary updates would restore or refuse."""


def decode_body(ctx: Context, type_: type[Any] | None = None) -> Any:
    """The request's body as an object of the path's kind (or of `type_`); problems go to the warnings or raise BadRequest."""
    request = ctx.request
    media, validation = request.headers.get("content-type", JSON_MEDIA), field_validation(ctx.options)
    decoded = codec.decode(type_ or ctx.kind.type, request.body, content_type=media, validation=validation, parsed=ctx.parsed)
    if decoded.problems:
        ctx.warnings = [*ctx.warnings, *decoded.problems]
    return decoded.obj


async def encoded(ctx: Context, obj: Any) -> bytes:
    """Return the bytes to store of a large object, or b"" if the object still changes (`stored`). Raises BadRequest or ObjectTooLarge."""
    if ctx.kind.takes_addresses:
        return b""
    return await ctx.aside(ctx.storage.cache(ctx.kind).codec.encode_checked, obj)


def encoded_small(ctx: Context, obj: Any, source_bytes: int) -> bytes:
    """`encoded` for other objects. `source_bytes` are those of the JSON that the object's maps come from; of unknown ones (0) b""."""
    if not source_bytes or ctx.kind.takes_addresses or ctx.kind.stored is not None:
        return b""
    return ctx.storage.cache(ctx.kind).codec.encode_bounded(obj, source_bytes)


async def answered(ctx: Context, entry: Entry, status: int = 200) -> Response:
    """The answer that shows a stored object; made aside for a large one."""
    if ctx.large or len(entry.data) > LARGE:
        return await ctx.aside(render.single, ctx, entry, status)
    return render.single(ctx, entry, status)


async def read_body(ctx: Context, type_: type[Any] | None = None) -> Any:
    """`decode_body`, aside for a large one."""
    return await ctx.aside(decode_body, ctx, type_) if ctx.large else decode_body(ctx, type_)


def check_place(ctx: Context, obj: KubeObject, *, named: bool) -> None:
    """Bring the object's namespace and name in line with the URL; raises BadRequest when they contradict it."""
    meta, info = obj.metadata, ctx.info
    if ctx.kind.namespaced:
        if not meta.namespace:
            meta.namespace = info.namespace
        elif meta.namespace != info.namespace:
            if named:
                message = f"the namespace of the object ({meta.namespace}) does not match the namespace on the request ({info.namespace})"
                raise BadRequest(message)
            raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")
    else:
        meta.namespace = ""
    if named:
        if not meta.name:
            meta.name = info.name
        elif meta.name != info.name:
            raise BadRequest(f"the name of the object ({meta.name}) does not match the name on the URL ({info.name})")


def raise_invalid(kind: Kind[Any], obj: KubeObject, errors: list[FieldError]) -> None:
    """Raise Invalid when there are errors. They name the kind that is stored, as upstream's name its internal one."""
    if errors:
        name = obj.metadata.name or obj.metadata.generateName
        raise Invalid.object(kind.kind, name, errors, group=kind.hub.group)


def admission_request(ctx: Context, operation: Operation, obj: Any, old: Any) -> AdmissionRequest | None:
    """Return the request as admission sees it, or None when no plugin handles it."""
    services, info = ctx.services, ctx.info
    steps = services.admission.steps(ctx.kind, operation, info.subresource)
    if steps is None:
        return None
    meta = (obj if obj is not None else old).metadata
    return AdmissionRequest(
        kind=ctx.kind,
        operation=operation,
        subresource=info.subresource,
        namespace=info.namespace,
        name=meta.name or info.name,
        object=obj,
        old_object=old,
        user=ctx.user,
        dry_run=ctx.dry_run,
        source=services.source,
        large=ctx.large,
        steps=steps,
    )


async def stored(ctx: Context, obj: Any, old: Any, write: Callable[[], Coroutine[Any, Any, Entry]], *, dry_run: bool = False) -> Entry:
    """Return the object that `write` stores; of some kinds with the addresses and ports that are allocated to it."""
    if not ctx.kind.takes_addresses:
        return await write()
    # A caller that gives up must not free addresses that a write under way is about to take.
    allocated = ctx.services.allocator.store(obj, old, write, dry_run=dry_run)
    return await asyncio.shield(asyncio.ensure_future(allocated))


async def erased(ctx: Context, entry: Entry, obj: Any) -> Entry:
    """Remove an object, and with it the addresses it was given; raises store.KeyMissing or store.RevisionMismatch."""
    gone = await ctx.storage.delete(ctx.kind, entry)
    if ctx.kind.takes_addresses:
        await ctx.services.allocator.removed(obj)
    return gone


def default(kind: Kind[Any], obj: Any) -> None:
    """Canonical quantities and the kind's defaults."""
    if obj.__model__ is None:
        canonicalize(obj)
    kind.rules.default(obj)


def check_size(ctx: Context, obj: Any) -> None:
    """Raise ObjectTooLarge for an object of many parts that could not be stored, before the dearer part of the work on it.

    An object that is large in few parts, such as a file in a ConfigMap, is validated as usual, and its own limit is reported.
    """
    codec_ = ctx.storage.cache(ctx.kind).codec
    sent, obj.metadata.managedFields = obj.metadata.managedFields, []
    version = obj.metadata.resourceVersion
    try:
        codec_.encode_checked(obj)
    except ObjectTooLarge:
        value = codec_.encode(obj)
        if value.count(b'{"') + value.count(b"{}") > MANY_PARTS:
            raise
    finally:
        obj.metadata.managedFields, obj.metadata.resourceVersion = sent, version


def stamp_new(ctx: Context, meta: ObjectMeta) -> None:
    """The metadata that only the server sets."""
    meta.uid = ctx.services.uid()
    meta.creationTimestamp = time(ctx.services.now())
    if ctx.kind.rules.counted and "spec" in ctx.kind.type.__struct_fields__:
        meta.generation = 1
    meta.deletionTimestamp = None
    meta.deletionGracePeriodSeconds = None
    meta.selfLink = ""
    if not ctx.applied:
        meta.managedFields = []


def update(ctx: Context, change: Change, *, subresource: str = "") -> Awaitable[tuple[Entry, bool]]:
    """Change the object that the URL names; returns its entry and whether it was removed (its last finalizer went). Raises NotFound."""
    return update_named(ctx, ctx.info.namespace, ctx.info.name, change, subresource=subresource)


async def update_named(ctx: Context, namespace: str, name: str, change: Change, *, subresource: str = "") -> tuple[Entry, bool]:
    """`update` for any object of the request's kind."""
    storage, kind = ctx.storage, ctx.kind
    cache = storage.cache(kind)
    entry = cache.get(namespace, name)
    for _ in range(MAX_RACES):
        if entry is None:
            raise ctx.not_found()
        if len(entry.data) > LARGE:
            ctx.large = True
        if ctx.large:
            old, new = await ctx.aside(_changed, cache.codec, entry, change)
        else:
            old = cache.codec.decode(entry.data)
            new = change(entry, old)
        pinned = resource_version(new.metadata.resourceVersion, "metadata.resourceVersion") or 0
        if pinned not in (0, entry.revision):
            if pinned > entry.revision and (latest := await storage.fresh(kind, namespace, name)) and latest.revision > entry.revision:
                entry = latest  # Written by another server, and read from it, before this one has received it.
                continue
            raise Conflict.modified(kind.plural, name, group=kind.group)
        try:
            return await _store_update(ctx, entry, old, new, subresource)
        except (RevisionMismatch, KeyMissing):
            entry = await storage.fresh(kind, namespace, name)
            if pinned:
                raise Conflict.modified(kind.plural, name, group=kind.group) from None
    raise Conflict.modified(kind.plural, name, group=kind.group)


def _changed(objects: EntryCodec, entry: Entry, change: Change) -> tuple[Any, Any]:
    """The object before and after a change."""
    old = objects.decode(entry.data)
    return old, change(entry, old)


def _prepare_update(ctx: Context, old: Any, new: Any, subresource: str) -> None:
    """All that happens to a changed object before admission."""
    kind, rules = ctx.kind, ctx.kind.rules
    carry_metadata(ctx, new.metadata, old.metadata)
    if ctx.info.verb != "patch" and len(new.metadata.ownerReferences) > 1:
        drop_repeated_owners(ctx, new.metadata)
    part = rules.parts.get(subresource) if subresource else None
    if subresource == "status" or (part is not None and part.of_status):
        rules.keep_all_but_status(new, old)
        (rules.prepare_status_update if part is None else part.keep)(new, old)
        if rules.stamp_status is not None:
            rules.stamp_status(new, old, time(ctx.services.now()))
        if ctx.large:
            check_size(ctx, new)
        ownership.of_update(ctx, new, old)
    elif subresource not in SYSTEM_SUBRESOURCES:
        if part is not None:
            _keep_what_counts(new, old)
            part.keep(new, old)
        default(kind, new)
        if kind.has_status:
            rules.keep_status(new, old)
        if ctx.large:
            check_size(ctx, new)
        ownership.of_update(ctx, new, old)  # What the rules put back or set next was the writer's all the same.
        rules.prepare_update(new, old)
        if rules.spec_changed(new, old):
            new.metadata.generation = old.metadata.generation + 1


async def _store_update(ctx: Context, entry: Entry, old: Any, new: Any, subresource: str) -> tuple[Entry, bool]:
    kind, rules, large, aside = ctx.kind, ctx.kind.rules, ctx.large, ctx.aside
    if large:
        await aside(_prepare_update, ctx, old, new, subresource)
    else:
        _prepare_update(ctx, old, new, subresource)
    request = admission_request(ctx, "UPDATE", new, old)
    if request is not None:
        await ctx.services.admission.admit(request)
    if ctx.info.verb == "patch" and len(new.metadata.ownerReferences) > 1:  # The author of a patch owns its result.
        if large:
            await aside(drop_repeated_owners, ctx, new.metadata)
        else:
            drop_repeated_owners(ctx, new.metadata)
    raise_invalid(
        kind,
        new,
        await aside(_update_errors, kind, new, old, subresource) if large else _update_errors(kind, new, old, subresource),
    )
    if request is not None:
        await ctx.services.admission.validate(request)
        if request.warnings:
            ctx.warnings = [*ctx.warnings, *request.warnings]
    if not subresource and (warnings := await aside(rules.warnings, new, old) if large else rules.warnings(new, old)):
        ctx.warnings = [*ctx.warnings, *warnings]
    if ctx.dry_run:
        return unsaved(ctx, new, entry.revision), False
    if is_finished(kind, new):
        await erased(ctx, entry, old)
        return unsaved(ctx, new, entry.revision), True
    value = await encoded(ctx, new) if large else encoded_small(ctx, new, ctx.source_bytes(len(entry.data)))
    if kind.takes_addresses:
        return await stored(ctx, new, old, partial(ctx.storage.update, kind, new, expected=entry, value=value)), False
    return await ctx.storage.update(kind, new, expected=entry, value=value), False


def _update_errors(kind: Kind[Any], new: Any, old: Any, subresource: str) -> list[FieldError]:
    errors = meta_rules.validate_update(new.metadata, old.metadata, standard=kind.rules.names_finalizers)
    if subresource == "status":
        return [*errors, *kind.rules.validate_status_update(new, old)]
    if subresource in SYSTEM_SUBRESOURCES:
        return errors
    part = kind.rules.parts.get(subresource) if subresource else None
    changes = kind.rules.validate_update if part is None else part.validate
    if kind.rules.ratchets or (part is not None and part.of_status):
        return [*errors, *changes(new, old)]
    return [*errors, *_errors_of(kind, new), *changes(new, old)]


def unsaved(ctx: Context, obj: Any, revision: int) -> Entry:
    """The entry that a dry run answers with."""
    codec_ = ctx.storage.cache(ctx.kind).codec
    return codec_.entry(codec_.encode_checked(obj), revision, obj)


def is_finished(kind: Kind[Any], obj: Any) -> bool:
    """Return whether an object that is being deleted has nothing left that holds it."""
    meta = obj.metadata
    return meta.deletionTimestamp is not None and not meta.deletionGracePeriodSeconds and not kind.rules.is_held(obj)


def carry_metadata(ctx: Context, new: ObjectMeta, old: ObjectMeta) -> None:
    """Restore the fields that no update may change; raises Conflict for the UID of another object."""
    if new.uid and new.uid != old.uid:
        why = f"Precondition failed: UID in precondition: {new.uid}, UID in object meta: {old.uid}"
        raise Conflict.object(ctx.kind.plural, old.name, why, group=ctx.kind.group)
    new.uid = old.uid
    new.creationTimestamp = old.creationTimestamp
    new.deletionTimestamp = old.deletionTimestamp
    new.deletionGracePeriodSeconds = old.deletionGracePeriodSeconds
    new.generation = old.generation
    new.generateName = new.generateName or old.generateName
    new.selfLink = ""
    if not ctx.applied:
        # Subresources cannot be used to rewrite who owns what.
        new.managedFields = old.managedFields if ctx.info.subresource else chosen(new.managedFields, old.managedFields)


def drop_repeated_owners(ctx: Context, meta: ObjectMeta) -> None:
    """Keep one of owners that are named more than once in the same words, and warn of them."""
    kept: dict[tuple[Any, ...], OwnerReference] = {}
    repeated: list[str] = []
    for owner in meta.ownerReferences:
        if kept.setdefault(astuple(owner), owner) is not owner:
            repeated.append(owner.uid)
    if repeated:
        meta.ownerReferences = [*kept.values()]
        when = " after mutating admission happens" if ctx.info.verb == "patch" else ""
        ctx.warnings = [*ctx.warnings, _REPEATED_OWNERS % (when, ", ".join(repeated))]


_REPEATED_OWNERS = (
    ".metadata.ownerReferences contains duplicate entries%s; API server dedups owner references in 1.20+, and may reject such requests"
    " as early as 1.24; please fix your requests; duplicate UID(s) observed: %s"
)


def _keep_what_counts(new: Any, old: Any) -> None:
    """Put back the metadata that other than the whole object is no way to change."""
    for name in ("labels", "annotations", "finalizers", "ownerReferences"):
        setattr(new.metadata, name, getattr(old.metadata, name))


def validate_new(kind: Kind[Any], obj: Any) -> tuple[list[FieldError], list[str], int]:
    """All mistakes of an object to create, warnings about its spec, and the bytes of that when encoded, if they are known, or else 0."""
    rules = kind.rules
    errors = meta_rules.validate(
        obj.metadata,
        namespaced=kind.namespaced,
        name_rule=rules.validate_name,
        standard=rules.names_finalizers,
        prefix=rules.judges_prefix,
    )
    if kind.from_templates:
        (mistakes, warnings), size = _JUDGES[kind.ident].sized(obj)
    else:
        mistakes, warnings, size = rules.validate(obj), rules.spec_warnings(obj), 0
    return [*errors, *mistakes, *rules.validate_create(obj)], warnings, size


def _judged(rules: Rules[Any], obj: Any) -> tuple[list[FieldError], list[str]]:
    return rules.validate(obj), rules.spec_warnings(obj)


_JUDGES = {kind.ident: Remembered(partial(_judged, kind.rules), lambda obj: obj.spec) for kind in SCHEME if kind.from_templates}
"""Verdicts on the specs of kinds whose objects come from templates."""


def _errors_of(kind: Kind[Any], obj: Any) -> list[FieldError]:
    return _JUDGES[kind.ident](obj)[0] if kind.from_templates else kind.rules.validate(obj)
