"""Mistakes in the schemas of definitions: invalid OpenAPI, and schemas that are not structural
("Extend the Kubernetes API with CustomResourceDefinitions: Specifying a structural schema").

Schemas are plain documents here, since they hold each other in places where their type allows anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from tiphys.api.custom import coerce, lists, values
from tiphys.api.custom.patterns import BadPattern, Patterns
from tiphys.api.custom.structural import META_FIELDS, NO_DEFAULT, Document, Structural, compile_schema
from tiphys.api.machinery.errors import FieldError, forbidden, invalid, not_supported, required
from tiphys.api.machinery.plain import copied
from tiphys.api.rules.basics import Errors

_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")

_ROOT_FIELDS = (
    "Description", "Type", "Format", "Title", "Maximum", "ExclusiveMaximum", "Minimum", "ExclusiveMinimum", "MaxLength", "MinLength",
    "Pattern", "MaxItems", "MinItems", "UniqueItems", "MultipleOf", "Required", "Items", "Properties", "ExternalDocs", "Example",
    "XPreserveUnknownFields", "XValidations",
)  # fmt: skip

_WIRE_ROOT_FIELDS = frozenset(
    (*(name[0].lower() + name[1:] for name in _ROOT_FIELDS), "x-kubernetes-preserve-unknown-fields", "x-kubernetes-validations")
)

_UNSUPPORTED = ("id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref")
_INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]
_REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")

_STRUCTURAL_EXTENSIONS = (
    ("x-kubernetes-preserve-unknown-fields", "must be false to be structural"),
    ("x-kubernetes-embedded-resource", "must be false to be structural"),
    ("x-kubernetes-int-or-string", "must be false to be structural"),
    ("x-kubernetes-list-map-keys", "must be empty to be structural"),
    ("x-kubernetes-list-type", "must be undefined to be structural"),
    ("x-kubernetes-map-type", "must be undefined to be structural"),
    ("x-kubernetes-validations", "must be empty to be structural"),
)


def validate_schema(schema: Document, path: str, patterns: Patterns, *, status: bool) -> Errors:
    """Every mistake of a version's schema. `status` is whether the version has a status subresource."""
    errors: Errors = []
    if status:
        errors += _root_with_status(schema, path)
    if schema.get("nullable"):
        errors.append(forbidden(f"{path}.nullable", "nullable cannot be true at the root"))
    structural = sorted([*_invariants(schema, path, "root", patterns), *_completeness(schema, path)], key=str)
    general = list(_general(schema, path, _Place(root=True)))
    if not structural and not general:
        structural = list(_defaults(compile_schema(schema), path, root=True))
    return [*errors, *structural, *general]


def _root_with_status(schema: Document, path: str) -> Iterator[FieldError]:
    for name, value in schema.items():
        if name == "type" and value != "object":
            message = 'only "object" is allowed as the type at the root of the schema if the status subresource is enabled'
            yield invalid(f"{path}.type", value, message)
            return
        if name not in _WIRE_ROOT_FIELDS and value not in (None, False, "", [], {}):
            message = f"only [{' '.join(_ROOT_FIELDS)}] fields are allowed at the root of the schema if the status subresource is enabled"
            yield invalid(path, schema, message)
            return


class _Place(NamedTuple):
    root: bool = False
    in_meta: bool = False
    no_defaults: str | None = None
    """Reason for which defaults are forbidden here, None where they are not."""


def _general(schema: Any, path: str, place: _Place) -> Iterator[FieldError]:
    if not isinstance(schema, dict):
        return
    yield from _standard(schema, path, place)
    yield from _lists_and_maps(schema, path)
    yield from _rules(schema, path)
    inner = place._replace(root=False)
    additional = schema.get("additionalProperties")
    if additional is not None:
        if schema.get("properties") and additional is not True:
            yield forbidden(f"{path}.additionalProperties", "additionalProperties and properties are mutual exclusive")
        below = inner
        if place.in_meta:
            below = inner._replace(no_defaults=" inside additionalProperties applying to object metadata")
        yield from _general(additional, f"{path}.additionalProperties", below)
    for name, child in (schema.get("properties") or {}).items():
        below = inner
        if (place.root or schema.get("x-kubernetes-embedded-resource")) and name in META_FIELDS:
            below = below._replace(in_meta=True)
            if place.root:
                below = below._replace(no_defaults=f" in top-level {name}")
        yield from _general(child, f"{path}.properties[{name}]", below)
    yield from _general(schema.get("not"), f"{path}.not", inner)
    for word in ("allOf", "oneOf", "anyOf"):
        for index, child in enumerate(schema.get(word) or ()):
            yield from _general(child, f"{path}.{word}[{index}]", inner)
    items = schema.get("items")
    if isinstance(items, dict):
        yield from _general(items, f"{path}.items", inner)


