"""get and list."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from tiphys.api.machinery.errors import BadRequest, Gone
from tiphys.api.machinery.query import decode_query
from tiphys.api.machinery.selectors import Selector, SelectorError, parse_fields, parse_labels
from tiphys.api.meta.v1.options import GetOptions
from tiphys.apiserver.answers import render
from tiphys.apiserver.cache.entry import Entry
from tiphys.apiserver.cache.watchers import Matcher
from tiphys.apiserver.chain.aside import LARGE
from tiphys.apiserver.chain.context import Context
from tiphys.apiserver.chain.options import LATEST, Continue, ExpiredContinue, ListOptions, list_options, resource_version, too_large_version
from tiphys.store.contract import Compacted, FutureRevision, Revision
from tiphys.wire.http import Response

FRESH_SECONDS = 3.0
"""Seconds that a read waits for a version that another server wrote."""
MAX_AHEAD = 10_000
"""A version further ahead than this was never handed out: nothing to wait for."""
SELECTING_CHUNK = 500
MOST_SELECTOR = 256
"""Characters of selectors up to which choosing takes about as long as listing does."""


async def get(ctx: Context) -> Response:
    """One object, at least as new as the requested resourceVersion, if any."""
    entry = await entry_of(ctx)
    if len(entry.data) > LARGE:
        return await ctx.aside(render.single, ctx, entry)
    return render.single(ctx, entry)


async def entry_of(ctx: Context) -> Entry:
    """Return the entry of a get, at least as new as the requested resourceVersion, if any. Raises BadRequest, NotFound, Timeout."""
    if ctx.request.query and (revision := resource_version(decode_query(GetOptions, ctx.request.query).resourceVersion)):
        await not_older_than(ctx, revision)
    entry = ctx.services.storage.cache(ctx.kind).get(ctx.info.namespace, ctx.info.name)
    if entry is None:
        raise ctx.not_found()
    return entry


async def not_older_than(ctx: Context, revision: int) -> None:
    """Wait a little for a revision that this server has not seen yet: another one may have written it. Raises Timeout."""
    storage = ctx.storage
    if revision <= storage.revision:
        return
    if revision <= storage.store.current_revision() + MAX_AHEAD:
        with suppress(TimeoutError):
            await asyncio.wait_for(storage.wait_for(revision), FRESH_SECONDS)
            return
    raise too_large_version(revision, storage.revision)


def matcher(ctx: Context, options: ListOptions) -> Matcher | None:
    """The selection of a request by its name and selectors; None when everything in its namespace is meant. Raises BadRequest."""
    name = ctx.info.name
    try:
        labels = parse_labels(options.labels)
        fields = parse_fields(options.fields)
        if not fields.empty:
            fields.require({"metadata.name", "metadata.namespace", *ctx.kind.selectable})
    except SelectorError as exc:
        raise BadRequest(str(exc)) from exc
    if not name and labels.empty and fields.empty:
        return None
    if not name and fields.empty:
        return _by_labels(labels)
    by_meta = any(requirement.field.startswith("metadata.") for requirement in fields.requirements)

    def matches(entry: Entry) -> bool:
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


def _by_labels(labels: Selector) -> Matcher:
    if labels.pair is None:
        return lambda entry: labels.matches(entry.labels)
    key, value = labels.pair
    return lambda entry: entry.labels.get(key) == value


def is_long(options: ListOptions) -> bool:
    """Return whether selectors take so long that they are parsed and applied aside."""
    return len(options.labels) + len(options.fields) > MOST_SELECTOR


async def parsed_matcher(ctx: Context, options: ListOptions) -> Matcher | None:
    """`matcher`, aside for long selectors."""
    return await ctx.aside(matcher, ctx, options) if is_long(options) else matcher(ctx, options)


async def selected(ctx: Context, options: ListOptions) -> Sequence[Entry]:
    """The entries of the newest state that a request selects, in key order; aside where a long selector meets many objects."""
    if not (options.labels or options.fields or ctx.info.name):
        return _entries(ctx)
    if is_long(options):
        return await ctx.aside(_chosen, ctx, options, _entries(ctx))
    return select(ctx, matcher(ctx, options))


def _chosen(ctx: Context, options: ListOptions, entries: Sequence[Entry]) -> Sequence[Entry]:
    return _matching(entries, matcher(ctx, options))


def select(ctx: Context, matches: Matcher | None) -> Sequence[Entry]:
    """The entries of the newest state that match, in key order."""
    return _matching(_entries(ctx), matches)


def _entries(ctx: Context) -> Sequence[Entry]:
    return ctx.storage.cache(ctx.kind).entries(ctx.info.namespace if ctx.kind.namespaced else "")


def _matching(entries: Sequence[Entry], matches: Matcher | None) -> Sequence[Entry]:
    return entries if matches is None else [entry for entry in entries if matches(entry)]


def after(entries: Sequence[Entry], token: Continue) -> list[Entry]:
    """The entries that come after the last one of a page, in the order of the store's keys."""
    return [entry for entry in entries if entry.key > token.start]


