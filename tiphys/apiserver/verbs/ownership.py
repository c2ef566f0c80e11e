"""managedFields of ordinary writers: who wrote, and which fields the write changed (KEP-555 "Server-side Apply").

Fields are compared after defaults and before the rules of the kind and admission: what those set is not the writer's, and what they put
back is, as upstream, whose handlers take note before the strategies act.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import Any

from tiphys.api.kinds import SCHEME
from tiphys.api.machinery.apply import fieldset, typed
from tiphys.api.machinery.apply.document import Difference
from tiphys.api.machinery.apply.managers import Elsewhere, Manager, after_update, maker, manager_name, manager_of, without
from tiphys.api.machinery.cached import cached
from tiphys.api.machinery.ordered import SAFE_BYTES
from tiphys.api.machinery.remembered import Remembered, owned_parts
from tiphys.api.machinery.scheme import Kind, converted
from tiphys.api.meta.v1 import ManagedFieldsEntry
from tiphys.apiserver.chain.context import Context

_TRACKED_VERBS = frozenset(("create", "update", "patch"))
_SYSTEM = frozenset(("binding", "eviction"))
"""Subresources whose handlers write for the server itself."""


def resets(kind: Kind[Any], subresource: str) -> Sequence[tuple[str, ...]]:
    """The paths that a write of the kind does not set, whatever its author sent there."""
    paths = kind.rules.resets
    return paths.get(subresource, paths[""]) if kind.has_status else ()


def _created(kind: Kind[Any], obj: Any, *, small: bool = False) -> bytes:
    changed = without(typed.created(obj).changed, resets(kind, ""))
    if not changed:
        return b""
    return fieldset.encode_small(changed) if small else fieldset.encode(changed)


_FIELDS_OF_NEW = {kind.ident: Remembered(partial(_created, kind), owned_parts) for kind in SCHEME if kind.from_templates}
"""Encoded fields that the makers of objects from templates own."""


def fields_of_new(kind: Kind[Any], obj: Any, ctx: Context | None = None) -> bytes:
    """The fields that the maker of a new object owns, encoded; quicker if its request is known."""
    if kind.from_templates:
        return _FIELDS_OF_NEW[kind.ident](obj)
    return _created(kind, obj, small=ctx is not None and 0 < ctx.source_bytes() <= SAFE_BYTES)


def of_create(ctx: Context, obj: Any) -> None:
    """Record the maker of a new object, which has its creationTimestamp. An apply has recorded it already."""
    if not ctx.applied:
        fields, meta = fields_of_new(ctx.kind, obj, ctx), obj.metadata
        meta.managedFields = maker(fields, _writer(ctx), ctx.kind.api_version, meta.creationTimestamp) if fields else []


def of_update(ctx: Context, new: Any, old: Any) -> None:
    """Record the writer of an update in the managedFields that `new` has so far."""
    info, meta = ctx.info, new.metadata
    if ctx.applied:
        _settle(new, old)
    elif meta.managedFields and info.verb in _TRACKED_VERBS and info.subresource not in _SYSTEM:
        difference = _set_by(ctx.kind, info.subresource, typed.difference(old, new))
        if difference.changed or difference.removed:
            now = ctx.services.now()
            writer, version = _writer(ctx), ctx.kind.api_version
            elsewhere = None
            for entry in meta.managedFields:
                if entry.apiVersion != version:
                    elsewhere = _elsewhere(ctx, new, old)
                    break
            meta.managedFields = after_update(
                meta.managedFields, difference, writer, version, now, subresource=info.subresource, elsewhere=elsewhere
            )


def _set_by(kind: Kind[Any], subresource: str, difference: Difference) -> Difference:
    """The part of a difference that the author of a write is responsible for."""
    paths = resets(kind, subresource)
    if not paths:
        return difference
    changed = without(difference.changed, paths) if difference.changed else difference.changed
    removed = without(difference.removed, paths) if difference.removed else difference.removed
    return difference if changed is difference.changed and removed is difference.removed else Difference(changed, removed)


def _elsewhere(ctx: Context, new: Any, old: Any) -> Elsewhere:
    """Return the changes that the write makes in other versions of the kind; fields written there are owned under their names."""

    @cache
    def changes(version: str) -> Difference | None:
        kind, other = ctx.kind, ctx.services.scheme.in_version(ctx.kind, version)
        if other is None:
            return None
        return _set_by(other, ctx.info.subresource, typed.difference(converted(old, kind, other), converted(new, kind, other)))

    return changes


def _settle(new: Any, old: Any) -> None:
    """Put the times back when an apply came to nothing, such as one that only spells a quantity in another way."""
    after, before = new.metadata.managedFields, old.metadata.managedFields
    if after != before and _timeless(after) == _timeless(before) and not any(typed.difference(old, new)):
        new.metadata.managedFields = before


def _timeless(entries: Sequence[ManagedFieldsEntry]) -> dict[Manager, tuple[str, bytes]]:
    return {manager_of(entry): (entry.apiVersion, bytes(entry.fieldsV1)) for entry in entries}


def _writer(ctx: Context) -> str:
    return _manager_name((ctx.options.fieldManager, ctx.request.headers.get("user-agent", "")))


@cached()
def _manager_name(names: tuple[str, str]) -> str:
    return manager_name(*names)