def _standard(schema: Document, path: str, place: _Place) -> Iterator[FieldError]:
    type_ = schema.get("type") or ""
    if type_ and type_ not in _TYPES:
        yield not_supported(f"{path}.type", type_, [name for name in _TYPES if name != "null"])
    if schema.get("default") is not None and place.no_defaults is not None:
        yield forbidden(f"{path}.default", f"must not be set{place.no_defaults}")
    for name in _UNSUPPORTED:
        if schema.get(name) not in (None, "", {}, []):
            yield forbidden(f"{path}.{name}", f"{name} is not supported")
    if type_ == "null":
        yield forbidden(f"{path}.type", "type cannot be set to null, use nullable as an alternative")
    if isinstance(schema.get("items"), list):
        yield forbidden(f"{path}.items", "items must be a schema object and not an array")
    if place.in_meta and schema.get("x-kubernetes-embedded-resource"):
        yield forbidden(f"{path}.x-kubernetes-embedded-resource", "must not be used inside of resource meta")
    if schema.get("uniqueItems"):
        yield forbidden(f"{path}.uniqueItems", "uniqueItems cannot be set to true since the runtime complexity becomes quadratic")
    if schema.get("x-kubernetes-preserve-unknown-fields") is False:
        yield invalid(f"{path}.x-kubernetes-preserve-unknown-fields", False, "must be true or undefined")


def _lists_and_maps(schema: Document, path: str) -> Iterator[FieldError]:
    type_, map_type, list_type = schema.get("type") or "", schema.get("x-kubernetes-map-type"), schema.get("x-kubernetes-list-type")
    keys, items = schema.get("x-kubernetes-list-map-keys") or [], schema.get("items")
    item = items if isinstance(items, dict) else None
    if map_type is not None:
        if type_ != "object":
            yield _must_be(f"{path}.type", type_, "must be object if x-kubernetes-map-type is specified")
        if map_type not in ("atomic", "granular"):
            yield not_supported(f"{path}.x-kubernetes-map-type", map_type, ["atomic", "granular"])
    if list_type is not None and type_ != "array":
        yield _must_be(f"{path}.type", type_, "must be array if x-kubernetes-list-type is specified")
    elif list_type == "set" and item is not None:
        message = "must be atomic as item of a list with x-kubernetes-list-type=set"
        if item.get("type") == "array" and item.get("x-kubernetes-list-type") not in (None, "atomic"):
            yield invalid(f"{path}.items.x-kubernetes-list-type", item["x-kubernetes-list-type"], message)
        if item.get("type") == "object" and item.get("x-kubernetes-map-type") != "atomic":
            yield invalid(f"{path}.items.x-kubernetes-map-type", item.get("x-kubernetes-map-type"), message)
    if list_type is not None and list_type not in ("atomic", "set", "map"):
        yield not_supported(f"{path}.x-kubernetes-list-type", list_type, ["atomic", "set", "map"])
    if keys and list_type != "map":
        yield _must_be(f"{path}.x-kubernetes-list-type", list_type or "", "must be map if x-kubernetes-list-map-keys is non-empty")
    if list_type == "map":
        yield from _map_list(path, keys, items)
    if list_type in ("set", "map") and item is not None and item.get("nullable"):
        yield forbidden(f"{path}.items.nullable", f"cannot be nullable when x-kubernetes-list-type is {list_type}")


def _must_be(path: str, value: str, message: str) -> FieldError:
    return invalid(path, value, message) if value else required(path, message)


def _map_list(path: str, keys: list[str], items: Any) -> Iterator[FieldError]:
    if not keys:
        yield required(f"{path}.x-kubernetes-list-map-keys", "must not be empty if x-kubernetes-list-type is map")
    if items is None:
        yield required(f"{path}.items", "must have a schema if x-kubernetes-list-type is map")
    elif not isinstance(items, dict):
        yield invalid(f"{path}.items", items, "must only have a single schema if x-kubernetes-list-type is map")
    elif items.get("type") != "object":
        yield invalid(f"{path}.items.type", items.get("type") or "", "must be object if parent array's x-kubernetes-list-type is map")
    else:
        yield from _keys(path, keys, items)


def _keys(path: str, keys: list[str], items: Document) -> Iterator[FieldError]:
    properties = items.get("properties") or {}
    for index, key in enumerate(keys):
        at = f"{path}.items.properties[{key}]"
        child = properties.get(key)
        if child is None:
            yield invalid(f"{path}.x-kubernetes-list-map-keys", keys, "entries must all be names of item properties")
        elif child.get("type") in ("array", "object"):
            yield invalid(f"{at}.type", items.get("type"), "must be a scalar type if parent array's x-kubernetes-list-type is map")
        if key in keys[:index]:
            yield invalid(f"{path}.x-kubernetes-list-map-keys", keys, "must not contain duplicate entries")
        if child is None:
            continue
        if key not in (items.get("required") or ()) and child.get("default") is None:
            message = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
            yield required(f"{at}.default", message)
        if child.get("nullable"):
            yield forbidden(f"{at}.nullable", "this property is in x-kubernetes-list-map-keys, so it cannot be nullable")


