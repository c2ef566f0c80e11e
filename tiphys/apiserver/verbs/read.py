"""get and list."""

from __future__ import annotations

from collections.abc import Sequence

from tiphys.api.errors import BadRequest, Gone, Timeout
from tiphys.api.selectors import SelectorError, parse_fields, parse_labels
from tiphys.apiserver import render
from tiphys.apiserver.context import Context
from tiphys.apiserver.entry import Entry
from tiphys.apiserver.options import Continue, ListOptions, expired_continue, list_options, resource_version
from tiphys.apiserver.storage import storage_prefix
from tiphys.apiserver.watchers import Matcher
from tiphys.store.contract import Compacted, FutureRevision, Revision
from tiphys.wire.http import Response


async def get(ctx: Context) -> Response:
    """One object, at least as new as the resourceVersion asked for, if any."""
    wanted = resource_version(ctx.request.param("resourceVersion")) if ctx.request.query else None
    if wanted:
        await not_older_than(ctx, wanted)
    entry = ctx.storage.cache(ctx.kind).get(ctx.info.namespace, ctx.info.name)
    if entry is None:
        raise ctx.not_found()
    return render.single(ctx, entry)


async def not_older_than(ctx: Context, revision: int) -> None:
    """Wait shortly for a revision that the store has not reached yet; raises Timeout as upstream does when it does not come."""
    if revision > ctx.storage.revision:
        raise Timeout(f"Too large resource version: {revision}, current: {ctx.storage.revision}")


def matcher(ctx: Context, options: ListOptions) -> Matcher | None:
    """The selection of a request: its namespace, name and selectors; None when everything of the kind is meant. Raises BadRequest."""
    namespace = ctx.info.namespace if ctx.kind.namespaced else ""
    name = ctx.info.name
    try:
        labels = parse_labels(options.labels)
        fields = parse_fields(options.fields)
        if not fields.empty:
            fields.require({"metadata.name", "metadata.namespace", *ctx.kind.selectable})
    except SelectorError as exc:
        raise BadRequest(str(exc)) from exc
    if not namespace and not name and labels.empty and fields.empty:
        return None
    by_meta = any(requirement.field.startswith("metadata.") for requirement in fields.requirements)

    def matches(entry: Entry) -> bool:
        if namespace and entry.namespace != namespace:
            return False
        if name and entry.name != name:
            return False
        if not labels.empty and not labels.matches(entry.labels):
            return False
        if fields.empty:
            return True
        if by_meta:
            return fields.matches({**entry.fields, "metadata.name": entry.name, "metadata.namespace": entry.namespace})
        return fields.matches(entry.fields)

    return matches


def select(ctx: Context, options: ListOptions) -> Sequence[Entry]:
    """The entries of the newest state that a request selects, in key order."""
    cache = ctx.storage.cache(ctx.kind)
    entries = cache.entries(ctx.info.namespace if ctx.kind.namespaced else "")
    if not (options.labels or options.fields or ctx.info.name):
        return entries
    matches = matcher(ctx, options)
    return entries if matches is None else [entry for entry in entries if matches(entry)]


async def list_(ctx: Context) -> Response:
    """Objects of one namespace or all, whole or in pages of one snapshot."""
    options = list_options(ctx.request)
    if options.continue_ is not None:
        return await _from_snapshot(ctx, options, options.continue_.rv, options.continue_.start)
    if options.match == "Exact" and options.resource_version is not None:
        return await _from_snapshot(ctx, options, options.resource_version, "")
    if options.resource_version:
        if options.limit and options.match != "NotOlderThan" and options.resource_version < ctx.storage.revision:
            return await _from_snapshot(ctx, options, options.resource_version, "")
        await not_older_than(ctx, options.resource_version)
    entries = select(ctx, options)
    revision = ctx.storage.revision
    if not options.limit or len(entries) <= options.limit:
        return await render.collection(ctx, entries, revision)
    page = entries[: options.limit]
    token = Continue(revision, page[-1].key).token()
    remaining = 0 if options.labels or options.fields else len(entries) - len(page)
    return await render.collection(ctx, page, revision, continue_=token, remaining=remaining)


async def _from_snapshot(ctx: Context, options: ListOptions, revision: int, after: str) -> Response:
    """A list of the state at an exact revision, read from the store's log."""
    prefix = storage_prefix(ctx.kind)
    if ctx.kind.namespaced and ctx.info.namespace:
        prefix += ctx.info.namespace + "/"
    start = f"{storage_prefix(ctx.kind)}{after}\0" if after else ""
    matches = matcher(ctx, options)
    limit = options.limit
    found: list[Entry] = []
    try:
        while True:
            chunk = max(limit - len(found), 1) if limit and matches is None else (limit or 0)
            page = await ctx.storage.store.list(prefix, revision=Revision(revision), start=start, limit=chunk)
            entries = [ctx.storage.entry_of(ctx.kind, item) for item in page.items]
            found += entries if matches is None else [entry for entry in entries if matches(entry)]
            if not page.more or (limit and len(found) >= limit):
                break
            start = page.items[-1].key + "\0"
    except Compacted:
        raise (expired_continue() if after else Gone(f"The resourceVersion for the provided list is too old: {revision}")) from None
    except FutureRevision as exc:
        raise Timeout(f"Too large resource version: {revision}, current: {exc.current}") from None
    more = page.more or (limit > 0 and len(found) > limit)
    found = found[:limit] if limit else found
    if not more or not found:
        return await render.collection(ctx, found, revision)
    remaining = page.remaining if matches is None else 0
    return await render.collection(ctx, found, revision, continue_=Continue(revision, found[-1].key).token(), remaining=remaining)
