"""A small honest API server in memory, for the tests of everything that talks to one.

`FakeApi.handle` speaks the real paths and the real answers for every kind of a scheme: create, get, list (selectors, pages), watch
(bookmarks, 410, initial events), update, status, patch, delete (finalizers, grace periods, preconditions), scale, binding, eviction,
discovery. It applies each kind's rules (defaults, preparation), and with `validate=True` its validation. It has no authorisation, no
admission and no field ownership, and namespaces need not exist.

    api = FakeApi(clock=VirtualClock())
    client = api.client()
    api.add(node)                                  # as is, with its status
    pod = await client.create(pod)
    assert api.get(core.Pod, "web", "default").spec.nodeName == "n1"

Faults: `fail` makes requests fail, `react` answers them in place of the server, `lose_answers` does what they ask and does not tell,
`down` cuts the network, and the store can `compact`, `end_watches` and `stall_watches`.
"""

from __future__ import annotations

import builtins
import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from importlib import import_module
from typing import Any, NamedTuple, TypeVar

import msgspec

from tiphys.aio.clock import Clock, LoopClock
from tiphys.api.machinery import base, errors
from tiphys.api.machinery.query import decode_query
from tiphys.api.machinery.scheme import Kind, Scheme
from tiphys.api.meta.v1 import DeleteOptions, KubeObject, ListMeta, ObjectMeta, Status, StatusDetails
from tiphys.api.meta.v1.options import CreateOptions, ListOptions
from tiphys.api.rules import meta as meta_rules
from tiphys.client.client import Client
from tiphys.client.inprocess import InProcessTransport
from tiphys.testing.fake_store import FakeStore, Filter, Watcher, copy_of, resource_of
from tiphys.testing.fake_subresources import SUBRESOURCES
from tiphys.wire.http import Request, Response

T = TypeVar("T", bound=KubeObject)


class Call(NamedTuple):
    """A request as tests ask about it. `verb` is get, list, watch, create, update, patch, delete or deletecollection."""

    verb: str
    resource: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""


Reaction = Callable[[Call, Request], "Response | None"]


