"""Strategic merge patch: a merge patch that knows from the types which lists are merged, and by which key.

Follows "Update API Objects in Place Using kubectl patch" and the design "Preserve Order in Strategic Merge Patch". Directives in a patch:
`$patch: replace | delete | merge`, `$retainKeys`, `$deleteFromPrimitiveList/<field>` and `$setElementOrder/<field>`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from tiphys.api.machinery.errors import BadRequest
from tiphys.api.machinery.introspect import describe
from tiphys.api.machinery.plain import copied

_PATCH = "$patch"
_RETAIN = "$retainKeys"
_DELETE = "$deleteFromPrimitiveList/"
_ORDER = "$setElementOrder/"

Document = dict[str, Any]


class _How(NamedTuple):
    """Treatment of a field, and the type of its content."""

    type: type[msgspec.Struct] | None = None
    merge: bool = False
    replace: bool = False
    key: str = ""


def strategic_merge(type_: type[msgspec.Struct] | None, document: Document, patch: Document) -> Document:
    """The document after the patch; it is changed in place, the patch is not.

    Without a type (or below fields that are not typed) maps are merged and lists replaced. Raises BadRequest for a patch that cannot be
    meant: a directive of the wrong shape, an item without its merge key.
    """
    if not isinstance(patch, dict):
        raise BadRequest("invalid JSON document")
    return _merge_map(type_, document, copied(patch))


def _how(type_: type[msgspec.Struct] | None, name: str) -> _How:
    field = describe(type_).fields.get(name) if type_ is not None else None
    if field is None:
        return _How()
    shape = field.shape
    inner = shape.struct or (shape.item.struct if shape.item is not None else None)
    strategies = field.patch.strategy.split(",") if field.patch else []
    return _How(inner, "merge" in strategies, "replace" in strategies, field.patch.key if field.patch else "")


def _map_of(type_: type[msgspec.Struct] | None, name: str) -> _How:
    """Like `_how`, for a value that is an object: the values of a map are not the fields of its item type."""
    field = describe(type_).fields.get(name) if type_ is not None else None
    how = _how(type_, name)
    return how._replace(type=None) if field is not None and field.shape.form == "map" else how


def _merge_map(type_: type[msgspec.Struct] | None, document: Document, patch: Document) -> Document:
    directive = patch.pop(_PATCH, None)
    if directive == "replace":
        return patch
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise _unknown_directive(directive, patch)
    _retain(document, patch)
    _reorder(type_, document, patch)
    for name, value in patch.items():
        if name.startswith(_DELETE):
            _delete_scalars(document, name.removeprefix(_DELETE), value)
            continue
        if value is None:
            document.pop(name, None)
            continue
        current = document.get(name)
        if isinstance(current, dict) and isinstance(value, dict):
            how = _map_of(type_, name)
            document[name] = value if how.replace else _merge_map(how.type, current, value)
        elif isinstance(current, list) and isinstance(value, list):
            how = _how(type_, name)
            document[name] = _merge_list(how, current, value) if how.merge else value
        else:
            _take(document, name, value)
    return document


def _take(document: Document, name: str, value: Any) -> None:
    """Put in a value for which there is nothing to merge with."""
    kept, value = _without_directives(_without_nulls(value))
    if kept:
        document[name] = value
    else:
        document.pop(name, None)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _without_directives(value: Any) -> tuple[bool, Any]:
    """Return the value without directives, and whether it stays: objects with `$patch` only spoke to something that is not there."""
    if isinstance(value, dict):
        if _PATCH in value:
            return False, None
        cleaned = {
            name: _without_directives(item) for name, item in value.items() if not name.startswith((_DELETE, _ORDER)) and name != _RETAIN
        }
        return True, {name: item for name, (kept, item) in cleaned.items() if kept}
    if isinstance(value, list):
        return True, [item for kept, item in map(_without_directives, value) if kept]
    return True, value


def _retain(document: Document, patch: Document) -> None:
    """`$retainKeys`: fields that it does not list are cleared."""
    if _RETAIN not in patch:
        return
    keys = patch.pop(_RETAIN)
    if not isinstance(keys, list):
        raise BadRequest("invalid patch format of retainKeys")
    retained = {key for key in keys if isinstance(key, str)}
    for name, value in patch.items():
        if value is not None and not name.startswith((_DELETE, _ORDER)) and name not in retained:
            raise BadRequest("invalid patch format of retainKeys")
    for name in [name for name in document if name not in retained]:
        del document[name]


def _delete_scalars(document: Document, name: str, unwanted: Any) -> None:
    """`$deleteFromPrimitiveList`: take these scalars out of the list."""
    current = document.get(name)
    if not isinstance(unwanted, list):
        raise BadRequest("invalid patch format of primitive list")
    if isinstance(current, list):
        gone = {_identity(item, "") for item in unwanted if not _holds_others(item)}
        document[name] = [item for item in current if _holds_others(item) or _identity(item, "") not in gone]


def _reorder(type_: type[msgspec.Struct] | None, document: Document, patch: Document) -> None:
    """`$setElementOrder`: merge the list it speaks of, then put the items into that order around those only the server knows."""
    for directive in [name for name in patch if name.startswith(_ORDER)]:
        order = patch.pop(directive)
        name = directive.removeprefix(_ORDER)
        how = _how(type_, name)
        current, desired = document.get(name), patch.get(name)
        if not isinstance(order, list) or any(value is not None and not isinstance(value, list) for value in (current, desired)):
            raise BadRequest("invalid patch format of setElementOrder list")
        _check_order(desired or [], order, how.key)
        if current is None and desired is None:
            continue
        patch.pop(name, None)
        if desired is None:
            merged = current or []
        elif current is None:
            _, merged = _without_directives(_without_nulls(desired))
        else:
            merged = _merge_list(how, current, desired) if how.merge else desired
        document[name] = _arrange(merged, order, _server_order(how, current or [], desired or []), how.key)


def _server_order(how: _How, current: list[Any], desired: list[Any]) -> list[Any]:
    """The order that counts for items only the server knows: new items stand in the places that deleted ones leave free.

    That is what upstream's arithmetic comes to, and clients compute their patches against it.
    """
    gone = {_identity(item, how.key) for item in desired if isinstance(item, dict) and item.get(_PATCH) == "delete"}
    if not gone:
        return current
    left = [item for item in current if _identity(item, how.key) not in gone]
    known = {_identity(item, how.key) for item in left}
    fresh = [item for item in desired if not (isinstance(item, dict) and _PATCH in item) and _identity(item, how.key) not in known]
    return [*left, *fresh][: len(current)]


def _check_order(desired: list[Any], order: list[Any], key: str) -> None:
    """The items of the patch must stand in the order list, in the same order; deletions need not."""
    if not desired or not order:
        return
    left = iter([_identity(item, key) for item in order])
    for item in desired:
        if isinstance(item, dict) and _PATCH in item:
            continue
        if not any(_identity(item, key) == other for other in left):
            lists = f"{_text(desired)}\n doesn't match {_ORDER[:-1]} list:\n{_text(order)}\n"
            raise BadRequest(f"The order in patch list:\n{lists}")


def _merge_list(how: _How, current: list[Any], patch: list[Any]) -> list[Any]:
    """Merge two lists of scalars or of objects with a merge key."""
    items = [*current, *patch]
    if any(isinstance(item, list) for item in items):
        raise BadRequest("lists of lists are not supported")
    objects = sum(isinstance(item, dict) for item in items)
    if objects == 0:
        merged = list(dict.fromkeys(items))
        return _arrange(merged, patch, current, "")
    if objects != len(items):
        raise BadRequest(f"strategic merge patch format is not supported: a list holds both objects and scalars: {_text(patch)}")
    if not how.key:
        raise BadRequest(f"cannot merge lists without merge key for {how.type.__name__ if how.type else 'an untyped field'}")
    current, patch = _list_directives(how, current, patch)
    places = {_identity(item, how.key): index for index, item in reversed(list(enumerate(current))) if how.key in item}
    merged = list(current)
    for item in patch:
        identity = _identity(item, how.key)
        if identity in places:
            merged[places[identity]] = _merge_map(how.type, merged[places[identity]], item)
        else:
            places[identity] = len(merged)
            merged.append(_without_directives(_without_nulls(item))[1])
    return _arrange(merged, patch, current, how.key)


def _list_directives(how: _How, current: list[Any], patch: list[Any]) -> tuple[list[Any], list[Any]]:
    """Carry out the items that say `$patch`; gives the list to merge into and the ordinary items of the patch."""
    ordinary: list[Any] = []
    unwanted: set[Any] = set()
    replace = False
    for item in patch:
        directive = item.get(_PATCH)
        if directive is None:
            ordinary.append(item)
        elif directive == "delete":
            unwanted.add(_identity(item, how.key)[1])
        elif directive == "replace":
            replace = True
        elif directive == "merge":
            raise BadRequest("merging lists cannot yet be specified in the patch")
        else:
            raise _unknown_directive(directive, item)
    if replace:
        return ordinary, []
    if unwanted:
        current = [item for item in current if _holds_others(item.get(how.key)) or item.get(how.key) not in unwanted]
    return current, ordinary


def _holds_others(value: Any) -> bool:
    """True if a value is an object or a list, which is equal to no scalar and has no hash."""
    return isinstance(value, dict | list)


def _identity(item: Any, key: str) -> tuple[str, Any]:
    """Key of an item: the value of the merge key, or a scalar itself. The type's name keeps 1 and true apart."""
    if key:
        if not isinstance(item, dict):
            raise BadRequest(f"expected a map, but received a {type(item).__name__}")
        if key not in item:
            raise BadRequest(f"map: {_text(item)} does not contain declared merge key: {key}")
        item = item[key]
    if isinstance(item, dict | list):
        raise BadRequest(f"a merge key must be a scalar, not {_text(item)}")
    return type(item).__name__, item


def _arrange(merged: list[Any], order: Sequence[Any], server: Sequence[Any], key: str) -> list[Any]:
    """Put the items that `order` lists into its order and weave in the others.

    An item that only the server knows goes before the next listed item that followed it on the server.
    """
    desired: dict[Any, int] = {}
    for index, item in enumerate(order):
        desired.setdefault(_identity(item, key), index)
    known: dict[Any, int] = {}
    for index, item in enumerate(server):
        known.setdefault(_identity(item, key), index)
    listed = sorted((item for item in merged if _identity(item, key) in desired), key=lambda item: desired[_identity(item, key)])
    others = [item for item in merged if _identity(item, key) not in desired]
    others.sort(key=lambda item: known.get(_identity(item, key), len(known)))
    result: list[Any] = []
    left = 0
    for item in listed:
        place = known.get(_identity(item, key), -1)
        while left < len(others) and known.get(_identity(others[left], key), len(known)) < place:
            result.append(others[left])
            left += 1
        result.append(item)
    return result + others[left:]


def _unknown_directive(directive: Any, item: Document) -> BadRequest:
    return BadRequest(f"unknown patch type: {directive} in map: {_text(item)}")


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
