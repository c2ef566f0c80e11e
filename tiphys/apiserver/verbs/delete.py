"""delete and deletecollection: grace, propagation, preconditions and finalizers ("Garbage Collection", "Finalizers")."""

from __future__ import annotations

from typing import Any

from tiphys.api.machinery.base import time
from tiphys.api.machinery.durations import later
from tiphys.api.machinery.errors import Conflict, NotFound
from tiphys.api.meta.v1 import DeleteOptions, Preconditions
from tiphys.apiserver.answers import render
from tiphys.apiserver.cache.entry import Entry
from tiphys.apiserver.chain.context import Context
from tiphys.apiserver.chain.options import delete_options, list_options
from tiphys.apiserver.verbs.pipeline import admission_request, answered, erased, unsaved
from tiphys.apiserver.verbs.read import after, selected
from tiphys.store.contract import KeyMissing, RevisionMismatch
from tiphys.wire.http import Response

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
_POLICIES = {"Background": None, "Foreground": FOREGROUND, "Orphan": ORPHAN}


async def delete(ctx: Context) -> Response:
    """DELETE of an object: the object if it stays for now (some kinds: also as it last was), a Status of success if it is gone."""
    options = await ctx.aside(_options, ctx) if ctx.large else _options(ctx)
    entry, uid, removed = await remove(ctx, ctx.info.namespace, ctx.info.name, options)
    if removed and not ctx.kind.shown_when_deleted:
        return render.success(ctx, entry, uid)
    return await answered(ctx, entry)


async def delete_collection(ctx: Context) -> Response:
    """DELETE of a collection, narrowed by selectors and by a limit; answers with the list of the deleted objects."""
    options = await ctx.aside(_options, ctx) if ctx.large else _options(ctx)
    selection = list_options(ctx.request)
    chosen = await selected(ctx, selection)
    if selection.continue_ is not None:
        chosen = after(chosen, selection.continue_)
    if selection.limit:
        chosen = chosen[: selection.limit]
    revision = ctx.storage.revision
    for entry in chosen:
        try:
            await remove(ctx, entry.namespace, entry.name, options)
        except NotFound:
            continue
    return await render.collection(ctx, chosen, revision)


def _options(ctx: Context) -> DeleteOptions:
    options = delete_options(ctx.request, ctx.parsed)
    ctx.deletes_dry = bool(options.dryRun)
    warning = ctx.kind.rules.orphaning_warning
    if warning and options.propagationPolicy is None and options.orphanDependents is None:
        ctx.warnings = [*ctx.warnings, warning]
    return options


async def remove(ctx: Context, namespace: str, name: str, options: DeleteOptions) -> tuple[Entry, str, bool]:
    """Delete one object, or begin to: its entry, its UID, and whether it is gone. Raises NotFound, Conflict."""
    storage, kind = ctx.storage, ctx.kind
    cache = storage.cache(kind)
    if options.gracePeriodSeconds is not None and options.gracePeriodSeconds < 0:
        options.gracePeriodSeconds = 1
    entry = cache.get(namespace, name)
    while True:
        if entry is None:
            raise ctx.not_found()
        obj = cache.codec.decode(entry.data)
        uid = obj.metadata.uid
        if options.preconditions is not None:
            check_preconditions(ctx, entry, obj, options.preconditions)
        request = admission_request(ctx, "DELETE", None, obj)
        if request is not None:
            await ctx.services.admission.admit(request)
            await ctx.services.admission.validate(request)
        stays = _mark(ctx, obj, options)
        if options.dryRun:
            return unsaved(ctx, obj, entry.revision) if stays else entry, uid, not stays
        try:
            if stays:
                return await storage.update(kind, obj, expected=entry), uid, False
            return await erased(ctx, entry, obj), uid, True
        except (RevisionMismatch, KeyMissing):
            entry = await storage.fresh(kind, namespace, name)


def check_preconditions(ctx: Context, entry: Entry, obj: Any, preconditions: Preconditions) -> None:
    """Raise Conflict unless the object is the one, in the version, that a deletion is for."""
    if preconditions.uid is not None and preconditions.uid != obj.metadata.uid:
        why = (
            f"the UID in the precondition ({preconditions.uid}) does not match the UID in record ({obj.metadata.uid})."
            " The object might have been deleted and then recreated"
        )
        raise Conflict.object(ctx.kind.kind, entry.name, why, group=ctx.kind.group)
    if preconditions.resourceVersion is not None and preconditions.resourceVersion != str(entry.revision):
        why = (
            f"the ResourceVersion in the precondition ({preconditions.resourceVersion}) does not match the ResourceVersion in record"
            f" ({entry.revision}). The object might have been modified"
        )
        raise Conflict.object(ctx.kind.kind, entry.name, why, group=ctx.kind.group)


def _mark(ctx: Context, obj: Any, options: DeleteOptions) -> bool:
    """Set the deletion's marks on the object; returns whether it stays for now."""
    meta, rules = obj.metadata, ctx.kind.rules
    if rules.collected:
        _set_propagation(meta, options, orphan=rules.orphans_dependents)
    now = time(ctx.services.now())
    if meta.deletionTimestamp is not None:
        before, seconds = meta.deletionGracePeriodSeconds, options.gracePeriodSeconds
        if before and seconds is not None and seconds < before:
            # A later call may only shorten an earlier grace period.
            started = later(meta.deletionTimestamp, -before)
            meta.deletionTimestamp = max(later(started, seconds), now) if seconds else now
            meta.deletionGracePeriodSeconds = seconds
        return bool(meta.deletionGracePeriodSeconds) or rules.is_held(obj)
    grace = rules.grace_period(obj, options.gracePeriodSeconds)
    stays = bool(grace) or rules.is_held(obj)
    if stays:
        meta.deletionTimestamp = later(now, grace or 0)
        meta.deletionGracePeriodSeconds = grace or 0
        if meta.generation:
            meta.generation += 1
        rules.begin_deletion(obj)
    return stays


def _set_propagation(meta: Any, options: DeleteOptions, *, orphan: bool) -> None:
    """Foreground and orphan deletion are finalizers that the garbage collector removes."""
    if options.orphanDependents is not None:
        policy = ORPHAN if options.orphanDependents else None
    elif options.propagationPolicy is not None:
        policy = _POLICIES.get(options.propagationPolicy)
    elif orphan and FOREGROUND not in meta.finalizers:
        policy = ORPHAN
    else:
        return
    kept = [finalizer for finalizer in meta.finalizers if finalizer not in (FOREGROUND, ORPHAN)]
    meta.finalizers = [*kept, policy] if policy else kept