class FakeApi:
    """An API server over a `FakeStore`; see the module. `calls` lists every request that arrived, reads included."""

    def __init__(self, scheme: Scheme | None = None, *, clock: Clock | None = None, validate: bool = False) -> None:
        self.scheme: Scheme = scheme or import_module("tiphys.api.kinds").SCHEME
        self.clock = clock or LoopClock()
        self.store = FakeStore(self.clock)
        self.validate = validate
        self.down = False
        self.calls: list[Call] = []
        self._reactions: list[Reaction] = []
        self._lost: Callable[[Call], bool] = lambda call: False
        self._serial = 0

    # For tests: direct access, and faults.

    def client(self, *, user_agent: str = "test") -> Client:
        """A client of this server."""
        return Client(InProcessTransport(self.handle), scheme=self.scheme, clock=self.clock, user_agent=user_agent)

    def add(self, *objs: KubeObject) -> None:
        """Put copies of objects in place as they are: no rules, status included, replacing what has the same name."""
        for obj in objs:
            kind = self.scheme.of(type(obj))
            new = copy_of(obj)
            self._stamp(new, kind)
            self.store.write(kind, new)

    def get(self, type_: type[T], name: str, namespace: str = "") -> T:
        """A copy of an object; KeyError when it is not there."""
        found = self.store.get(self.scheme.of(type_), namespace, name)
        if found is None:
            raise KeyError(f"{type_.__name__} {namespace}/{name}")
        return copy_of(found)

    def list(self, type_: type[T], namespace: str = "") -> builtins.list[T]:
        """Copies of all objects of a type, by namespace and name."""
        found = self.store.all(self.scheme.of(type_))
        return [copy_of(obj) for obj in found if not namespace or obj.metadata.namespace == namespace]

    def remove(self, type_: type[KubeObject], name: str, namespace: str = "") -> None:
        """Remove an object at once, finalizers or not; KeyError when it is not there."""
        kind = self.scheme.of(type_)
        found = self.store.get(kind, namespace, name)
        if found is None:
            raise KeyError(f"{type_.__name__} {namespace}/{name}")
        self.store.remove(kind, found)

    def writes(self) -> builtins.list[Call]:
        """The calls that were not reads."""
        return [call for call in self.calls if call.verb not in ("get", "list", "watch")]

    def react(self, reaction: Reaction) -> None:
        """Ask `reaction` before each request: it may answer, raise a StatusError, or return None to let the server do it."""
        self._reactions.append(reaction)

    def fail(self, error: BaseException, *, verb: str = "", resource: str = "", subresource: str | None = None, times: int = 1) -> None:
        """Make the next `times` requests that match fail with the error."""
        left = times

        def reaction(call: Call, _: Request) -> None:
            nonlocal left
            wanted = (not verb or call.verb == verb) and (not resource or call.resource == resource)
            if left > 0 and wanted and (subresource is None or call.subresource == subresource):
                left -= 1
                raise error

        self.react(reaction)

    def lose_answers(self, to: Callable[[Call], bool]) -> None:
        """Break the connection instead of answering the requests for which `to` holds; they are carried out nevertheless."""
        self._lost = to

    # The server.

    async def handle(self, request: Request) -> Response:
        """Answer a request."""
        if self.down:
            raise ConnectionError("the API server is down")
        try:
            response, call = self._dispatch(request)
        except errors.StatusError as error:
            status = error.status()
            response = _json(msgspec.json.encode(status), status.code)
            if isinstance(error, errors.TooManyRequests) and error.details is not None:
                response.headers["retry-after"] = str(error.details.retryAfterSeconds)
            return response
        if self._lost(call):
            raise ConnectionError("the answer was lost")
        return response

    def _dispatch(self, request: Request) -> tuple[Response, Call]:
        kind, call = self._route(request)
        self.calls.append(call)
        for reaction in self._reactions:
            answer = reaction(call, request)
            if answer is not None:
                return answer, call
        if kind is None:
            return self._discovery(request.path), call
        special = SUBRESOURCES.get((call.resource, call.subresource)) or SUBRESOURCES.get(("*", call.subresource))
        if special is not None:
            return special(self, kind, call, request), call
        verb: Callable[[Kind[Any], Call, Request], Response] = getattr(self, f"_{call.verb}")
        return verb(kind, call, request), call

    def _route(self, request: Request) -> tuple[Kind[Any] | None, Call]:
        parts = [part for part in request.path.split("/") if part]
        group, version, rest = ("", parts[1], parts[2:]) if parts[:1] == ["api"] and len(parts) > 2 else ("", "", [])
        if parts[:1] == ["apis"] and len(parts) > 3:
            group, version, rest = parts[1], parts[2], parts[3:]
        if not rest:
            return None, Call("get", request.path)
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
            namespace, rest = rest[1], rest[2:]
        kind = self.scheme.by_resource(group, version, rest[0])
        if kind is None:
            raise errors.NotFound.path()
        name, subresource = [*rest[1:], "", ""][:2]
        return kind, Call(_verb(request, name), kind.plural, namespace, name, subresource)

    def _get(self, kind: Kind[Any], call: Call, request: Request) -> Response:
        return self.answer(kind, self.require(kind, call), request)

    def _list(self, kind: Kind[Any], call: Call, request: Request) -> Response:
        options = decode_query(ListOptions, request.query)
        matching = self._filter(kind, call, options)
        selected = [obj for obj in self.store.all(kind) if matching.accepts(obj)]
        meta = ListMeta(resourceVersion=str(self.store.revision))
        token, limit = options.continue_, options.limit
        if token:
            revision, namespace, name = json.loads(token)
            if revision < self.store.oldest:
                raise errors.Gone("The provided continue parameter is too old to display a consistent list result.")
            meta.resourceVersion = str(revision)
            selected = [obj for obj in selected if (obj.metadata.namespace, obj.metadata.name) > (namespace, name)]
        if 0 < limit < len(selected):
            last = selected[limit - 1].metadata
            meta.continue_ = json.dumps([int(meta.resourceVersion), last.namespace, last.name])
            meta.remainingItemCount = len(selected) - limit
            selected = selected[:limit]
        encode = _encoder(kind, request)
        items = [msgspec.Raw(encode(obj)) for obj in selected]
        body = {"apiVersion": kind.api_version, "kind": kind.list_kind, "metadata": meta, "items": items}
        return _json(msgspec.json.encode(body))

    def _watch(self, kind: Kind[Any], call: Call, request: Request) -> Response:
        options = decode_query(ListOptions, request.query)
        watcher = Watcher(resource_of(kind), self._filter(kind, call, options), options.allowWatchBookmarks, _encoder(kind, request))
        asked = options.resourceVersion
        if options.sendInitialEvents:
            self.store.open(kind, watcher, None, initial="bookmarked")
        elif asked in ("", "0"):
            self.store.open(kind, watcher, None, initial="plain")
        else:
            self.store.open(kind, watcher, int(asked), initial="")
        stream: AsyncIterator[bytes] = self.store.follow(watcher, options.timeoutSeconds)
        return Response(headers={"content-type": "application/json"}, stream=stream)

    def _create(self, kind: Kind[Any], call: Call, request: Request) -> Response:
        new = self.decode(kind, request.body)
        if "get" not in kind.verbs:
            return self.answer(kind, new, request, 201)  # a review: nothing is kept, and nothing allowed
        return self.answer(kind, self.create(kind, new, call.namespace, dry_run=_is_dry(request)), request, 201)

    def create(self, kind: Kind[T], new: T, namespace: str, *, dry_run: bool = False) -> T:
        """Create as the server would."""
        meta = new.metadata
        if kind.namespaced:
            if meta.namespace not in ("", namespace) or not namespace:
                raise errors.BadRequest("the namespace of the provided object does not match the namespace sent on the request")
            meta.namespace = namespace
        if not meta.name and meta.generateName:
            self._serial += 1
            meta.name = f"{meta.generateName}{self._serial:05d}"
        if not meta.name:
            missing = errors.required("metadata.name", "name or generateName is required")
            raise errors.Invalid.object(kind.kind, "", [missing], group=kind.group)
        if self.store.get(kind, meta.namespace, meta.name) is not None:
            raise errors.AlreadyExists.object(kind.plural, meta.name, group=kind.group)
        meta.uid = meta.resourceVersion = ""
        meta.deletionTimestamp = meta.deletionGracePeriodSeconds = meta.creationTimestamp = None
        meta.generation = 0
        if kind.has_status and not kind.rules.status_wins_on_create:
            _copy_status(new, kind.type())
        kind.rules.default(new)
        kind.rules.prepare_create(new)
        if self.validate:
            found = meta_rules.validate(meta, namespaced=kind.namespaced, name_rule=kind.rules.validate_name)
            self._check(kind, new, [*found, *kind.rules.validate(new), *kind.rules.validate_create(new)])
        self._stamp(new, kind)
        return new if dry_run else self.store.write(kind, new)

    def _update(self, kind: Kind[Any], call: Call, request: Request) -> Response:
        new = self.decode(kind, request.body)
        if kind.rules.create_on_update and self.store.get(kind, call.namespace, call.name) is None:
            return self.answer(kind, self.create(kind, new, call.namespace), request, 201)
        return self.answer(kind, self.update(kind, new, call, dry_run=_is_dry(request)), request)

    def update(self, kind: Kind[T], new: T, call: Call, *, dry_run: bool = False) -> T:
        """Replace an object, or its status if the call names that subresource, as the server would."""
        old = self.require(kind, call)
        meta, was = new.metadata, old.metadata
        if meta.resourceVersion not in ("", was.resourceVersion):
            raise errors.Conflict.modified(kind.plural, call.name, group=kind.group)
        if meta.uid not in ("", was.uid):
            why = f"Precondition failed: UID in precondition: {meta.uid}, UID in object meta: {was.uid}"
            raise errors.Conflict.object(kind.plural, call.name, why, group=kind.group)
        _carry_over(new.metadata, was)
        if call.subresource == "status":
            _keep_all_but_status(new, copy_of(old))
            kind.rules.default(new)
            kind.rules.prepare_status_update(new, old)
            found = kind.rules.validate_status_update(new, old) if self.validate else []
        else:
            part = kind.rules.parts.get(call.subresource)
            if kind.has_status:
                _copy_status(new, old)
            if part is not None:
                part.keep(new, old)
            kind.rules.default(new)
            kind.rules.prepare_update(new, old)
            found = self._mistakes_of_update(kind, new, old, kind.rules.validate_update if part is None else part.validate)
            if kind.rules.spec_changed(new, old):
                new.metadata.generation = was.generation + 1
        self._check(kind, new, found)
        new.metadata.resourceVersion = was.resourceVersion
        if dry_run or msgspec.json.encode(new) == msgspec.json.encode(old):
            return new
        return self.settle(kind, new)

    def settle(self, kind: Kind[T], new: T) -> T:
        """Write an object, or remove it when it was being deleted and nothing holds it any more."""
        meta = new.metadata
        if meta.deletionTimestamp is None or kind.rules.is_held(new) or meta.deletionGracePeriodSeconds:
            return self.store.write(kind, new)
        stored = self.store.get(kind, meta.namespace, meta.name)
        if stored is not None:
            self.store.remove(kind, stored)
        return new

    def _patch(self, kind: Kind[Any], call: Call, request: Request) -> Response:
        patch = json.loads(request.body)
        media = request.headers.get("content-type", "").partition(";")[0]
        old = self.store.get(kind, call.namespace, call.name)
        if old is None and media.startswith("application/apply-patch"):
            new = self.decode(kind, request.body)
            return self.answer(kind, self.create(kind, new, call.namespace, dry_run=_is_dry(request)), request, 201)
        document = json.loads(msgspec.json.encode(self.require(kind, call)))
        if not isinstance(patch, dict) or "resourceVersion" not in patch.get("metadata", {}):
            document["metadata"].pop("resourceVersion")
        patched = _patched(kind, media, document, patch)
        new = self.decode(kind, json.dumps(patched).encode())
        return self.answer(kind, self.update(kind, new, call, dry_run=_is_dry(request)), request)

    def _delete(self, kind: Kind[Any], call: Call, request: Request) -> Response:
        obj = self.require(kind, call)
        left = self.delete(kind, obj, _delete_options(request))
        if left is not None:
            return self.answer(kind, left, request)
        details = StatusDetails(name=call.name, group=kind.group, kind=kind.plural, uid=obj.metadata.uid)
        return _json(msgspec.json.encode(Status(status="Success", details=details)))

    def delete(self, kind: Kind[T], obj: T, options: DeleteOptions) -> T | None:
        """Delete as the server would; returns what is left while finalizers or a grace period keep the object."""
        self._check_preconditions(kind, obj, options)
        new = copy_of(obj)
        meta = new.metadata
        for policy, finalizer in (("Foreground", "foregroundDeletion"), ("Orphan", "orphan")):
            if options.propagationPolicy == policy and finalizer not in meta.finalizers:
                meta.finalizers.append(finalizer)
        asked = options.gracePeriodSeconds
        grace = kind.rules.grace_period(new, asked) or 0
        if meta.deletionTimestamp is not None and asked is None:
            grace = meta.deletionGracePeriodSeconds or 0
        if meta.deletionTimestamp is None or grace < (meta.deletionGracePeriodSeconds or 0):
            first = meta.deletionTimestamp is None
            meta.deletionTimestamp = base.time(self.clock.now() + timedelta(seconds=grace))
            meta.deletionGracePeriodSeconds = grace
            meta.generation += 1 if meta.generation and first else 0
        kind.rules.begin_deletion(new)
        if msgspec.json.encode(new) == msgspec.json.encode(obj) and (grace or kind.rules.is_held(new)):
            return new
        self.settle(kind, new)
        return self.store.get(kind, meta.namespace, meta.name)

    def _deletecollection(self, kind: Kind[Any], call: Call, request: Request) -> Response:
        options, selected = _delete_options(request), self._filter(kind, call, decode_query(ListOptions, request.query))
        for obj in [obj for obj in self.store.all(kind) if selected.accepts(obj)]:
            self.delete(kind, obj, options)
        return _json(msgspec.json.encode(Status(status="Success")))

    # Parts.

    def require(self, kind: Kind[T], call: Call) -> T:
        """The stored object that the call names (do not change it); raises NotFound."""
        found = self.store.get(kind, call.namespace, call.name)
        if found is None:
            raise errors.NotFound.object(kind.plural, call.name, group=kind.group)
        return found

    def decode(self, kind: Kind[T], body: bytes) -> T:
        """The object in a request; raises BadRequest."""
        try:
            obj = msgspec.json.decode(body, type=kind.type)
        except ValueError as error:
            raise errors.BadRequest(f"{kind.kind} in the request cannot be handled: {error}") from error
        if (obj.apiVersion, obj.kind) != (kind.api_version, kind.kind):
            raise errors.BadRequest(f"the object is a {obj.apiVersion} {obj.kind}, the path is for {kind.api_version} {kind.kind}")
        return obj

    def answer(self, kind: Kind[Any], obj: KubeObject, request: Request, code: int = 200) -> Response:
        """A response that carries the object."""
        return _json(_encoder(kind, request)(obj), code)

    def _stamp(self, new: KubeObject, kind: Kind[Any]) -> None:
        meta = new.metadata
        self._serial += 1
        meta.uid = meta.uid or f"00000000-0000-4000-8000-{self._serial:012d}"
        meta.creationTimestamp = meta.creationTimestamp or base.time(self.clock.now())
        if hasattr(new, "spec"):
            meta.generation = meta.generation or 1
        if kind.kind == "Namespace" and not meta.deletionTimestamp:
            spec, status = new.spec, new.status  # type: ignore[attr-defined]
            spec.finalizers = spec.finalizers or ["kubernetes"]
            status.phase = status.phase or "Active"

    def _mistakes_of_update(
        self, kind: Kind[T], new: T, old: T, changes: Callable[[T, T], builtins.list[errors.FieldError]]
    ) -> builtins.list[errors.FieldError]:
        if not self.validate:
            return []
        found = meta_rules.validate_update(new.metadata, old.metadata)
        return [*found, *kind.rules.validate(new), *changes(new, old)]

    def _check(self, kind: Kind[Any], obj: KubeObject, found: builtins.list[errors.FieldError]) -> None:
        if found:
            raise errors.Invalid.object(kind.kind, obj.metadata.name, found, group=kind.group)

    def _check_preconditions(self, kind: Kind[Any], obj: KubeObject, options: DeleteOptions) -> None:
        wanted = options.preconditions
        if wanted is None:
            return
        if wanted.uid is not None and wanted.uid != obj.metadata.uid:
            why = f"Precondition failed: UID in precondition: {wanted.uid}, UID in object meta: {obj.metadata.uid}"
            raise errors.Conflict.object(kind.plural, obj.metadata.name, why, group=kind.group)
        if wanted.resourceVersion is not None and wanted.resourceVersion != obj.metadata.resourceVersion:
            raise errors.Conflict.modified(kind.plural, obj.metadata.name, group=kind.group)

    def _filter(self, kind: Kind[Any], call: Call, options: ListOptions) -> Filter:
        from tiphys.api.machinery.selectors import SelectorError, parse_fields, parse_labels

        try:
            labels, fields = parse_labels(options.labelSelector), parse_fields(options.fieldSelector)
            fields.require(["metadata.name", "metadata.namespace", *kind.selectable])
        except SelectorError as error:
            raise errors.BadRequest(str(error)) from error

        def matches(obj: KubeObject) -> bool:
            values = {"metadata.name": obj.metadata.name, "metadata.namespace": obj.metadata.namespace}
            if fields.fields:
                values |= {path: value(obj) for path, value in kind.selectable.items() if path in fields.fields}
            return labels.matches(obj.metadata.labels) and fields.matches(values)

        return Filter(call.namespace if kind.namespaced else "", matches)

    def _discovery(self, path: str) -> Response:
        from tiphys.testing.fake_discovery import discover

        return _json(msgspec.json.encode(discover(self.scheme, path)))


