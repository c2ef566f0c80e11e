"""Differences of typed objects, fast: for each type one function is written and compiled that knows its fields.

Every ordinary write asks which fields it changed. Walking documents for that would cost more than the write, so this does what
`document.compare` does, on Structs, field by field without looking anything up. Both agree on what JSON shows of the objects.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import msgspec

from tiphys.api.machinery.apply.document import Difference, everything
from tiphys.api.machinery.apply.fieldset import LEAF, SELF, Fields, key_element, value_element
from tiphys.api.machinery.apply.schema import Member, Schema, members
from tiphys.api.machinery.introspect import Field

ROOT, METADATA, ELSEWHERE = "", "metadata", "-"
"""Places in an object."""

UNTRACKED: Mapping[str, frozenset[str]] = {
    ROOT: frozenset(("apiVersion", "kind")),
    METADATA: frozenset(
        ("name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation", "managedFields", "resourceVersion")
    ),
}
"""Fields that no manager owns: the server's own, and those that tell objects apart."""

_Diff = Callable[[Any, Any], tuple[Fields | None, Fields | None]]
_Added = Callable[[Any], Fields]


def difference(old: Any, new: Any) -> Difference:
    """The fields in which two objects of one kind differ, without those that nobody owns."""
    type_: type[msgspec.Struct] = type(new)
    if new.__model__ is not None:
        custom: Difference = new.__model__.difference(old, new)
        return custom
    changed, removed = _differ(type_, ROOT)(old, new)
    return Difference(changed or {}, removed or {})


_empty: dict[type, Any] = {}


def created(new: Any) -> Difference:
    """The fields of a new object: how it differs from an empty one."""
    type_: type[Any] = type(new)
    if type_.__model__ is not None:
        custom: Difference = type_.__model__.difference(None, new)
        return custom
    empty = _empty.get(type_)
    if empty is None:
        empty = _empty[type_] = type_()
    return difference(empty, new)


# --- what the compiled functions call ---


def _add_map(value: dict[str, Any]) -> Fields:
    return {SELF: LEAF, **{f"f:{name}": LEAF for name in value}} if value else LEAF


def _add_map_of(schema: Schema) -> _Added:
    def add(value: dict[str, Any]) -> Fields:
        return everything(schema, msgspec.json.decode(msgspec.json.encode(value)))

    return add


def _diff_map(old: dict[str, Any], new: dict[str, Any]) -> tuple[Fields | None, Fields | None]:
    changed = {f"f:{name}": LEAF for name, value in new.items() if name not in old or old[name] != value}
    removed = {f"f:{name}": LEAF for name in old if name not in new}
    return changed or None, removed or None


def _add_set(value: list[Any]) -> Fields:
    return {SELF: LEAF, **{value_element(item): LEAF for item in value}} if value else LEAF


def _diff_set(old: list[Any], new: list[Any]) -> tuple[Fields | None, Fields | None]:
    before, after = Counter(old), Counter(new)
    changed = {value_element(item): LEAF for item, count in after.items() if before.get(item) != count}
    removed = {value_element(item): LEAF for item in before if item not in after}
    return changed or None, removed or None


