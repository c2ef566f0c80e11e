"""Sets of fields, held in the very shape in which FieldsV1 is written (KEP-555 "Server-side Apply").

A set is a tree of dicts. The keys say where to go: `f:name` a field, `k:{"name":"web"}` an item of a list by its keys, `v:"x"` an item by
its value, `i:0` by its place. A node with nothing in it is a member; a node with children is a member too when it holds `.`. The root is
never a member, and the empty root is the empty set.

Sets are values: no function changes what it is given, and results share nodes with their arguments.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from tiphys.api.machinery import ordered
from tiphys.api.machinery.cached import cached

Fields = dict[str, Any]
"""A set of fields, or a node of one."""

LEAF: Fields = {}
"""The node of a member without children. Shared by all sets, never to be changed."""

SELF = "."

_decode = msgspec.json.Decoder(dict[str, Any]).decode
encode = ordered.encoder("sorted")
"""Sorted, as upstream writes sets: equal sets are equal bytes, so that they share cached results."""
encode_small = ordered.small_encoder("sorted")
"""`encode` for sets of fields of small objects (`ordered`)."""
CACHED_BYTES = 16 << 10
"""The longest set that is remembered: all of them together must fit into memory, whatever clients write."""
_cached = cached(heaviest=CACHED_BYTES, weight=128 * CACHED_BYTES)
"""Sets of objects made from one template are alike byte by byte, so most algebra on encoded sets is a look-up."""


def is_member(node: Fields) -> bool:
    """True if the path to a node is itself in the set."""
    return not node or SELF in node


def union(a: Fields, b: Fields) -> Fields:
    """The fields in either."""
    if a is b or not b:
        return a
    if not a:
        return b
    out = dict(a)
    for key, theirs in b.items():
        ours = out.get(key)
        out[key] = theirs if ours is None else _join(ours, theirs)
    return out


def union_of(sets: Sequence[Fields]) -> Fields:
    """The fields in any of the sets. They are joined in pairs, since one that grows by a small set at a time is copied each time."""
    left = list(sets)
    while len(left) > 1:
        left = [union(*left[index : index + 2]) if index + 1 < len(left) else left[index] for index in range(0, len(left), 2)]
    return left[0] if left else {}


def _join(a: Fields, b: Fields) -> Fields:
    if a is b or (not a and not b):
        return a
    if not a or not b:  # A bare member beside a node with children.
        full = a or b
        return full if SELF in full else {SELF: LEAF, **full}
    return union(a, b)


def difference(a: Fields, b: Fields) -> Fields:
    """The fields of `a` that are not in `b`. What lies below a field of `b` stays."""
    if not b:
        return a
    out: Fields | None = None
    # The shorter of the two is walked: many small sets lose the fields of one large set.
    for key in b if len(b) <= len(a) else [key for key in a if key in b]:
        ours, theirs = a.get(key), b[key]
        if ours is None:
            continue
        left = None if key == SELF else _subtract(ours, theirs)
        if left is ours:
            continue
        if out is None:
            out = dict(a)
        if left is None:
            del out[key]
        else:
            out[key] = left
    return a if out is None else out


def _subtract(a: Fields, b: Fields) -> Fields | None:
    """A node below the root without the members of another; None when nothing is left."""
    member = is_member(a) and not is_member(b)
    left = {key: node for key, node in difference(a, b).items() if key != SELF} if a else LEAF
    if not left:
        return LEAF if member else None
    if len(left) + (SELF in a) == len(a) and member == (SELF in a) and all(left[key] is a[key] for key in left):
        return a
    return {SELF: LEAF, **left} if member else left


def intersection(a: Fields, b: Fields) -> Fields:
    """The fields in both."""
    out: Fields = {}
    for key, ours in a.items():
        theirs = b.get(key)
        if theirs is None or key == SELF:
            continue
        below = intersection(ours, theirs)
        if is_member(ours) and is_member(theirs):
            out[key] = {SELF: LEAF, **below} if below else LEAF
        elif below:
            out[key] = below
    return out


def has(fields: Fields, path: Iterable[str]) -> bool:
    """True if the path is in the set."""
    node = fields
    for key in path:
        below = node.get(key)
        if below is None or key == SELF:
            return False
        node = below
    return node is not fields and is_member(node)


def paths(fields: Fields, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every member, in the order in which upstream lists fields: of each node first the members right below it, then what lies deeper."""
    keys = sorted((key for key in fields if key != SELF), key=_order)
    for key in keys:
        if is_member(fields[key]):
            yield (*prefix, key)
    for key in keys:
        yield from paths(fields[key], (*prefix, key))