def _rules(schema: Document, path: str) -> Iterator[FieldError]:
    """The form of CEL rules; expressions are not checked."""
    for index, rule in enumerate(schema.get("x-kubernetes-validations") or ()):
        at = f"{path}.x-kubernetes-validations[{index}]"
        text, message, expression = rule.get("rule") or "", rule.get("message") or "", rule.get("messageExpression") or ""
        lines = any(mark in text.strip() for mark in "\n\r")
        if not text.strip():
            yield required(f"{at}.rule", "rule is not specified")
        elif message and not message.strip():
            yield invalid(f"{at}.message", message, "must be non-empty if specified")
        elif any(mark in message.strip() for mark in "\n\r"):
            yield invalid(f"{at}.message", message, "must not contain line breaks")
        elif lines and not message.strip():
            yield required(f"{at}.message", "message must be specified if rule contains line breaks")
        if expression and not expression.strip():
            yield required(f"{at}.messageExpression", "messageExpression must be non-empty if specified")
        if rule.get("reason") is not None and rule["reason"] not in _REASONS:
            yield not_supported(f"{at}.reason", rule["reason"], _REASONS)
        where = rule.get("fieldPath") or ""
        if where and not where.strip():
            yield invalid(f"{at}.fieldPath", where, "must be non-empty if specified")
        if any(mark in where for mark in "\n\r"):
            yield invalid(f"{at}.fieldPath", where, "must not contain line breaks")


def _invariants(schema: Document, path: str, level: str, patterns: Patterns) -> Iterator[FieldError]:
    """Check what holds for nodes that are not inside a combinator. `level` is root, item or field."""
    type_ = schema.get("type") or ""
    items, additional = schema.get("items"), schema.get("additionalProperties")
    embedded, preserve = bool(schema.get("x-kubernetes-embedded-resource")), bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    either = bool(schema.get("x-kubernetes-int-or-string"))
    properties = schema.get("properties") or {}
    if type_ == "array" and items is None:
        yield required(f"{path}.items", "must be specified")
    if isinstance(items, dict):
        yield from _invariants(items, f"{path}.items", "item", patterns)
    for name, child in properties.items():
        yield from _invariants(child, f"{path}.properties[{name}]", "field", patterns)
    if additional is not None:
        if level == "root":
            yield forbidden(f"{path}.additionalProperties", "must not be used at the root")
        if isinstance(additional, dict):
            yield from _invariants(additional, f"{path}.additionalProperties", "field", patterns)
    for name, clashes in (("preserve-unknown-fields", preserve), ("embedded-resource", embedded)):
        if either and clashes:
            yield invalid(f"{path}.x-kubernetes-{name}", True, "must be false if x-kubernetes-int-or-string is true")
    yield from _value_rules(schema, path, patterns)
    if embedded and type_ != "object":
        yield _must_be(f"{path}.type", type_, "must be object if x-kubernetes-embedded-resource is true")
    elif not type_ and not either and not preserve:
        where = {"root": "at the root", "item": "for specified array items", "field": "for specified object fields"}[level]
        yield required(f"{path}.type", f"must not be empty {where}")
    if embedded and additional is not None:
        yield forbidden(f"{path}.additionalProperties", "must not be used if x-kubernetes-embedded-resource is set")
    if level == "root" and type_ not in ("", "object"):
        yield invalid(f"{path}.type", type_, "must be object at the root")
    yield from _metadata(properties, path, level, checked=level == "root" or embedded)
    if embedded and not preserve and not properties:
        message = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"
        yield required(f"{path}.properties", message)


def _metadata(properties: Document, path: str, level: str, *, checked: bool) -> Iterator[FieldError]:
    for name in ("kind", "apiVersion"):
        if checked and name in properties and properties[name].get("type") != "string":
            yield invalid(f"{path}.properties[{name}].type", properties[name].get("type") or "", "must be string")
    metadata = properties.get("metadata")
    if metadata is None:
        return
    at = f"{path}.properties[metadata]"
    if checked and metadata.get("type") != "object":
        yield invalid(f"{at}.type", metadata.get("type") or "", "must be object")
    if level == "root":
        rest = {name for name, value in metadata.items() if name not in ("type", "default") and value not in (None, False, "", [], {})}
        if rest <= {"properties"} and set(metadata.get("properties") or ()) <= {"name", "generateName"}:
            return
        allowed = {"properties", "required", "minProperties", "maxProperties", "not", "allOf", "anyOf", "oneOf", "format", "enum"}
        if not rest <= allowed or not set(metadata.get("properties") or ()) <= {"name", "generateName"}:
            message = "must not specify anything other than name and generateName, but metadata is implicitly specified"
            yield forbidden(at, message)


