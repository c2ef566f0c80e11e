"""Structural schemas, compiled from the documents that definitions hold ("Extend the Kubernetes API with CustomResourceDefinitions:
Specifying a structural schema").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from tiphys.api.custom.patterns import Pattern, compile_pattern
from tiphys.api.machinery.errors import not_supported

Document = dict[str, Any]

META_FIELDS = frozenset(("apiVersion", "kind", "metadata"))
NO_DEFAULT: Any = object()
COMBINATORS = ("allOf", "anyOf", "oneOf")


class Choices(NamedTuple):
    """The values that `enum` allows."""

    scalars: frozenset[tuple[bool, Any]]
    """See `scalar`."""
    composed: tuple[Any, ...]
    """Lists and objects."""
    detail: str
    """The words that list all of them."""


def scalar(value: Any) -> tuple[bool, Any]:
    """Return a value as it is looked up among others: 1 is 1.0, and not true."""
    return isinstance(value, bool), value


def _choices(allowed: Sequence[Any]) -> Choices:
    shown = [one if isinstance(one, str) else msgspec.json.encode(one).decode() for one in allowed]
    composed = tuple(one for one in allowed if isinstance(one, dict | list))
    scalars = frozenset(scalar(one) for one in allowed if not isinstance(one, dict | list))
    return Choices(scalars, composed, not_supported("", None, shown).detail)


@dataclass(slots=True)
class Structural:
    """One node of a schema. `document` is the node as it was written; what every value needs is beside it, ready to use."""

    document: Document
    types: tuple[str, ...] = ()
    """The JSON types that a value may have; none for any."""
    nullable: bool = False
    default: Any = NO_DEFAULT
    preserve: bool = False
    """True if fields that no property names are kept."""
    embedded: bool = False
    """True if the value is an object of some kind, with metadata of its own."""
    int_or_string: bool = False
    properties: Mapping[str, Structural] = field(default_factory=dict)
    additional: Structural | None = None
    """The values of a map."""
    open: bool = False
    """True if `additionalProperties` allows any field."""
    closed: bool = False
    """True for `additionalProperties: false`; that matters in combinators only, elsewhere unknown fields are pruned."""
    items: Structural | None = None
    list_type: str = ""
    list_keys: tuple[str, ...] = ()
    map_type: str = ""
    required: tuple[str, ...] = ()
    pattern: Pattern | None = None
    choices: Choices | None = None
    combinators: Mapping[str, tuple[Structural, ...]] = field(default_factory=dict)
    negated: Structural | None = None
    has_defaults: bool = False
    """True if this node or anything below it has a default."""
    has_embedded: bool = False
    """True if this node or anything below it is an embedded object."""
    has_lists: bool = False
    """True if this node or anything below it is a set or a map list."""

    def child(self, name: str) -> Structural | None:
        """The schema of a field; None where the schema says nothing of it."""
        return self.properties.get(name) or self.additional

    def below(self) -> Iterator[Structural]:
        """The nodes right below, combinators not counted."""
        yield from self.properties.values()
        if self.items is not None:
            yield self.items
        if self.additional is not None:
            yield self.additional


def compile_schema(document: Document) -> Structural:
    """The nodes of a schema that is structural (`validation.structural` finds those that are not)."""
    node = Structural(document)
    type_ = document.get("type") or ""
    node.int_or_string = bool(document.get("x-kubernetes-int-or-string"))
    node.types = ("integer", "string") if node.int_or_string else (type_,) if type_ else ()
    node.nullable = bool(document.get("nullable"))
    node.preserve = bool(document.get("x-kubernetes-preserve-unknown-fields"))
    node.embedded = bool(document.get("x-kubernetes-embedded-resource"))
    node.default = NO_DEFAULT if document.get("default") is None else document["default"]
    node.properties = {name: compile_schema(below) for name, below in (document.get("properties") or {}).items()}
    additional = document.get("additionalProperties")
    if isinstance(additional, dict):
        node.additional = compile_schema(additional)
    node.open, node.closed = additional is True, additional is False
    items = document.get("items")
    if isinstance(items, dict):
        node.items = compile_schema(items)
    node.list_type = document.get("x-kubernetes-list-type") or ""
    node.list_keys = tuple(document.get("x-kubernetes-list-map-keys") or ())
    node.map_type = document.get("x-kubernetes-map-type") or ""
    node.required = tuple(document.get("required") or ())
    node.pattern = compile_pattern(document["pattern"]) if document.get("pattern") else None
    node.choices = _choices(document["enum"]) if document.get("enum") else None
    node.combinators = {word: tuple(compile_schema(one) for one in document[word]) for word in COMBINATORS if document.get(word)}
    node.negated = compile_schema(document["not"]) if document.get("not") is not None else None
    below = list(node.below())
    node.has_defaults = node.default is not NO_DEFAULT or any(one.has_defaults for one in below)
    node.has_embedded = node.embedded or any(one.has_embedded for one in below)
    node.has_lists = node.list_type in ("set", "map") or any(one.has_lists for one in below)
    return node
