"""Server-side apply: a PATCH with a manager's desired state of an object, which may not exist yet (KEP-555 "Server-side Apply")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tiphys.api.machinery import codec
from tiphys.api.machinery.apply import apply as rules
from tiphys.api.machinery.apply.document import SchemaMismatch, set_of
from tiphys.api.machinery.apply.schema import Schema, schema_of
from tiphys.api.machinery.conform import Walk
from tiphys.api.machinery.errors import AlreadyExists, BadRequest, Conflict, NotFound
from tiphys.api.machinery.introspect import describe
from tiphys.api.machinery.limits import MAX_BYTES, ObjectTooLarge
from tiphys.api.machinery.scheme import Kind, Part, converted
from tiphys.api.machinery.yamldoc import YAMLError, taken
from tiphys.api.meta.v1.options import PatchOptions
from tiphys.apiserver.auth.attributes import Attributes, refusal
from tiphys.apiserver.cache.entry import Entry
from tiphys.apiserver.chain.context import Context
from tiphys.apiserver.chain.options import field_validation
from tiphys.apiserver.verbs import ownership
from tiphys.apiserver.verbs.create import store_new
from tiphys.apiserver.verbs.pipeline import MAX_RACES, Change, answered
from tiphys.apiserver.verbs.pipeline import update as apply_change
from tiphys.wire.http import Response

Document = dict[str, Any]
_IDENTITY = ("name", "namespace", "uid", "resourceVersion")
_ALL_BUT_STATUS = ("apiVersion", "kind", "metadata", "status")


async def apply(ctx: Context) -> Response:
    """PATCH with an apply configuration, of an object or its status."""
    config = await configuration(ctx, ctx.kind.type)
    part = ctx.kind.rules.parts.get(ctx.info.subresource)
    if ctx.info.subresource == "status" or (part is not None and part.of_status):
        config = {name: value for name, value in config.items() if name in _ALL_BUT_STATUS}
        config["metadata"] = _settable(ctx.kind.rules.resets["status"], config["metadata"])
    elif ctx.kind.has_status:
        config.pop("status", None)
        if part is not None:
            config = _only(part, config)
    change = applied_change(ctx, config)
    for _ in range(MAX_RACES):
        try:
            entry, _ = await apply_change(ctx, change, subresource=ctx.info.subresource)
            return await answered(ctx, entry)
        except NotFound:
            if ctx.info.subresource or ctx.storage.cache(ctx.kind).get(ctx.info.namespace, ctx.info.name) is not None:
                raise
        try:
            return await answered(ctx, await _create(ctx, config), 201)
        except AlreadyExists:
            # Another writer created it in between; this server may not have received it yet.
            new = await ctx.storage.fresh(ctx.kind, ctx.info.namespace, ctx.info.name)
            if new is not None:
                await ctx.storage.wait_for(new.revision)
    raise Conflict.modified(ctx.kind.plural, ctx.info.name, group=ctx.kind.group)


def _settable(resets: Sequence[tuple[str, ...]], meta: Document) -> Document:
    """The metadata that a write of the status can set, and what identifies the object."""
    if ("metadata",) in resets:
        return {name: meta[name] for name in _IDENTITY if name in meta}
    dropped = {path[1] for path in resets if path[0] == "metadata"}
    return {name: value for name, value in meta.items() if name not in dropped}


def _only(part: Part[Any], config: Document) -> Document:
    """A configuration without the fields that the subresource cannot change, so that applying them there gives no ownership."""
    meta = {name: value for name, value in config["metadata"].items() if name in _IDENTITY}
    spec = config.get("spec")
    kept: Document = {}
    for name, counting in part.fields.items():
        if not isinstance(spec, dict) or name not in spec:
            continue
        items = spec[name]
        if counting and isinstance(items, list):
            items = [{key: item[key] for key in counting if key in item} if isinstance(item, dict) else item for item in items]
        kept[name] = items
    return {"apiVersion": config["apiVersion"], "kind": config["kind"], "metadata": meta, "spec": kept}


async def configuration(ctx: Context, type_: type[Any]) -> Document:
    """`read_config`, aside for a large one."""
    return await ctx.aside(read_config, ctx, type_) if ctx.large else read_config(ctx, type_)


def read_config(ctx: Context, type_: type[Any]) -> Document:
    """The configuration in the body, checked against the path and the options. Raises BadRequest and Invalid."""
    request = ctx.request
    validation = field_validation(ctx.options)
    walk = Walk()
    try:
        parsed = taken(request.body, ctx.parsed)
        config = walk.plain(parsed.document, "")
    except YAMLError as error:
        raise BadRequest(f"error decoding YAML: {error}") from None
    if not isinstance(config, dict):
        raise BadRequest("error decoding YAML: the configuration is not an object")
    struct: type[msgspec.Struct] = type_
    own = type_ is ctx.kind.type
    expected = (ctx.kind.api_version, ctx.kind.kind) if own else (describe(struct).api_version, describe(struct).kind)
    version, kind = config.get("apiVersion"), config.get("kind")
    if (version, kind) != expected:
        raise BadRequest(f"invalid object type: {_shown(version)}, Kind={_shown(kind)}")
    _check_metadata(ctx, config)
    if ctx.large and len(codec.encode(config)) > MAX_BYTES:
        raise ObjectTooLarge
    if walk.problems and validation != "Ignore":
        message = "\n  ".join(["error converting YAML to JSON: yaml: unmarshal errors:", *parsed.repetitions])
        if validation == "Strict":
            raise BadRequest(f"error strict decoding YAML: {message}")
        ctx.warnings = [*ctx.warnings, message.replace("\n ", "")]
    return config


def check_fields(ctx: Context, type_: type[msgspec.Struct], config: Document) -> None:
    """Refuse values that the type cannot hold; for configurations that are not applied as they are."""
    try:
        set_of(schema_of(type_), config)
    except SchemaMismatch as error:
        raise BadRequest(f"{_failed(ctx)}: {error}") from None


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _check_metadata(ctx: Context, config: Document) -> None:
    info = ctx.info
    meta = config.setdefault("metadata", {})
    if meta is None:
        meta = config["metadata"] = {}
    if not isinstance(meta, dict):
        raise BadRequest(f"{_failed(ctx)}: .metadata: expected map")
    if meta.get("managedFields") is not None:
        raise BadRequest("metadata.managedFields must be nil")
    meta.pop("managedFields", None)
    name, namespace = meta.get("name") or info.name, meta.get("namespace") or info.namespace
    if name != info.name:
        raise BadRequest(f"the name of the object ({name}) does not match the name on the URL ({info.name})")
    if namespace != info.namespace:
        raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")
    meta["name"] = name
    if ctx.kind.namespaced:
        meta["namespace"] = namespace


def _failed(ctx: Context) -> str:
    info, kind = ctx.info, ctx.kind
    return f"failed to create typed patch object ({info.namespace}/{info.name}; {kind.group}/{kind.version}, Kind={kind.kind})"


def _how(ctx: Context) -> rules.Application:
    options = ctx.options
    return rules.Application(
        manager=options.fieldManager,
        version=ctx.kind.api_version,
        now=ctx.services.now(),
        subresource=ctx.info.subresource,
        force=isinstance(options, PatchOptions) and bool(options.force),
        resets=ownership.resets(ctx.kind, ctx.info.subresource),
        versions=_Versions(ctx),
    )


class _Versions:
    """The versions of the request's kind, for what managers own in others of them."""

    def __init__(self, ctx: Context) -> None:
        self._kind = ctx.kind
        self._scheme = ctx.services.scheme

    def _served(self, version: str) -> Kind[Any]:
        kind = self._scheme.in_version(self._kind, version)
        assert kind is not None, "only versions that have a schema are converted"
        return kind

    def schema(self, version: str) -> Schema | None:
        kind = self._scheme.in_version(self._kind, version)
        if kind is None:
            return None
        type_: type[msgspec.Struct] = kind.type
        return schema_of(type_)

    def convert(self, content: Document, version: str, to: str) -> Document:
        kind, other = self._served(version), self._served(to)
        obj = codec.decode_document(kind.type, {**content, "apiVersion": kind.api_version, "kind": kind.kind}).obj
        result: Document = msgspec.json.decode(codec.encode_object(converted(obj, kind, other)))
        return result


