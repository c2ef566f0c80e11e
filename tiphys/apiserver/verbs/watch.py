"""watch: changes as a stream of JSON lines ("Efficient detection of changes", "Streaming lists", "Watch bookmarks")."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Hashable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any

import msgspec

from tiphys.api.machinery.columns import Meter
from tiphys.api.machinery.errors import MethodNotSupported, StatusError
from tiphys.apiserver.answers import table, websockets
from tiphys.apiserver.answers.negotiate import Format, negotiate
from tiphys.apiserver.cache.entry import Entry
from tiphys.apiserver.cache.watchers import CacheEvent, EventType, Render, Watcher, json_line
from tiphys.apiserver.chain.context import Context
from tiphys.apiserver.chain.options import ListOptions, list_options, table_options
from tiphys.apiserver.verbs.read import not_older_than, parsed_matcher, select
from tiphys.wire.http import Response

BOOKMARK_EVERY = 60.0


async def watch(ctx: Context) -> Response:
    """Begin a watch. Problems that can be known at once are an ordinary error answer, later ones an ERROR event."""
    if ctx.request.method != "GET":  # The verb may come from the path alone: /api/v1/watch/pods.
        raise MethodNotSupported("the server does not allow this method on the requested resource")
    options = list_options(ctx.request, watch=True)
    form = negotiate(ctx.request.headers.get("accept", "").replace(";stream=watch", ""), ctx.kind.type)
    upgrade = websockets.upgrade_of(ctx.request.headers)
    matches = await parsed_matcher(ctx, options)
    start = options.resource_version or 0
    if start:
        await not_older_than(ctx, start)
    render = None if form.shape == "object" and form.media != "protobuf" else _renderer(ctx, form)
    cache = ctx.storage.cache(ctx.kind)
    with_state = options.initial_events if options.initial_events is not None else start == 0
    headers = {"Content-Type": _stream_type(form), "Cache-Control": "no-cache, private"}
    initial = _state(ctx, select(ctx, matches), options, form, render) if with_state else None
    namespace = ctx.info.namespace if ctx.kind.namespaced else ""
    watcher = Watcher(matches, render=render, initial=initial, source=(ctx.kind.ident, namespace))
    try:
        cache.watch(watcher, after=None if with_state else start or None, namespace=namespace)
    except StatusError as exc:
        return _answer(Response(200, headers, stream=_once(_failure(exc, form))), upgrade, form)
    return _answer(Response(200, headers, stream=WatchStream(ctx, watcher, options, form)), upgrade, form)


def _answer(response: Response, upgrade: websockets.Grant | None, form: Format) -> Response:
    """The response as it is, or a message for each event for a client that asked for a WebSocket."""
    if upgrade is None:
        return response
    return upgrade.answer(response, websockets.sized if form.media == "protobuf" else websockets.lines)


def _state(ctx: Context, entries: Sequence[Entry], options: ListOptions, form: Format, render: Render | None) -> Iterator[bytes]:
    """The state at this moment as events, with the bookmark that ends it; the lines are made when they are read."""
    end = _bookmark(ctx, form, initial_end=True) if options.initial_events and options.bookmarks else b""

    def lines() -> Iterator[bytes]:
        for entry in entries:
            yield json_line("ADDED", entry) if render is None else render("ADDED", CacheEvent("ADDED", entry, None))
        if end:
            yield end

    if form.shape != "table":
        return lines()
    state = lines()
    first = next(state, None)  # It carries the columns, so it must be made before any later event is.
    return state if first is None else chain((first,), state)


async def _once(line: bytes) -> AsyncIterator[bytes]:
    yield line


def _bookmark(ctx: Context, form: Format, *, initial_end: bool = False) -> bytes:
    kind = ctx.kind
    metadata: dict[str, Any] = {"resourceVersion": str(ctx.storage.revision)}
    if initial_end:
        metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
    obj: dict[str, Any]
    if form.shape == "table":
        obj = {"kind": "Table", "apiVersion": f"meta.k8s.io/{form.version}", "metadata": metadata, "columnDefinitions": None, "rows": []}
        if initial_end:
            row = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata}
            obj["rows"] = [{"cells": [], "object": row}]
    elif form.shape == "partial":
        obj = {"kind": "PartialObjectMetadata", "apiVersion": f"meta.k8s.io/{form.version}", "metadata": metadata}
    else:
        obj = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata}
    if form.media == "protobuf":
        from tiphys.apiserver.answers import protobuf

        sealed = protobuf.partial(msgspec.json.encode(obj)) if form.shape == "partial" else protobuf.document(kind, obj)
        return protobuf.frame("BOOKMARK", sealed)
    return msgspec.json.encode({"type": "BOOKMARK", "object": obj}) + b"\n"


def _stream_type(form: Format) -> str:
    return f"{form.content_type};stream=watch" if form.media == "protobuf" else "application/json"


def _failure(error: StatusError, form: Format) -> bytes:
    """An ERROR event."""
    if form.media == "protobuf":
        from tiphys.apiserver.answers import protobuf

        return protobuf.frame("ERROR", protobuf.write_object(error.status()))
    return b'{"type":"ERROR","object":%b}\n' % msgspec.json.encode(error.status())


def _protobuf_renderer(ctx: Context, form: Format) -> Render:
    """Events in protobuf: whole objects or metadata only."""
    from tiphys.apiserver.answers import protobuf

    kind, decode = ctx.kind, ctx.storage.cache(ctx.kind).codec.decode

    def render(type_: EventType, event: CacheEvent) -> bytes:
        if form.shape == "object":
            return protobuf.event(kind, type_, event)
        return protobuf.frame(type_, protobuf.partial(table.render_partial(decode(event.shown(type_).data), version=form.version)))

    return render


def _renderer(ctx: Context, form: Format) -> Render:
    """Events in protobuf, as tables or as metadata only. Column definitions go with the first event alone, as upstream does."""
    if form.media == "protobuf":
        return _protobuf_renderer(ctx, form)
    decode = ctx.storage.cache(ctx.kind).codec.decode
    include = table_options(ctx.request) if form.shape == "table" else "Metadata"
    first, meter = True, Meter()

    def render(type_: EventType, event: CacheEvent) -> bytes:
        nonlocal first
        obj = decode(event.shown(type_).data)
        if form.shape == "partial":
            data = table.render_partial(obj, version=form.version)
        else:
            data = table.render_table(
                ctx.kind, [obj], now=ctx.services.now(), resource_version=str(event.entry.revision), include=include,
                version=form.version, with_headers=first, meter=meter,
            )  # fmt: skip
            first = False
        return b'{"type":"%b","object":%b}\n' % (type_.encode(), data)

    return render


class WatchStream:
    """The watcher's lines until the time is over, with bookmarks in between for clients that asked for them."""

    def __init__(self, ctx: Context, watcher: Watcher, options: ListOptions, form: Format) -> None:
        self._loop = asyncio.get_running_loop()
        self._watcher = watcher
        self._bookmark = partial(_bookmark, ctx, form) if options.bookmarks else None
        least = ctx.services.watch_seconds
        timeout = options.timeout if options.timeout is not None else ctx.services.rng.uniform(least, 2 * least)
        self._end = self._loop.call_later(timeout, self._finish)
        self._next_bookmark = self._loop.call_later(BOOKMARK_EVERY, self._send_bookmark) if options.bookmarks else None

    def __aiter__(self) -> Watcher:
        return self._watcher

    @property
    def pending(self) -> tuple[int, int, Hashable]:
        """Bytes that its watcher has queued; see there."""
        return self._watcher.pending

    def __anext__(self) -> Awaitable[bytes]:
        return self._watcher.__anext__()

    def _send_bookmark(self) -> None:
        if self._bookmark is not None and not self._watcher.closed:
            self._watcher.push(self._bookmark())
            self._next_bookmark = self._loop.call_later(BOOKMARK_EVERY, self._send_bookmark)

    def _finish(self) -> None:
        if self._bookmark is not None and not self._watcher.closed:
            self._watcher.push(self._bookmark())
        self._watcher.close()

    async def aclose(self) -> None:
        """The reader is gone."""
        self._end.cancel()
        if self._next_bookmark is not None:
            self._next_bookmark.cancel()
        await self._watcher.aclose()
