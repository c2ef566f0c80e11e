"""Answers in the representation that the client asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import yaml

from tiphys.api.errors import StatusError
from tiphys.api.meta.v1 import Status
from tiphys.apiserver import table
from tiphys.apiserver.context import Context
from tiphys.apiserver.entry import Entry
from tiphys.apiserver.negotiate import JSON, Format, negotiate
from tiphys.wire.http import Response

_JSON_HEADERS = {"Content-Type": "application/json", "Cache-Control": "no-cache, private"}


def failure(error: StatusError) -> Response:
    """The Status of an error."""
    headers = dict(_JSON_HEADERS)
    if error.details is not None and error.details.retryAfterSeconds:
        headers["Retry-After"] = str(error.details.retryAfterSeconds)
    return Response(error.code, headers, msgspec.json.encode(error.status()) + b"\n")


def plain(text: str, status: int = 200) -> Response:
    """A text/plain answer."""
    return Response(status, {"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"}, text.encode())


def _with_warnings(headers: dict[str, str], warnings: Sequence[str]) -> dict[str, str]:
    if not warnings:
        return headers
    quoted = []
    for text in dict.fromkeys(warnings):
        escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
        quoted.append(f'299 - "{escaped}"')
    return {**headers, "Warning": ", ".join(quoted)}


def _as_media(data: bytes, form: Format) -> bytes:
    if form.media == "json":
        return data
    text: str = yaml.dump(msgspec.json.decode(data), Dumper=yaml.CSafeDumper, default_flow_style=False, allow_unicode=True)
    return text.encode()


def _response(ctx: Context, status: int, data: bytes, form: Format) -> Response:
    headers = _JSON_HEADERS if form.media == "json" else {**_JSON_HEADERS, "Content-Type": form.content_type}
    return Response(status, _with_warnings(headers, ctx.warnings), _as_media(data, form))


def value(ctx: Context, obj: Any, status: int = 200) -> Response:
    """Any typed object that is not stored, such as a review or a Scale."""
    return _response(ctx, status, msgspec.json.encode(obj), negotiate(ctx.request.headers.get("accept", "")))


def success(ctx: Context, entry: Entry, uid: str) -> Response:
    """The Status that says an object is deleted."""
    details: dict[str, Any] = {"name": entry.name, "kind": ctx.kind.plural, "uid": uid}
    if ctx.kind.group:
        details["group"] = ctx.kind.group
    body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
    return _response(ctx, 200, msgspec.json.encode(body), JSON)


def status_success(ctx: Context, status: int = 201) -> Response:
    """A bare Success, as binding and eviction answer."""
    return _response(ctx, status, msgspec.json.encode(Status(status="Success", code=status)), JSON)


def single(ctx: Context, entry: Entry, status: int = 200) -> Response:
    """One stored object."""
    form = negotiate(ctx.request.headers.get("accept", ""))
    if form is JSON and not ctx.warnings:
        return Response(status, _JSON_HEADERS, entry.data)
    if form.shape == "object":
        return _response(ctx, status, entry.data, form)
    obj = ctx.storage.cache(ctx.kind).codec.decode(entry.data)
    if form.shape == "partial":
        return _response(ctx, status, table.render_partial(obj, version=form.version), form)
    data = table.render_table(
        ctx.kind,
        [obj],
        now=ctx.services.now(),
        resource_version=str(entry.revision),
        include=_include(ctx),
        version=form.version,
    )
    return _response(ctx, status, data, form)


def _include(ctx: Context) -> Any:
    return ctx.request.param("includeObject", "Metadata") or "Metadata"


def collection(ctx: Context, entries: Sequence[Entry], revision: int, *, continue_: str = "", remaining: int = 0) -> Response:
    """A list of stored objects."""
    form = negotiate(ctx.request.headers.get("accept", ""))
    kind = ctx.kind
    if form.shape == "object":
        paging = b""
        if continue_:
            paging = b',"continue":"%b"' % continue_.encode()
            if remaining:
                paging += b',"remainingItemCount":%d' % remaining
        head = b'{"kind":"%b","apiVersion":"%b","metadata":{"resourceVersion":"%d"%b},"items":[' % (
            kind.list_kind.encode(), kind.api_version.encode(), revision, paging,
        )  # fmt: skip
        return _response(ctx, 200, b"".join((head, b",".join([entry.data for entry in entries]), b"]}\n")), form)
    decode = ctx.storage.cache(kind).codec.decode
    objects = [decode(entry.data) for entry in entries]
    rv = str(revision)
    if form.shape == "partial":
        data = table.render_partial_list(
            objects, resource_version=rv, continue_=continue_, remaining=remaining or None, version=form.version
        )
    else:
        data = table.render_table(
            kind, objects, now=ctx.services.now(), resource_version=rv, continue_=continue_, remaining=remaining or None,
            include=_include(ctx), version=form.version,
        )  # fmt: skip
    return _response(ctx, 200, data, form)