async def list_(ctx: Context) -> Response:
    """Objects of one namespace or all, whole or in pages of one snapshot."""
    options = list_options(ctx.request)
    token, version = options.continue_, options.resource_version
    if token is not None:
        newest = ctx.storage.revision
        if LATEST < token.rv < newest and ctx.storage.pages.is_over(token.rv, ctx.services.now().timestamp()):
            raise ExpiredContinue(token)
        return await _from_snapshot(ctx, options, newest if token.rv == LATEST else token.rv, token)
    if version and options.match == "Exact":
        return await _from_snapshot(ctx, options, version, None)
    if version:
        if options.limit and options.match != "NotOlderThan" and version < ctx.storage.revision:
            return await _from_snapshot(ctx, options, version, None)
        await not_older_than(ctx, version)
    entries = await selected(ctx, options)
    revision = ctx.storage.revision
    if not options.limit or len(entries) <= options.limit:
        return await render.collection(ctx, entries, revision)
    page = entries[: options.limit]
    remaining = 0 if options.labels or options.fields else len(entries) - len(page)
    return await render.collection(ctx, page, revision, continue_=_token(ctx, revision, page[-1]), remaining=remaining)


def _token(ctx: Context, revision: int, last: Entry) -> str:
    ctx.storage.pages.begun(revision, ctx.services.now().timestamp())
    return Continue(revision, last.key).token()


async def _from_snapshot(ctx: Context, options: ListOptions, revision: int, after: Continue | None) -> Response:
    """A list of the state at an exact revision, read from the store's log."""
    cache = ctx.storage.cache(ctx.kind)
    prefix = cache.prefix
    if ctx.kind.namespaced and ctx.info.namespace:
        prefix += ctx.info.namespace + "/"
    start = f"{cache.prefix}{after.start}\0" if after is not None else ""
    matches = await parsed_matcher(ctx, options)
    limit = options.limit
    chunk = limit if matches is None else limit and max(limit, SELECTING_CHUNK)
    chosen: list[Entry] = []
    try:
        while True:
            page = await ctx.storage.store.list(prefix, revision=Revision(revision), start=start, limit=chunk)
            entries = [ctx.storage.entry_of(ctx.kind, item) for item in page.items]
            chosen += entries if matches is None else [entry for entry in entries if matches(entry)]
            if not page.more or (limit and len(chosen) >= limit):
                break
            start = page.items[-1].key + "\0"
    except Compacted:
        if after is not None:
            raise ExpiredContinue(after) from None
        raise Gone("The resourceVersion for the provided list is too old.") from None
    except FutureRevision as exc:
        raise too_large_version(revision, exc.current) from None
    more = page.more or (limit > 0 and len(chosen) > limit)
    chosen = chosen[:limit] if limit else chosen
    if not more or not chosen:
        return await render.collection(ctx, chosen, revision)
    remaining = page.remaining if matches is None else 0
    return await render.collection(ctx, chosen, revision, continue_=_token(ctx, revision, chosen[-1]), remaining=remaining)
