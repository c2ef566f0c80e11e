"""Answers in the representation that the client asked for."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from types import ModuleType
from typing import Any

import msgspec
import yaml

from tiphys.api.machinery.codec import PROTOBUF
from tiphys.api.machinery.errors import NotAcceptable, StatusError
from tiphys.api.machinery.scheme import Column
from tiphys.api.machinery.sink import MAX_WARNING, MAX_WARNINGS
from tiphys.api.meta.v1 import Status, StatusDetails
from tiphys.apiserver.answers import compress, table
from tiphys.apiserver.answers.negotiate import JSON, PRETTY_JSON, Format, format_of, indented, negotiate, wants_lines
from tiphys.apiserver.cache.entry import Entry
from tiphys.apiserver.chain.aside import LARGE
from tiphys.apiserver.chain.context import Context
from tiphys.apiserver.chain.options import table_options
from tiphys.wire.http import Request, Response

KEPT_FROM, KEPT_TO = 64 << 10, 32 << 20
"""Sizes of lists that are worth keeping, in bytes."""
JSON_HEADERS = {"Content-Type": "application/json", "Cache-Control": "no-cache, private"}


def failure(error: StatusError, request: Request) -> Response:
    """The Status of an error, in protobuf for clients that prefer it and else in JSON."""
    accept = request.headers.get("accept", "")
    headers = dict(JSON_HEADERS)
    if error.details is not None and error.details.retryAfterSeconds:
        headers["Retry-After"] = str(error.details.retryAfterSeconds)
    status, warnings = error.status(), warning_headers(error.warnings) if error.warnings else ()
    if "protobuf" in accept:
        with suppress(NotAcceptable):
            if negotiate(accept, Status).media == "protobuf":
                headers["Content-Type"] = PROTOBUF
                return Response(error.code, headers, _protobuf().write_object(status), repeated=warnings)
    body = msgspec.json.encode(status)
    return Response(error.code, headers, indented(body) if wants_lines(request) else body + b"\n", repeated=warnings)


def _protobuf() -> ModuleType:
    """The protobuf encoder, which is loaded for the first client that asks for it."""
    from tiphys.apiserver.answers import protobuf

    return protobuf


def plain(text: str, status: int = 200) -> Response:
    """A text/plain answer."""
    return Response(status, {"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"}, text.encode())


def warning_headers(texts: Sequence[str]) -> Sequence[tuple[str, str]]:
    """A Warning header for each text, as "RFC 7234: Warning" spells them.

    When they have more than MAX_WARNINGS letters together, each is cut to MAX_WARNING and those after MAX_WARNINGS are left out, as
    upstream does.
    """
    quoted = []
    for text in _bounded([text for text in dict.fromkeys(texts) if text]):
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        quoted.append(("Warning", f'299 - "{escaped}"'))
    return quoted


def _bounded(texts: list[str]) -> list[str]:
    if sum(map(len, texts)) <= MAX_WARNINGS:
        return texts
    cut: list[str] = []
    written = 0
    for text in texts:
        if written >= MAX_WARNINGS:
            break
        cut.append(text[:MAX_WARNING])
        written += len(cut[-1])
    return cut


def _as_media(data: bytes, form: Format) -> bytes:
    if form.media != "yaml":
        return indented(data) if form.pretty and form.media == "json" else data
    text: str = yaml.dump(msgspec.json.decode(data), Dumper=yaml.CSafeDumper, default_flow_style=False, allow_unicode=True)
    return text.encode()


def _response(ctx: Context, status: int, data: bytes, form: Format) -> Response:
    return _written(ctx, status, _as_media(data, form), form)


def _written(ctx: Context, status: int, data: bytes, form: Format) -> Response:
    headers = JSON_HEADERS if form.media == "json" else {**JSON_HEADERS, "Content-Type": form.content_type}
    return Response(status, headers, data, repeated=warning_headers(ctx.warnings) if ctx.warnings else ())


def value(ctx: Context, obj: Any, status: int = 200, *, columns: Sequence[Column] = ()) -> Response:
    """Any typed object that is not stored, such as a review or a Scale. Without `columns` it can be shown as nothing but itself."""
    form = format_of(ctx.request, type(obj), tables=bool(columns))
    if form.shape == "partial":
        data = table.render_partial(obj, version=form.version)
        return _response(ctx, status, _protobuf().partial(data) if form.media == "protobuf" else data, form)
    if form.shape == "table":
        version, rv = form.version, obj.metadata.resourceVersion
        data = table.render_table(
            ctx.kind, [obj], now=ctx.services.now(), resource_version=rv, include=_include(ctx), version=version, columns=columns
        )
        return _response(ctx, status, data, form)
    if form.media == "protobuf":
        return _response(ctx, status, _protobuf().write_object(obj), form)
    return _response(ctx, status, msgspec.json.encode(obj), form)


def success(ctx: Context, entry: Entry, uid: str) -> Response:
    """The Status that says an object is deleted."""
    details = StatusDetails(name=entry.name, group=ctx.kind.group, kind=ctx.kind.plural, uid=uid)
    return _status(ctx, 200, Status(status="Success", details=details))


def status_success(ctx: Context, status: int = 201) -> Response:
    """A bare Success, as binding and eviction answer."""
    return _status(ctx, status, Status(status="Success", code=status))


def _status(ctx: Context, code: int, status: Status) -> Response:
    """A Status, which is never a table or bare metadata."""
    form = format_of(ctx.request, Status)
    if form.media == "protobuf":
        return _response(ctx, code, _protobuf().write_object(status), form)
    return _response(ctx, code, msgspec.json.encode(status), PRETTY_JSON if form.pretty else JSON)


def single(ctx: Context, entry: Entry, status: int = 200) -> Response:
    """One stored object."""
    form = format_of(ctx.request, ctx.kind.type)
    if form is JSON and not ctx.warnings:
        return Response(status, JSON_HEADERS, entry.data)
    if form.shape == "object":
        data = _protobuf().single(ctx.kind, entry.data) if form.media == "protobuf" else entry.data
        return _response(ctx, status, data, form)
    obj = ctx.storage.cache(ctx.kind).codec.decode(entry.data)
    if form.shape == "partial":
        data = table.render_partial(obj, version=form.version)
        return _response(ctx, status, _protobuf().partial(data) if form.media == "protobuf" else data, form)
    data = table.render_table(
        ctx.kind,
        [obj],
        now=ctx.services.now(),
        resource_version=str(entry.revision),
        include=_include(ctx),
        version=form.version,
    )
    return _response(ctx, status, data, form)


def _include(ctx: Context) -> table.Include:
    return table_options(ctx.request)


async def collection(ctx: Context, entries: Sequence[Entry], revision: int, *, continue_: str = "", remaining: int = 0) -> Response:
    """A list of stored objects."""
    form = format_of(ctx.request, ctx.kind.type)
    if form.shape == "object" and form.media != "protobuf":
        data = _json_list(ctx, entries, revision, continue_, remaining)
    elif _is_large(entries):
        data = await ctx.aside(_other_list, ctx, form, entries, revision, continue_, remaining)
    else:
        data = _other_list(ctx, form, entries, revision, continue_, remaining)
    if form.pretty or form.media == "yaml":
        data = await ctx.aside(_as_media, data, form) if len(data) > LARGE else _as_media(data, form)
    if len(data) <= compress.FROM_BYTES or not compress.is_wanted(ctx.request):
        return _written(ctx, 200, data, form)
    headers = {**JSON_HEADERS, **compress.HEADERS, "Content-Type": form.content_type}
    return Response(200, headers, await compress.packed(ctx.storage.cache(ctx.kind), data), repeated=warning_headers(ctx.warnings))


def _is_large(entries: Sequence[Entry]) -> bool:
    """Return whether a list is large enough to be encoded in the thread."""
    return len(entries) > 100 or sum([len(entry.data) for entry in entries]) > LARGE


def _other_list(ctx: Context, form: Format, entries: Sequence[Entry], revision: int, continue_: str, remaining: int) -> bytes:
    """A list in protobuf, or as a table or bare metadata."""
    kind = ctx.kind
    if form.shape == "object":
        metadata = {"resourceVersion": str(revision), "continue": continue_, "remainingItemCount": remaining or None}
        return bytes(_protobuf().collection(kind, entries, metadata))
    decode = ctx.storage.cache(kind).codec.decode
    objects = [decode(entry.data) for entry in entries]
    rv = str(revision)
    if form.shape == "partial":
        data = table.render_partial_list(
            objects, resource_version=rv, continue_=continue_, remaining=remaining or None, version=form.version
        )
        return bytes(_protobuf().partial_list(data)) if form.media == "protobuf" else data
    return table.render_table(
        kind, objects, now=ctx.services.now(), resource_version=rv, continue_=continue_, remaining=remaining or None,
        include=_include(ctx), version=form.version,
    )  # fmt: skip


def _json_list(ctx: Context, entries: Sequence[Entry], revision: int, continue_: str, remaining: int) -> bytes:
    """A list as JSON, joined out of the objects' bytes. That of a whole namespace is kept: many clients ask for the same one at a start."""
    kind, cache, namespace = ctx.kind, ctx.storage.cache(ctx.kind), ctx.info.namespace
    is_whole = entries is cache.entries(namespace if kind.namespaced else "")
    known = cache.listed
    if is_whole and known is not None and known[:2] == (namespace, revision):
        return known[2]
    paging = b""
    if continue_:
        paging = b',"continue":"%b"' % continue_.encode()
        if remaining:
            paging += b',"remainingItemCount":%d' % remaining
    head = b'{"kind":"%b","apiVersion":"%b","metadata":{"resourceVersion":"%d"%b},"items":[' % (
        kind.list_kind.encode(),
        kind.api_version.encode(),
        revision,
        paging,
    )  # fmt: skip
    body = cache.codec.join(head, entries, b"]}\n")
    if is_whole and KEPT_FROM < len(body) < KEPT_TO:
        cache.listed = (namespace, revision, body)
    return body
