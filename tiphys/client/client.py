"""Client of the API: typed verbs over any transport.

One class serves everybody: controllers in the server's process (in-process transport), kubelets and tools (HTTPS), and tests. A verb is
one request; waiting, caching and retrying on conflicts belong to `tiphys.runtime`. The exception is an answer
that says `Retry-After`, which is obeyed here, as client-go does.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from importlib import import_module
from random import Random
from typing import Any, Generic, Literal, TypeVar

import msgspec

from tiphys.aio.clock import Clock, LoopClock
from tiphys.api.machinery.scheme import Kind, Scheme
from tiphys.api.meta.v1 import DeleteOptions, KubeObject, Preconditions, Status
from tiphys.client.decoding import decode, decode_list, error_of
from tiphys.client.frames import LineReader, WatchEvent, decode_frame
from tiphys.client.partial import ACCEPT_PARTIAL, ACCEPT_PARTIAL_LIST, PartialObject
from tiphys.wire.http import Request, Response, Transport

T = TypeVar("T", bound=KubeObject)
R = TypeVar("R", bound=msgspec.Struct)
Query = list[tuple[str, str]]

PatchKind = Literal["merge", "strategic", "json", "apply"]
PATCH_TYPES: dict[PatchKind, str] = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
    "apply": "application/apply-patch+yaml",
}
MAX_RETRIES = 10
"""Maximum number of retries after answers with `Retry-After`."""

OnWrite = Callable[[Kind[Any], KubeObject], None]


class ObjectList(msgspec.Struct, Generic[T]):
    """List, or a page of one: `continue_` names the next page, `remaining` is the number of objects after it, if the server says."""

    items: list[T]
    resourceVersion: str = ""
    continue_: str = ""
    remaining: int | None = None


class Client:
    """Typed access to an API server.

    Wherever a type is wanted, a `Kind` does as well (see `partial_kind` for resources without a type). Every verb raises a
    `tiphys.api.machinery.errors.StatusError` for an answer that says so, and ConnectionError when there is no answer.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        user_agent: str = "tiphys",
        headers: Mapping[str, str] | None = None,
        scheme: Scheme | None = None,
        clock: Clock | None = None,
        rng: Random | None = None,
        on_write: OnWrite | None = None,
    ) -> None:
        self.transport = transport
        self.clock = clock or LoopClock()
        self.rng = rng or Random()
        self._scheme = scheme
        self._on_write = on_write
        self._headers = {"accept": "application/json", "user-agent": user_agent, **(headers or {})}

    @property
    def scheme(self) -> Scheme:
        """Kinds that this client knows by type."""
        if self._scheme is None:
            scheme: Scheme = import_module("tiphys.api.kinds").SCHEME
            self._scheme = scheme
        return self._scheme

    def derive(self, *, user_agent: str = "", headers: Mapping[str, str] | None = None, on_write: OnWrite | None = None) -> Client:
        """Return a client on the same transport under another name. `on_write` receives every object that a write returned."""
        merged = {**self._headers, **(headers or {})}
        if user_agent:
            merged["user-agent"] = user_agent
        heard = on_write or self._on_write
        return Client(self.transport, headers=merged, scheme=self._scheme, clock=self.clock, rng=self.rng, on_write=heard)

    def kind_of(self, type_: type[T] | Kind[T]) -> Kind[T]:
        """Return the kind of a type; raises KeyError for a type that is not registered."""
        return type_ if isinstance(type_, Kind) else self.scheme.of(type_)

    async def get(self, type_: type[T] | Kind[T], name: str, namespace: str = "", *, resource_version: str = "") -> T:
        """Read an object."""
        kind = self.kind_of(type_)
        query = _query(resourceVersion=resource_version)
        response = await self.raw("GET", kind.path(namespace, name), query=query, headers=_accept(kind, ACCEPT_PARTIAL))
        return decode(kind.type, response.body)

    async def list(
        self,
        type_: type[T] | Kind[T],
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        limit: int = 0,
        continue_: str = "",
        resource_version: str = "",
        resource_version_match: str = "",
    ) -> ObjectList[T]:
        """Read a collection, or one page of it (`limit`, `continue_`); without a namespace, across all of them."""
        kind = self.kind_of(type_)
        query = _query(
            labelSelector=labels,
            fieldSelector=fields,
            limit=str(limit) if limit else "",
            resourceVersion=resource_version,
            resourceVersionMatch=resource_version_match,
        )
        if continue_:
            query.append(("continue", continue_))
        response = await self.raw("GET", kind.path(namespace), query=query, headers=_accept(kind, ACCEPT_PARTIAL_LIST))
        body = decode_list(kind.type, response.body)
        meta = body.metadata
        return ObjectList(
            items=body.items or [],
            resourceVersion=str(meta.get("resourceVersion", "")),
            continue_=str(meta.get("continue", "")),
            remaining=meta.get("remainingItemCount"),
        )

    async def pages(
        self, type_: type[T] | Kind[T], namespace: str = "", *, labels: str = "", fields: str = "", limit: int = 500
    ) -> AsyncIterator[ObjectList[T]]:
        """Yield a collection page by page, all of one snapshot. Raises Gone when the snapshot is forgotten on the way."""
        token = ""
        while True:
            page = await self.list(type_, namespace, labels=labels, fields=fields, limit=limit, continue_=token)
            yield page
            token = page.continue_
            if not token:
                return

    async def watch(
        self,
        type_: type[T] | Kind[T],
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        resource_version: str = "",
        bookmarks: bool = True,
        timeout: float | None = None,
    ) -> AsyncGenerator[WatchEvent[T], None]:
        """Watch changes after `resource_version`, until the server ends the watch (after `timeout` seconds, if given).

        An ERROR event is raised as the StatusError it carries: Gone means that the caller must list again. A broken stream raises
        ConnectionError. Leave early through `contextlib.aclosing`, so that the connection is given back at once.
        """
        kind = self.kind_of(type_)
        query = _query(
            labelSelector=labels,
            fieldSelector=fields,
            resourceVersion=resource_version,
            allowWatchBookmarks="true" if bookmarks else "",
            timeoutSeconds=str(max(int(timeout), 1)) if timeout is not None else "",
        )
        query.append(("watch", "true"))
        response = await self.raw("GET", kind.path(namespace), query=query, headers=_accept(kind, ACCEPT_PARTIAL))
        async with aclosing(_chunks(response)) as chunks:
            lines = LineReader()
            async for chunk in chunks:
                for line in lines.feed(chunk):
                    yield _event(kind, line)
            if lines.pending:
                raise ConnectionError("the watch ended in the middle of an event")

    async def create(
        self, obj: T, *, namespace: str = "", kind: Kind[T] | None = None, dry_run: bool = False, field_manager: str = ""
    ) -> T:
        """Create an object in its own namespace (or `namespace`)."""
        kind = kind or self.kind_of(type(obj))
        path = kind.path(namespace or obj.metadata.namespace)
        return await self._write("POST", kind, path, obj, _query(dryRun="All" if dry_run else "", fieldManager=field_manager))

    async def update(
        self, obj: T, *, subresource: str = "", kind: Kind[T] | None = None, dry_run: bool = False, field_manager: str = ""
    ) -> T:
        """Replace an object. Raises Conflict unless its resourceVersion is the current one (or empty)."""
        kind = kind or self.kind_of(type(obj))
        path = kind.path(obj.metadata.namespace, obj.metadata.name, subresource)
        return await self._write("PUT", kind, path, obj, _query(dryRun="All" if dry_run else "", fieldManager=field_manager))

    async def update_status(self, obj: T) -> T:
        """Replace only an object's status."""
        return await self.update(obj, subresource="status")

    async def patch(
        self,
        type_: type[T] | Kind[T],
        name: str,
        namespace: str = "",
        *,
        body: Any,
        kind: PatchKind = "merge",
        subresource: str = "",
        field_manager: str = "",
        force: bool = False,
        dry_run: bool = False,
    ) -> T:
        """Patch an object; `body` is a document or a Struct. `apply` requires a `field_manager`."""
        known = self.kind_of(type_)
        query = _query(fieldManager=field_manager, force="true" if force else "", dryRun="All" if dry_run else "")
        path = known.path(namespace, name, subresource)
        headers = {"content-type": PATCH_TYPES[kind], **_accept(known, ACCEPT_PARTIAL)}
        response = await self.raw("PATCH", path, query=query, body=msgspec.json.encode(body), headers=headers)
        return self._wrote(known, response)

    async def delete(
        self,
        type_: type[T] | Kind[T],
        name: str,
        namespace: str = "",
        *,
        grace: int | None = None,
        propagation: str = "",
        uid: str = "",
        resource_version: str = "",
    ) -> None:
        """Delete an object, or begin to: finalizers and grace periods (seconds) may keep it for a while. Raises Conflict when it is not
        the one with that uid or resource version, NotFound when it is gone already.
        """
        known = self.kind_of(type_)
        options = _delete_options(grace, propagation, uid, resource_version)
        await self.raw("DELETE", known.path(namespace, name), body=msgspec.json.encode(options), headers=_JSON)

    async def delete_collection(
        self,
        type_: type[T] | Kind[T],
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        grace: int | None = None,
        propagation: str = "",
    ) -> None:
        """Delete all objects that match."""
        known = self.kind_of(type_)
        body = msgspec.json.encode(_delete_options(grace, propagation, "", ""))
        query = _query(labelSelector=labels, fieldSelector=fields)
        await self.raw("DELETE", known.path(namespace), query=query, body=body, headers=_JSON)

    async def post(self, type_: type[T] | Kind[T], name: str, namespace: str, subresource: str, body: msgspec.Struct, result: type[R]) -> R:
        """Post to a subresource (binding, eviction, token). Name `Status` as the result where the server answers with one."""
        path = self.kind_of(type_).path(namespace, name, subresource)
        response = await self.raw("POST", path, body=msgspec.json.encode(body), headers=_JSON)
        if result is not Status and _is_status(response.body):
            return result()
        return decode(result, response.body)

    async def get_subresource(self, type_: type[T] | Kind[T], name: str, namespace: str, subresource: str, result: type[R]) -> R:
        """Read a subresource with its own type (scale)."""
        response = await self.raw("GET", self.kind_of(type_).path(namespace, name, subresource))
        return decode(result, response.body)

    async def put_subresource(self, type_: type[T] | Kind[T], name: str, namespace: str, subresource: str, body: R) -> R:
        """Replace a subresource with its own type (scale)."""
        path = self.kind_of(type_).path(namespace, name, subresource)
        response = await self.raw("PUT", path, body=msgspec.json.encode(body), headers=_JSON)
        result = decode(type(body), response.body)
        if self._on_write is not None and isinstance(result, KubeObject):
            # A scale carries the version of the object that it scaled.
            self._on_write(self.kind_of(type_), result)
        return result

    async def raw(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Send any request. The answer's body is read unless it is a stream; a status of 400 and more is raised as a StatusError."""
        request = Request(method=method, path=path, query=query, headers={**self._headers, **(headers or {})}, body=body)
        tries = 0
        while True:
            response = await self.transport.request(request)
            if response.status < 400:
                return response
            wait = _retry_after(response)
            if wait is None or tries >= MAX_RETRIES:
                raise error_of(response.status, await read_body(response))
            tries += 1
            await read_body(response)
            await self.clock.sleep(wait)

    async def close(self) -> None:
        """Close the transport (and with it every client derived from this one)."""
        await self.transport.close()

    async def _write(self, method: str, kind: Kind[T], path: str, obj: T, query: Query) -> T:
        headers = {**_JSON, **_accept(kind, ACCEPT_PARTIAL)}
        return self._wrote(kind, await self.raw(method, path, query=query, body=msgspec.json.encode(obj), headers=headers))

    def _wrote(self, kind: Kind[T], response: Response) -> T:
        obj = decode(kind.type, response.body)
        if self._on_write is not None:
            self._on_write(kind, obj)
        return obj


_JSON = {"content-type": "application/json"}


def _query(**params: str) -> Query:
    return [(name, value) for name, value in params.items() if value]


def _accept(kind: Kind[Any], accept: str) -> dict[str, str]:
    return {"accept": accept} if issubclass(kind.type, PartialObject) else {}


def _delete_options(grace: int | None, propagation: str, uid: str, resource_version: str) -> DeleteOptions:
    preconditions = None
    if uid or resource_version:
        preconditions = Preconditions(uid=uid or None, resourceVersion=resource_version or None)
    return DeleteOptions(
        apiVersion="v1",
        kind="DeleteOptions",
        gracePeriodSeconds=grace,
        propagationPolicy=propagation or None,
        preconditions=preconditions,
    )


class _TypeOnly(msgspec.Struct):
    kind: str = ""


def _is_status(body: bytes) -> bool:
    try:
        return msgspec.json.decode(body, type=_TypeOnly).kind == "Status"
    except ValueError:
        return False


def _retry_after(response: Response) -> float | None:
    """Return the seconds that the server asks to wait, if the request may be retried."""
    if response.status != 429 and response.status < 500:
        return None
    value = response.headers.get("retry-after") or response.headers.get("Retry-After") or ""
    return float(value) if value.isdigit() else None


async def read_body(response: Response) -> bytes:
    """Return the whole body, also of a stream."""
    if response.stream is None:
        return response.body
    async with aclosing(_chunks(response)) as chunks:
        return b"".join([chunk async for chunk in chunks])


async def _chunks(response: Response) -> AsyncGenerator[bytes, None]:
    if response.stream is None:
        yield response.body
        return
    try:
        async for chunk in response.stream:
            yield chunk
    finally:
        close = getattr(response.stream, "aclose", None)
        if close is not None:
            await close()


def _event(kind: Kind[T], line: bytes) -> WatchEvent[T]:
    try:
        frame = decode_frame(line)
        if frame.type != "ERROR":
            return WatchEvent(type=frame.type, object=decode(kind.type, frame.object))  # type: ignore[arg-type]
    except ValueError as error:
        raise ConnectionError(f"invalid event in a watch: {error}") from error
    raise error_of(500, bytes(frame.object))