def _elements(items: list[Any], key_of: Callable[[Any], str]) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Items by element, and of those that share one, all."""
    elements: dict[str, Any] = {}
    repeated: dict[str, list[Any]] = {}
    for item in items:
        element = key_of(item)
        if element in elements:
            repeated.setdefault(element, [elements[element]]).append(item)
        else:
            elements[element] = item
    return elements, repeated


def _whole(_: Any) -> Fields:
    return LEAF


def _whole_differ(_: Any, __: Any) -> tuple[Fields | None, Fields | None]:
    return LEAF, None


def _items(schema: Schema) -> tuple[_Added, _Diff]:
    """Of a list of items: how it is added, and how two differ."""
    key_of = _key_function(schema)
    assert schema.item is not None
    type_ = schema.item.type
    add_item: list[_Added] = []  # Types hold themselves: their functions are made when they are first needed.
    diff_item: list[_Diff] = []

    def add(value: list[Any]) -> Fields:
        if not value:
            return LEAF
        if not add_item:
            add_item.append(_whole if type_ is None else _adder(type_))
        out: Fields = {SELF: LEAF}
        one = add_item[0]
        for item in value:
            element = key_of(item)
            out[element] = LEAF if element in out else one(item)
        return out

    def diff(old: list[Any], new: list[Any]) -> tuple[Fields | None, Fields | None]:
        if not diff_item:
            diff_item.append(_whole_differ if type_ is None else _differ(type_, ELSEWHERE))
        before, before_repeated = _elements(old, key_of)
        after, after_repeated = _elements(new, key_of)
        changed: Fields = {}
        removed: Fields = {}
        for element, item in after.items():
            was = before.get(element)
            if was is None:
                changed[element] = LEAF if element in after_repeated else _one(item)
            elif element in before_repeated or element in after_repeated:
                if before_repeated.get(element, [was]) != after_repeated.get(element, [item]):
                    changed[element] = LEAF
            elif was is not item and was != item:
                new_node, gone_node = diff_item[0](was, item)
                if new_node is not None:
                    changed[element] = new_node
                if gone_node is not None:
                    removed[element] = gone_node
        for element, item in before.items():
            if element not in after:
                removed[element] = LEAF if element in before_repeated else _one(item)
        return changed or None, removed or None

    def _one(item: Any) -> Fields:
        if not add_item:
            add_item.append(_whole if type_ is None else _adder(type_))
        return add_item[0](item)

    return add, diff


def _key_function(schema: Schema) -> Callable[[Any], str]:
    """From an item to its path element, remembered by its keys, of which there are few."""
    assert schema.item is not None
    assert schema.item.shape is not None
    assert schema.item.shape.struct is not None
    fields = members(schema.item.shape.struct)
    attrs = [(name, fields[name].about.attr, fields[name].about) for name in schema.keys]
    known: dict[Any, str] = {}

    def spell(item: Any) -> str:
        keys = {}
        for name, attr, about in attrs:
            value = getattr(item, attr)
            if not _is_shown(about, value):
                value = schema.defaults.get(name)
                if value is None:
                    continue
            keys[name] = value
        return key_element(keys)

    if len(attrs) == 1:
        only = attrs[0][1]

        def by_one(item: Any) -> str:
            value = getattr(item, only)
            element = known.get(value)
            if element is None:
                element = spell(item)
                if len(known) < _KNOWN:
                    known[value] = element
            return element

        return by_one
    every = [attr for _, attr, _ in attrs]

    def by_all(item: Any) -> str:
        values = tuple([getattr(item, attr) for attr in every])
        element = known.get(values)
        if element is None:
            element = spell(item)
            if len(known) < _KNOWN:
                known[values] = element
        return element

    return by_all


_KNOWN = 4096


def _is_shown(about: Field, value: Any) -> bool:
    return about.always or (value is not None if _may_be_none(about) else bool(value) or value != about.default)


def _may_be_none(about: Field) -> bool:
    return about.nullable or about.default is None


# --- compiling ---


@cache
def _adder(type_: type[msgspec.Struct]) -> _Added:
    """A function from an object that is new to its node."""
    lines = ["def add(o):", "    n = {SELF: LEAF}"]
    names: dict[str, Any] = {"SELF": SELF, "LEAF": LEAF}
    for index, member in enumerate(members(type_).values()):
        element = f"f:{member.about.name}"
        shown, node = _adding(index, member, names)
        lines += [f"    v = o.{member.about.attr}", f"    {shown}: n[{element!r}] = {node}" if shown else f"    n[{element!r}] = {node}"]
    lines.append("    return n if len(n) > 1 else LEAF")
    add: _Added = _compiled(lines, names, "add")
    return add


def _adding(index: int, member: Member, names: dict[str, Any]) -> tuple[str, str]:
    """Condition under which a field of a new object is shown, and its node, as source."""
    about = member.about
    shown = "" if about.always else "if v is not None" if _may_be_none(about) else _truth(about)
    function = _add_of(member.schema)
    if function is None:
        return shown, "LEAF"
    names[f"a{index}"] = function
    return shown, f"a{index}(v)"


def _truth(about: Field) -> str:
    return "if v" if not about.default else f"if v != {about.default!r}"


def _add_of(schema: Schema) -> _Added | None:
    sort = schema.sort
    if sort == "leaf":
        return None
    if sort == "set":
        return _add_set
    if sort == "map":
        return _add_map if schema.item is not None and schema.item.sort == "leaf" else _add_map_of(schema)
    if sort == "struct":
        assert schema.type is not None
        return _later_add(schema.type)
    return _items(schema)[0]


def _later_add(type_: type[msgspec.Struct]) -> _Added:
    cached: list[_Added] = []

    def add(value: Any) -> Fields:
        if not cached:
            cached.append(_adder(type_))
        return cached[0](value)

    return add


@cache
def _differ(type_: type[msgspec.Struct], place: str) -> _Diff:
    """A function from two objects to the nodes of changed and removed fields, None for none."""
    skipped = UNTRACKED.get(place, frozenset())
    lines = ["def diff(a, b):", "    c = r = None"]
    names: dict[str, Any] = {"SELF": SELF, "LEAF": LEAF}
    for index, member in enumerate(members(type_).values()):
        if member.about.name not in skipped:
            lines += _differing(index, member, names, METADATA if place == ROOT and member.about.name == METADATA else ELSEWHERE)
    lines.append("    return c, r")
    diff: _Diff = _compiled(lines, names, "diff")
    return diff


def _differing(index: int, member: Member, names: dict[str, Any], place: str) -> list[str]:
    about, element = member.about, f"f:{member.about.name}"
    attr = about.attr
    lines = [f"    x = a.{attr}; y = b.{attr}", "    if x is not y and x != y:"]
    add = _add_of(member.schema)
    whole = "LEAF" if add is None else f"a{index}(%s)"
    if add is not None:
        names[f"a{index}"] = add
    diff = _diff_of(member.schema, place)

    def put(target: str, node: str) -> str:
        return f"{target} = {target} or {{}}; {target}[{element!r}] = {node}"

    both: list[str] = []
    if diff is None:
        both = [put("c", "LEAF")]
    else:
        names[f"d{index}"] = diff
        both = [f"p, q = d{index}(x, y)", f"if p is not None: {put('c', 'p')}", f"if q is not None: {put('r', 'q')}"]
    if about.always:
        if diff is not None and about.default is None:
            both[0] = f"p, q = d{index}(x or (), y or ())"  # Null is as good as empty where the parts are owned.
        return lines + [f"        {line}" for line in both]
    absent = "{0} is None" if _may_be_none(about) else "not {0}" if not about.default else f"{{0}} == {about.default!r}"
    return [
        *lines,
        f"        if {absent.format('x')}: {put('c', whole.replace('%s', 'y'))}",
        f"        elif {absent.format('y')}: {put('r', whole.replace('%s', 'x'))}",
        "        else:",
        *[f"            {line}" for line in both],
    ]


def _diff_of(schema: Schema, place: str) -> _Diff | None:
    sort = schema.sort
    if sort == "leaf":
        return None
    if sort == "set":
        return _diff_set
    if sort == "map":
        return _diff_map if schema.item is not None and schema.item.sort == "leaf" else _diff_deep_map(schema)
    if sort == "struct":
        assert schema.type is not None
        return _later_diff(schema.type, place)
    return _items(schema)[1]


def _diff_deep_map(schema: Schema) -> _Diff:
    from tiphys.api.machinery.apply.document import compare

    def diff(old: Any, new: Any) -> tuple[Fields | None, Fields | None]:
        plain = [msgspec.json.decode(msgspec.json.encode(value)) for value in (old, new)]
        changed, removed = compare(schema, plain[0], plain[1])
        return changed or None, removed or None

    return diff


def _later_diff(type_: type[msgspec.Struct], place: str) -> _Diff:
    cached: list[_Diff] = []

    def diff(old: Any, new: Any) -> tuple[Fields | None, Fields | None]:
        if not cached:
            cached.append(_differ(type_, place))
        return cached[0](old, new)

    return diff


def _compiled(lines: list[str], names: dict[str, Any], name: str) -> Any:
    scope = dict(names)
    exec("\n".join(lines), scope)  # Written above, from the declarations of types only.
    return scope[name]