def _value_rules(schema: Document, path: str, patterns: Patterns) -> Iterator[FieldError]:
    """Combinators and patterns. Two spellings of int-or-string are allowed."""
    either = bool(schema.get("x-kubernetes-int-or-string"))
    for word in ("anyOf", "allOf", "oneOf"):
        for index, child in enumerate(schema.get(word) or ()):
            if word == "anyOf" and schema[word] == _INT_OR_STRING and either:
                continue
            spelled = word == "allOf" and index == 0 and either and child.get("anyOf") == _INT_OR_STRING
            yield from _nested({**child, "anyOf": []} if spelled else child, f"{path}.{word}[{index}]", patterns)
    if schema.get("not") is not None:
        yield from _nested(schema["not"], f"{path}.not", patterns)
    if schema.get("pattern"):
        try:
            patterns.compile(schema["pattern"])
        except BadPattern as error:
            yield invalid(f"{path}.pattern", schema["pattern"], f"must be a valid regular expression, but isn't: {error}")


def _nested(schema: Document, path: str, patterns: Patterns) -> Iterator[FieldError]:
    """A node inside a combinator says what values are right, never what shape they have."""
    yield from _value_rules(schema, path, patterns)
    if isinstance(schema.get("items"), dict):
        yield from _nested(schema["items"], f"{path}.items", patterns)
    for name, child in (schema.get("properties") or {}).items():
        yield from _nested(child, f"{path}.properties[{name}]", patterns)
    if schema.get("type"):
        yield forbidden(f"{path}.type", "must be empty to be structural")
    if schema.get("additionalProperties") not in (None, False):
        yield forbidden(f"{path}.additionalProperties", "must be undefined to be structural")
    if schema.get("default") is not None:
        yield forbidden(f"{path}.default", "must be undefined to be structural")
    for name, message in (("title", "empty"), ("description", "empty"), ("nullable", "false")):
        if schema.get(name):
            yield forbidden(f"{path}.{name}", f"must be {message} to be structural")
    for name, message in _STRUCTURAL_EXTENSIONS:
        if schema.get(name):
            yield forbidden(f"{path}.{name}", message)
    if "metadata" in (schema.get("properties") or {}):
        yield forbidden(f"{path}.properties[metadata]", "must not be specified in a nested context")


def _completeness(schema: Document, path: str) -> Iterator[FieldError]:
    """Require that fields that the combinators of the root mention are declared outside of them."""
    for word in ("allOf", "anyOf", "oneOf"):
        for index, child in enumerate(schema.get(word) or ()):
            yield from _declared(child, schema, f"{path}.{word}[{index}]", path)
    if schema.get("not") is not None:
        yield from _declared(schema["not"], schema, f"{path}.not", path)


def _declared(nested: Document, base: Document | None, path: str, at: str) -> Iterator[FieldError]:
    """`nested` speaks of values of `base`, which stands at `at`."""
    if base is None:
        yield required(at, f"because it is defined in {path}")
        return
    items = nested.get("items")
    if isinstance(items, dict):
        under = base.get("items")
        yield from _declared(items, under if isinstance(under, dict) else None, f"{path}.items", f"{at}.items")
    for name, child in (nested.get("properties") or {}).items():
        under = (base.get("properties") or {}).get(name)
        yield from _declared(child, under, f"{path}.properties[{name}]", f"{at}.properties[{name}]")
    for word in ("allOf", "anyOf", "oneOf"):
        for index, child in enumerate(nested.get(word) or ()):
            yield from _declared(child, base, f"{path}.{word}[{index}]", at)
    if nested.get("not") is not None:
        yield from _declared(nested["not"], base, f"{path}.not", at)


def _defaults(node: Structural, path: str, *, root: bool = False, in_meta: bool = False) -> Iterator[FieldError]:
    """Defaults must be valid values of a request."""
    if not node.has_defaults:
        return
    if node.default is not NO_DEFAULT and not in_meta:
        at, value = f"{path}.default", copied(node.default)
        if coerce.prune(value, node):
            yield invalid(at, node.default, "must not have unknown fields")
        mistake, _ = coerce.coerce_embedded(value, node, at)
        if mistake is not None:
            yield mistake
        else:
            wrong = lists.validate_embedded(value, node, at) or values.validate(value, node, root=at)
            yield from wrong
    if node.items is not None:
        yield from _defaults(node.items, f"{path}.items", in_meta=in_meta and not node.embedded)
    for name, child in node.properties.items():
        meta = in_meta or ((node.embedded or root) and name in META_FIELDS)
        yield from _defaults(child, f"{path}.properties[{name}]", in_meta=meta and not child.embedded)
