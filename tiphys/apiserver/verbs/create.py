"""create: a new object in a collection."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

from tiphys.api.machinery.errors import AlreadyExists, BadRequest, MethodNotSupported
from tiphys.apiserver.cache.entry import Entry
from tiphys.apiserver.chain.context import Context
from tiphys.apiserver.chain.options import parse_version
from tiphys.apiserver.verbs import ownership
from tiphys.apiserver.verbs.pipeline import (
    admission_request,
    answered,
    check_place,
    check_size,
    decode_body,
    default,
    drop_repeated_owners,
    encoded,
    encoded_small,
    raise_invalid,
    read_body,
    stamp_new,
    stored,
    unsaved,
    validate_new,
)
from tiphys.store.contract import KeyExists
from tiphys.wire.http import Response

NAME_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Without vowels and look-alikes, so that no words come out."""
MAX_PREFIX = 58
MAX_GENERATED = 8


async def create(ctx: Context) -> Response:
    """POST to a collection."""
    obj = await read_body(ctx) if ctx.large else decode_body(ctx)
    if parse_version(obj.metadata.resourceVersion) and not ctx.dry_run:
        raise BadRequest("resourceVersion should not be set on objects to be created")
    check_place(ctx, obj, named=False)
    return await answered(ctx, await store_new(ctx, obj), 201)


async def store_new(ctx: Context, obj: Any) -> Entry:
    """Run a decoded object through the pipeline and store it; raises AlreadyExists."""
    kind, rules, meta, large, aside = ctx.kind, ctx.kind.rules, obj.metadata, ctx.large, ctx.aside
    if obj.__model__ is not None and obj.__model__.terminating:
        raise MethodNotSupported("create not allowed while custom resource definition is terminating")
    generated = not meta.name and bool(meta.generateName)
    if large:
        await aside(_prepare, ctx, obj)
    else:
        _prepare(ctx, obj)
    request = admission_request(ctx, "CREATE", obj, None)
    if request is not None:
        await ctx.services.admission.admit(request)
    errors, spec_warnings, spec_bytes = await aside(validate_new, kind, obj) if large else validate_new(kind, obj)
    raise_invalid(kind, obj, errors)
    if request is not None:
        await ctx.services.admission.validate(request)
        if request.warnings:
            ctx.warnings = [*ctx.warnings, *request.warnings]
    warnings = await aside(rules.warnings, obj, None) if large else rules.warnings(obj, None)
    if spec_warnings:
        warnings = [*warnings, *spec_warnings]
    if kind.unattended:
        warnings = [*warnings, f"{kind.resource} are stored, but no part of this cluster acts on them yet"]
    if warnings:
        ctx.warnings = [*ctx.warnings, *warnings]
    if ctx.dry_run:
        if ctx.storage.cache(kind).get(meta.namespace, meta.name) is not None:
            raise AlreadyExists.object(kind.plural, meta.name, group=kind.group)
        return await stored(ctx, obj, None, lambda: _unsaved(ctx, obj), dry_run=True)
    size = spec_bytes if kind.from_templates else ctx.source_bytes()
    for _ in range(MAX_GENERATED):
        try:
            value = await encoded(ctx, obj) if large else encoded_small(ctx, obj, size)
            if kind.takes_addresses:
                return await stored(ctx, obj, None, partial(ctx.storage.create, kind, obj, value=value))
            return await ctx.storage.create(kind, obj, value=value)
        except KeyExists:
            if not generated:
                break
            meta.name = generate_name(meta.generateName, ctx.services.rng)
    raise AlreadyExists.object(kind.plural, meta.name, group=kind.group)


def _prepare(ctx: Context, obj: Any) -> None:
    """All that happens to a new object before admission."""
    kind, rules, meta = ctx.kind, ctx.kind.rules, obj.metadata
    stamp_new(ctx, meta)
    if len(meta.ownerReferences) > 1:
        drop_repeated_owners(ctx, meta)
    if not meta.name and meta.generateName:
        meta.name = generate_name(meta.generateName, ctx.services.rng)
    if kind.has_status and not rules.status_wins_on_create:
        rules.drop_status(obj)
    if ctx.large:
        check_size(ctx, obj)  # Many empty items are short in a body, long when stored, and longer with defaults.
    default(kind, obj)
    if ctx.large:
        check_size(ctx, obj)
    ownership.of_create(ctx, obj)  # What the rules set next, such as a first status, is not the maker's.
    rules.prepare_create(obj)
    if rules.stamp_author is not None:
        rules.stamp_author(obj, ctx.user)


async def _unsaved(ctx: Context, obj: Any) -> Entry:
    return unsaved(ctx, obj, parse_version(obj.metadata.resourceVersion) or 0)


def generate_name(prefix: str, rng: random.Random) -> str:
    """`prefix` with five random characters, within the length of a label."""
    return prefix[:MAX_PREFIX] + "".join(rng.choices(NAME_ALPHABET, k=5))
