"""Documents under field ownership: which fields they have, how they differ, how one is merged into another, and taking fields out.

Everything is guided by a `Schema`; documents are what JSON decodes to. Nothing here changes its arguments.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from tiphys.api.machinery.apply.fieldset import LEAF, SELF, Fields, describe_path, is_member, key_element, value_element
from tiphys.api.machinery.apply.schema import DEDUCED, Schema

_ABSENT: Any = object()

_EXPECTED = {
    "str": "string", "int": "numeric (int or float)", "float": "numeric (int or float)", "bool": "boolean", "bytes": "string",
    "microtime": "string", "duration": "string", "time": "string",
}  # fmt: skip
_PYTHON: Mapping[str, tuple[type, ...]] = {
    "str": (str,), "int": (int, float), "float": (int, float), "bool": (bool,), "bytes": (str,), "time": (str,),
    "microtime": (str,), "duration": (str,),
}  # fmt: skip


class SchemaMismatch(ValueError):
    """A document that its type cannot hold; the text is `<path>: <mistake>`."""


class Difference(NamedTuple):
    """Changes of a document: the fields that are new or have another value, and those that are gone."""

    changed: Fields
    removed: Fields


# --- the parts of a value ---


def _parts(schema: Schema, value: Any) -> Iterable[tuple[str, Any, Schema]] | None:
    """The path element, value and schema of every part; None for parts owned whole. Parts of a list may repeat an element."""
    sort = schema.sort
    if sort == "leaf" or value is None:
        return None
    if sort == "deduced":
        return [(f"f:{name}", below, DEDUCED) for name, below in value.items()] if isinstance(value, dict) else None
    if sort in ("struct", "map"):
        if not isinstance(value, dict):
            return None
        if sort == "map":
            assert schema.item is not None
            return [(f"f:{name}", below, schema.item) for name, below in value.items()]
        fields = schema.fields()
        return [(f"f:{name}", below, fields[name].schema if name in fields else DEDUCED) for name, below in value.items()]
    if not isinstance(value, list):
        return None
    if sort == "set":
        return [(value_element(item), item, _ITEM_OF_SET) for item in value]
    assert schema.item is not None
    return [(element_of(schema, item), item, schema.item) for item in value]


_ITEM_OF_SET = Schema("leaf")


def element_of(schema: Schema, item: Any) -> str:
    """The path element of an item of a list; items that lack a key go by what they have."""
    if schema.sort == "set":
        return value_element(item)
    if not isinstance(item, dict):
        return key_element({})
    keys = {name: item.get(name, schema.defaults.get(name)) for name in schema.keys}
    return key_element({name: value for name, value in keys.items() if value is not None or name in item})


def _by_element(schema: Schema, value: Any) -> dict[str, tuple[Any, Schema]]:
    """Parts by element; of parts that share an element, the list of them all as one leaf."""
    out: dict[str, tuple[Any, Schema]] = {}
    for element, below, how in _parts(schema, value) or ():
        before = out.get(element)
        if before is None:
            out[element] = (below, how)
        elif before[1] is _REPEATED:
            before[0].append(below)
        else:
            out[element] = ([before[0], below], _REPEATED)
    return out


_REPEATED = Schema("leaf")


# --- the set of a configuration ---


def set_of(schema: Schema, document: dict[str, Any]) -> Fields:
    """The fields that a configuration gives values to. Raises SchemaMismatch for values that the type cannot hold."""
    return _set_of(schema, document, "") or {}


def _set_of(schema: Schema, value: Any, path: str) -> Fields | None:
    """The node of a value; None when the value owns nothing, as an empty list of items."""
    if value is None:
        return LEAF
    _check(schema, value, path)
    parts = _parts(schema, value)
    if parts is None or value == {}:
        return LEAF
    out: Fields = {}
    for element, below, how in parts:
        where = f"{path}{describe_path((element,))}"
        if element in out:
            raise SchemaMismatch(f"{path}: duplicate entries for key {describe_path((element,))}")
        node = _set_of(how, below, where)
        if schema.sort in ("items", "map", "deduced"):
            node = LEAF if not node else node if SELF in node else {SELF: LEAF, **node}
        if node is not None:
            out[element] = node
    return out or None


def _check(schema: Schema, value: Any, path: str) -> None:
    sort = schema.sort
    if sort == "struct":
        if not isinstance(value, dict):
            raise SchemaMismatch(f"{path}: expected map, got &{{{value}}}")
        fields = schema.fields()
        for name in value:
            if name not in fields and not schema.open:
                raise SchemaMismatch(f"{path}.{name}: field not declared in schema")
    elif sort == "map":
        if not isinstance(value, dict):
            raise SchemaMismatch(f"{path}: expected map, got &{{{value}}}")
    elif sort in ("items", "set"):
        if not isinstance(value, list):
            raise SchemaMismatch(f"{path}: expected list, got &{{{value}}}")
        if sort == "items":
            _check_keys(schema, value, path)
    elif schema.shape is not None:
        _check_leaf(schema, value, path)


def _check_keys(schema: Schema, items: list[Any], path: str) -> None:
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            raise SchemaMismatch(f"{path}: element {index}: associative list with keys may not have non-map elements")
        for key in schema.keys:
            if item.get(key) is None and key not in schema.defaults:
                raise SchemaMismatch(
                    f'{path}: element {index}: associative list with keys has an element that omits key field "{key}"'
                    " (and doesn't have default value)"
                )


def _check_leaf(schema: Schema, value: Any, path: str) -> None:
    assert schema.shape is not None
    form = schema.shape.form
    right = _PYTHON.get(form)
    if right is not None and (not isinstance(value, right) or (isinstance(value, bool) and form != "bool")):
        raise SchemaMismatch(f"{path}: expected {_EXPECTED[form]}, got &{{{value}}}")
    if form == "list" and not isinstance(value, list):
        raise SchemaMismatch(f"{path}: expected list, got &{{{value}}}")
    if form in ("struct", "map") and not isinstance(value, dict):
        raise SchemaMismatch(f"{path}: expected map, got &{{{value}}}")


# --- differences ---


def compare(schema: Schema, old: dict[str, Any], new: dict[str, Any]) -> Difference:
    """The fields in which two documents differ."""
    changed, removed = _compare(schema, old, new)
    return Difference(changed or {}, removed or {})


def everything(schema: Schema, value: Any) -> Fields:
    """The node of a value that was not there before, or is gone: each part, and what holds parts too."""
    parts = _by_element(schema, value)
    if not parts:
        return LEAF
    return {SELF: LEAF, **{element: everything(how, below) for element, (below, how) in parts.items()}}


def _compare(schema: Schema, old: Any, new: Any) -> tuple[Fields | None, Fields | None]:
    if old is new:
        return None, None
    left, right = _by_element(schema, old), _by_element(schema, new)
    if not left and not right:
        return (None, None) if _same(old, new) else (LEAF, None)
    changed: Fields = {}
    removed: Fields = {}
    for element in [*left, *(element for element in right if element not in left)]:
        before, after = left.get(element), right.get(element)
        if before is None and after is not None:
            if not _is_nothing(after[1], after[0]):
                changed[element] = everything(after[1], after[0])
        elif after is None and before is not None:
            if not _is_nothing(before[1], before[0]):
                removed[element] = everything(before[1], before[0])
        elif before is not None and after is not None:
            how = _REPEATED if _REPEATED in (before[1], after[1]) else after[1]
            new_node, gone_node = _compare(how, before[0], after[0])
            if new_node is not None:
                changed[element] = new_node
            if gone_node is not None:
                removed[element] = gone_node
    return changed or None, removed or None


def _is_nothing(schema: Schema, value: Any) -> bool:
    """True if a value is stored as if it were not there: a null, an empty list or map (but not an empty struct, which says something)."""
    return value is None or (not value and schema.shape is not None and schema.shape.form in ("list", "map"))


def _same(a: Any, b: Any) -> bool:
    return bool(a == b) and isinstance(a, bool) == isinstance(b, bool)


# --- merging ---


def merge(schema: Schema, live: Any, config: Any) -> Any:
    """The live value with a configuration laid over it: fields of the configuration win, everything else stays.

    Lists of items are in the order of the configuration; items that only the live list has stay before the item that they stood before.
    """
    parts = _parts(schema, config)
    if not parts:
        return live if live and schema.sort != "leaf" and not config else config
    if isinstance(config, dict) and isinstance(live, dict) and live:
        out = dict(live)
        for element, value, how in parts:
            name = element[2:]
            out[name] = merge(how, live[name], value) if name in live else value
        return out
    if isinstance(config, list) and isinstance(live, list) and live:
        return _merge_lists(schema, live, config)
    return config


def _merge_lists(schema: Schema, live: list[Any], config: list[Any]) -> list[Any]:
    mine = [(element_of(schema, item), item) for item in live]
    applied = [(element_of(schema, item), item) for item in config]
    in_live: dict[str, Any] = {}
    for element, item in mine:
        in_live.setdefault(element, item)
    in_config = {element for element, _ in applied}
    shared = [element for element, _ in applied if element in in_live] + [""]
    out: list[Any] = []
    left = right = met = 0
    while left < len(mine) or right < len(applied):
        if left < len(mine):
            element, item = mine[left]
            if element not in in_config:
                out.append(item)
                left += 1
                continue
            if right == len(applied) or element != shared[met]:
                left += 1  # Placed already, or yet to come where the configuration has it.
                continue
        element, item = applied[right]
        if element in in_live:
            out.append(item if schema.sort == "set" else merge(schema.item or DEDUCED, in_live[element], item))
            if left < len(mine) and mine[left][0] == element:
                left += 1
            met += 1
        else:
            out.append(item)
        right += 1
    return out


# --- taking fields out ---


def remove(schema: Schema, value: Any, fields: Fields) -> Any:
    """The value without these fields. What is left empty is gone too: None."""
    parts = _parts(schema, value)
    if not fields or parts is None:
        return value
    if isinstance(value, dict):
        out = {}
        for element, below, how in parts:
            node = fields.get(element)
            if node is None:
                out[element[2:]] = below
            elif not is_member(node):
                left = remove(how, below, node)
                if left is not None:
                    out[element[2:]] = left
        return out or None
    items = []
    for element, item, how in parts:
        node = fields.get(element)
        if node is None:
            items.append(item)
        elif not is_member(node):
            items.append(remove(how, item, node) or {})
    return items or None


def with_named(schema: Schema, fields: Fields) -> Fields:
    """The set, with every declared field that has members below it as a member too."""
    out: Fields = {}
    declared = schema.fields() if schema.sort == "struct" else {}
    for element, node in fields.items():
        if element == SELF:
            out[SELF] = LEAF
            continue
        name = element[2:]
        below: Schema = DEDUCED
        if element.startswith("f:"):
            below = declared[name].schema if name in declared else schema.item if schema.sort == "map" and schema.item else DEDUCED
        elif schema.item is not None:
            below = schema.item
        under = with_named(below, node)
        if name in declared and element.startswith("f:") and under and SELF not in under:
            under = {SELF: LEAF, **under}
        out[element] = under
    return out