def _order(key: str) -> tuple[int, str]:
    return "fkvi".find(key[:1]), key


def from_paths(members: Iterable[tuple[str, ...]]) -> Fields:
    """The set of these paths."""
    out: Fields = {}
    for path in members:
        node: Fields = LEAF
        for key in reversed(path):
            node = {key: node}
        out = union(out, node)
    return out


def describe_path(path: Iterable[str]) -> str:
    """`.spec.containers[name="web"].image`, as conflicts name fields."""
    parts: list[str] = []
    for element in path:
        sort, _, text = element.partition(":")
        if sort == "f":
            parts.append(f".{text}")
        elif sort == "k":
            keys = ",".join(f"{key}={_quote(value)}" for key, value in sorted(json.loads(text).items()))
            parts.append(f"[{keys}]")
        elif sort == "v":
            parts.append(f"[={_quote(json.loads(text))}]")
        else:
            parts.append(f"[{text}]")
    return "".join(parts)


def _quote(value: Any) -> str:
    return encode(value).decode()


def key_element(keys: dict[str, Any]) -> str:
    """The path element of a list item with these keys."""
    return f"k:{encode(keys).decode()}"


def value_element(value: Any) -> str:
    """The path element of a list item that is this value."""
    return f"v:{encode(value).decode()}"


@_cached
def parse(raw: bytes) -> Fields:
    """The set in a fieldsV1 that may have been written by anyone: elements in canonical spelling, unknown ones dropped.

    Raises ValueError.
    """
    try:
        return _canonical(_decode(raw)) if raw and raw != b"null" else {}
    except (msgspec.MsgspecError, RecursionError, TypeError) as error:
        raise ValueError(str(error)) from None


def _canonical(node: Fields) -> Fields:
    out: Fields = {}
    for key, below in node.items():
        if not isinstance(below, dict):
            raise ValueError("a set of fields holds objects only")
        if key == SELF:
            out[SELF] = LEAF
            continue
        sort, colon, text = key.partition(":")
        if not colon:
            raise ValueError(f"missing colon: {key}")
        if sort not in ("f", "k", "v", "i"):
            continue
        if sort in ("k", "v"):
            value = json.loads(text)
            if sort == "k" and not isinstance(value, dict):
                raise ValueError(f"keys that are no object: {key}")
            key = key_element(value) if sort == "k" else value_element(value)
        elif sort == "i":
            int(text)
        under = _canonical(below)
        out[key] = _join(out[key], under) if key in out else (LEAF if under == {SELF: LEAF} else under)
    return out


# --- the same on encoded sets, remembered ---


def raw_union(a: bytes, b: bytes) -> bytes:
    """`union`, from bytes to bytes."""
    return _raw_union((a, b))


@_cached
def _raw_union(sets: tuple[bytes, bytes]) -> bytes:
    a, b = sets
    return encode(union(parse(a), parse(b)))


def raw_difference(a: bytes, b: bytes, fields: Fields | None = None) -> bytes:
    """`difference`, from bytes to bytes; the first argument itself when nothing is taken away. `fields` is the set `b`, if known."""
    return _known_difference((a, b)) if len(a) + len(b) <= CACHED_BYTES else _raw_difference(a, b, fields)


def _raw_difference(a: bytes, b: bytes, fields: Fields | None = None) -> bytes:
    ours = parse(a)
    left = difference(ours, parse(b) if fields is None else fields)
    return a if left is ours else encode(left)


@_cached
def _known_difference(sets: tuple[bytes, bytes]) -> bytes:
    return _raw_difference(*sets)