def applied_change(ctx: Context, config: Document) -> Change:
    """The change that an apply makes to the object as it is found."""
    how = _how(ctx)
    pinned = config["metadata"].get("resourceVersion")
    ctx.applied = True

    def change(entry: Entry, old: Any) -> Any:
        live = msgspec.json.decode(entry.data)
        live["metadata"].pop("managedFields", None)
        new = _merged(ctx, live, list(old.metadata.managedFields), config, how)
        if not pinned:
            new.metadata.resourceVersion = ""
        return new

    return change


def _merged(ctx: Context, live: Document, managers: list[Any], config: Document, how: rules.Application) -> Any:
    type_: type[msgspec.Struct] = ctx.kind.type
    try:
        done = rules.apply(schema_of(type_), live, managers, config, how)
    except SchemaMismatch as error:
        raise BadRequest(f"{_failed(ctx)}: {error}") from None
    except RecursionError:
        raise BadRequest(f"{_failed(ctx)}: exceeded max depth") from None
    new = codec.decode_document(ctx.kind.type, done.document).obj
    new.metadata.managedFields = done.managers
    return new


async def _create(ctx: Context, config: Document) -> Entry:
    _authorize_create(ctx)
    meta = config["metadata"]
    if meta.get("uid"):
        why = f"uid mismatch: the provided object specified uid {meta['uid']}, and no existing object was found"
        raise Conflict.object(ctx.kind.plural, ctx.info.name, why, group=ctx.kind.group)
    if meta.get("resourceVersion"):
        raise ctx.not_found()
    how = _how(ctx)
    if ctx.large:
        obj = await ctx.aside(_merged, ctx, {}, [], config, how)
    else:
        obj = _merged(ctx, {}, [], config, how)
    return await store_new(ctx, obj)


def _authorize_create(ctx: Context) -> None:
    """An apply that makes an object needs the right to create it too."""
    info = ctx.info
    attributes = Attributes(
        user=ctx.user,
        verb="create",
        group=info.group,
        version=info.version,
        resource=info.resource,
        namespace=info.namespace,
        name=info.name,
        path=info.path,
    )
    decision = ctx.services.authorizer.authorize(attributes)
    if not decision.allowed:
        raise refusal(attributes, decision.reason)