def _verb(request: Request, name: str) -> str:
    if request.method == "GET":
        if decode_query(ListOptions, request.query).watch:
            return "watch"
        return "get" if name else "list"
    if request.method == "DELETE":
        return "delete" if name else "deletecollection"
    verbs = {"POST": "create", "PUT": "update", "PATCH": "patch"}
    if request.method not in verbs:
        raise errors.MethodNotSupported("the server does not allow this method on the requested resource")
    return verbs[request.method]


def _delete_options(request: Request) -> DeleteOptions:
    return msgspec.json.decode(request.body, type=DeleteOptions) if request.body else decode_query(DeleteOptions, request.query)


def _is_dry(request: Request) -> bool:
    return "All" in decode_query(CreateOptions, request.query).dryRun


def _json(body: bytes, code: int = 200) -> Response:
    return Response(status=code, headers={"content-type": "application/json"}, body=body)


def _encoder(kind: Kind[Any], request: Request) -> Callable[[KubeObject], bytes]:
    if "as=PartialObjectMetadata" not in request.headers.get("accept", ""):
        return msgspec.json.encode

    def partial(obj: KubeObject) -> bytes:
        return msgspec.json.encode({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": obj.metadata})

    return partial


def _carry_over(new: ObjectMeta, old: ObjectMeta) -> None:
    new.namespace, new.name, new.uid, new.generateName = old.namespace, old.name, old.uid, old.generateName
    new.creationTimestamp, new.generation = old.creationTimestamp, old.generation
    new.deletionTimestamp, new.deletionGracePeriodSeconds = old.deletionTimestamp, old.deletionGracePeriodSeconds


def _keep_all_but_status(new: Any, old: Any) -> None:
    for name in type(new).__struct_fields__:
        if name not in ("metadata", "status"):
            setattr(new, name, getattr(old, name))
    new.metadata.ownerReferences, new.metadata.finalizers = old.metadata.ownerReferences, old.metadata.finalizers


def _copy_status(target: Any, source: Any) -> None:
    if hasattr(source, "status"):
        target.status = copy_of(source).status


def _patched(kind: Kind[Any], media: str, document: dict[str, Any], patch: Any) -> Any:
    if media == "application/merge-patch+json":
        return _merged(document, patch)
    patches: Any = import_module("tiphys.api.machinery.patch")
    if media == "application/json-patch+json":
        return patches.json_patch(document, patch)
    return patches.strategic_merge(kind.type, document, patch)


def _merged(target: Any, patch: Any) -> Any:
    """RFC 7386, short enough to have its own."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _merged(result.get(name), value)
    return result
