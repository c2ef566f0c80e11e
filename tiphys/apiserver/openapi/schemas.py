"""Wire types as OpenAPI definitions, version 2 or 3, with the extensions that clients read list and patch semantics from."""

from __future__ import annotations

from typing import Any

import msgspec

from tiphys.api.machinery.base import Atomic, MapList, SetList
from tiphys.api.machinery.docs import docs_of
from tiphys.api.machinery.introspect import Field, Shape, describe, map_type
from tiphys.api.machinery.scheme import GroupVersionKind
from tiphys.apiserver.openapi import custom, names
from tiphys.apiserver.openapi.required import OPTIONAL, REQUIRED
from tiphys.apiserver.openapi.shapes import GRANULAR, UNIONS, VERSION

Schema = dict[str, Any]

_SCALARS: dict[str, Schema] = {
    "str": {"type": "string"},
    "float": {"type": "number", "format": "double"},
    "bool": {"type": "boolean"},
    "bytes": {"type": "string", "format": "byte"},
}
_NAMED = {
    "time": names.TIME,
    "microtime": names.MICRO_TIME,
    "duration": names.DURATION,
    "quantity": names.QUANTITY,
    "intorstring": names.INT_OR_STRING,
}
_ANY = {
    ("AllocatedDeviceStatus", "data"): names.RAW,
    ("ControllerRevision", "data"): names.RAW,
    ("JSONSchemaProps", "additionalItems"): names.OR_BOOL,
    ("JSONSchemaProps", "additionalProperties"): names.OR_BOOL,
    ("JSONSchemaProps", "default"): names.JSON,
    ("JSONSchemaProps", "dependencies"): names.OR_STRINGS,
    ("JSONSchemaProps", "enum"): names.JSON,
    ("JSONSchemaProps", "example"): names.JSON,
    ("JSONSchemaProps", "items"): names.OR_ARRAY,
    ("ManagedFieldsEntry", "fieldsV1"): names.FIELDS,
    ("OpaqueDeviceConfiguration", "parameters"): names.RAW,
    ("WatchEvent", "object"): names.RAW,
}
"""Fields, or their items, that may hold anything, and what OpenAPI calls that."""
_OPEN = {
    names.JSON: "Any JSON value.",
    names.OR_ARRAY: "A schema, or a list of schemas.",
    names.OR_BOOL: "A schema, or true or false.",
    names.OR_STRINGS: "A schema, or a list of names.",
}
_ZEROS = {"string": "", "integer": 0, "number": 0.0, "boolean": False}


class Definitions:
    """Collects the definitions that some documents refer to; `schemas` holds the requested ones and everything below them."""

    def __init__(self, version: int) -> None:
        self.version = version
        self.schemas: dict[str, Schema] = {}
        self._prefix = "#/definitions/" if version == 2 else "#/components/schemas/"

    def ref(self, type_: type[msgspec.Struct], gvk: GroupVersionKind | None = None) -> Schema:
        """A reference to a type, whose definition is added if missing. `gvk` is its kind, if it has one."""
        name = names.definition_name(type_)
        if name in _OPEN:
            return self.named(name)
        if name not in self.schemas:
            self.schemas[name] = {}  # Types refer to themselves and each other.
            self.schemas[name] = self._struct(type_, gvk)
        return {"$ref": self._prefix + name}

    def named(self, name: str) -> Schema:
        """A reference to one of the types that are more than a Struct."""
        if name not in self.schemas:
            self.schemas[name] = self._special(name)
        return {"$ref": self._prefix + name}

    def list_ref(self, type_: type[msgspec.Struct], gvk: GroupVersionKind) -> Schema:
        """A reference to the list of a kind."""
        from tiphys.api.meta.v1 import ListMeta

        name = names.definition_name(type_) + "List"
        if name not in self.schemas:
            items = self._within(self.ref(type_, gvk))
            self.schemas[name] = {
                "description": f"{gvk.kind}List is a list of {gvk.kind} objects.",
                "type": "object",
                "required": ["items"],
                "properties": {
                    "apiVersion": {"type": "string", "description": "The group and version of the list's schema."},
                    "kind": {"type": "string", "description": f"{gvk.kind}List."},
                    "metadata": self._within(self.ref(ListMeta), "The version of the list, and where to continue it."),
                    "items": {"type": "array", "description": "The objects.", "items": items},
                },
                "x-kubernetes-group-version-kind": [{"group": gvk.group, "kind": f"{gvk.kind}List", "version": gvk.version}],
            }
        return {"$ref": self._prefix + name}

    def _within(self, ref: Schema, description: str = "") -> Schema:
        """A reference with siblings: OpenAPI 3 ignores keys beside `$ref`."""
        text = {"description": description} if description else {}
        return ref | text if self.version == 2 else text | {"allOf": [ref], "default": {}}

    def _custom(self, model: Any) -> Schema:
        """The definition of a custom kind."""
        from tiphys.api.meta.v1 import ObjectMeta

        metadata = self._within(self.ref(ObjectMeta), "Standard object's metadata: identity, labels, ownership and history.")
        node = model.structural
        schema = custom.custom_schema(node.document, self.version, metadata, preserve=node.preserve)
        schema["x-kubernetes-group-version-kind"] = [model.gvk._asdict()]
        if model.selectable and self.version == 3:
            schema["x-kubernetes-selectable-fields"] = [{"fieldPath": path} for path in model.selectable]
        return schema

    def _struct(self, type_: type[msgspec.Struct], gvk: GroupVersionKind | None) -> Schema:
        model = getattr(type_, "__model__", None)
        if model is not None:
            return self._custom(model)
        about, docs = describe(type_), docs_of(type_)
        schema: Schema = {"type": "object"}
        if docs.text:
            schema["description"] = docs.text
        if about.fields:
            schema["properties"] = {
                name: self._field(type_, field, docs.fields.get(field.attr, "")) for name, field in about.fields.items()
            }
        required = self._required(type_)
        if required:
            schema["required"] = required
        if map_type(type_):
            schema["x-kubernetes-map-type"] = map_type(type_)
        kinds = names.gvks_of(type_, gvk)
        if kinds:
            schema["x-kubernetes-group-version-kind"] = [kind._asdict() for kind in kinds]
        if names.key_of(type_) in UNIONS:
            schema["x-kubernetes-unions"] = [UNIONS[names.key_of(type_)]]
        return schema

    @staticmethod
    def _required(type_: type[msgspec.Struct]) -> list[str]:
        about = describe(type_)
        plain = {
            name
            for name, field in about.fields.items()
            if field.always
            and field.shape.form in ("str", "int", "bool", "float", "list")
            and not (about.kind and name in ("apiVersion", "kind"))
        }
        key = names.key_of(type_)
        required = (plain | set(REQUIRED.get(key, "").split())) - set(OPTIONAL.get(key, "").split())
        return sorted(required)

    def _field(self, type_: type[msgspec.Struct], field: Field, description: str) -> Schema:
        schema = self._shape(field.shape, _ANY.get((type_.__name__, field.name), ""))
        if type_.__name__ == "JSONSchemaProps" and self.version == 2:
            schema = _untyped(schema)  # A default, an enum or a bool in place of a schema may be any JSON.
        if "$ref" in schema:
            schema = self._within(schema, description)
        else:
            if description:
                schema["description"] = description
            if self.version == 3 and field.always and not field.nullable and schema.get("type") in _ZEROS:
                schema["default"] = _ZEROS[schema["type"]]
        if (type_.__name__, field.name) in GRANULAR:
            schema["x-kubernetes-map-type"] = "granular"
        return schema | _semantics(field)

    def _shape(self, shape: Shape, any_name: str = "") -> Schema:
        form = shape.form
        if form == "struct":
            assert shape.struct is not None
            return self.ref(shape.struct)
        if form in _NAMED:
            return self.named(_NAMED[form])
        if form == "int":
            return {"type": "integer", "format": f"int{shape.bits}"}
        if shape.item is not None:
            item = self._shape(shape.item, any_name)
            if "$ref" in item:
                item = self._within(item)
            elif self.version == 3 and item.get("type") in _ZEROS:
                item["default"] = _ZEROS[item["type"]]
            return {"type": "array", "items": item} if form == "list" else {"type": "object", "additionalProperties": item}
        if any_name:
            return self.named(any_name)
        return dict(_SCALARS.get(form, {"x-kubernetes-preserve-unknown-fields": True} if self.version == 3 else {"type": "object"}))

    def _special(self, name: str) -> Schema:
        two = self.version == 2
        if name == names.QUANTITY:
            text = "A number with a unit: `500m`, `1.5`, `2Gi`."
            return {"description": text} | ({"type": "string"} if two else {"oneOf": [{"type": "string"}, {"type": "number"}]})
        if name == names.INT_OR_STRING:
            text = "A number, or a name or percentage."
            kind = {"type": "string"} if two else {"oneOf": [{"type": "integer"}, {"type": "string"}]}
            return {"description": text, "format": "int-or-string"} | kind
        if name in (names.TIME, names.MICRO_TIME):
            precision = "seconds" if name == names.TIME else "microseconds"
            return {"description": f"A moment, RFC 3339 with {precision}.", "type": "string", "format": "date-time"}
        if name == names.DURATION:
            return {"description": "A length of time, such as `1m30s`.", "type": "string"}
        if name in _OPEN:
            return {"description": _OPEN[name]}
        if name == names.VERSION:
            return VERSION
        texts = {
            names.FIELDS: "A set of fields, as a tree of JSON keys.",
            names.PATCH: "A patch in one of the formats that the content type names.",
            names.RAW: "Any object.",
        }
        return {"description": texts[name], "type": "object"}


def _untyped(schema: Schema) -> Schema:
    """Leave out the type where a schema takes anything: `object` would exclude texts and numbers."""
    if schema == {"type": "object"}:
        return {}
    if schema.get("items") == {"type": "object"}:
        return schema | {"items": {}}
    if schema.get("additionalProperties") == {"type": "object"}:
        return schema | {"additionalProperties": {}}
    return schema


def _semantics(field: Field) -> Schema:
    """The extensions for list, map and patch semantics."""
    extensions: Schema = {}
    if isinstance(field.semantics, MapList):
        extensions |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(field.semantics.keys)}
    elif isinstance(field.semantics, SetList):
        extensions["x-kubernetes-list-type"] = "set"
    elif isinstance(field.semantics, Atomic):
        extensions["x-kubernetes-list-type" if field.shape.form in ("list", "bytes") else "x-kubernetes-map-type"] = "atomic"
    if field.patch is not None:
        extensions["x-kubernetes-patch-strategy"] = field.patch.strategy
        if field.patch.key:
            extensions["x-kubernetes-patch-merge-key"] = field.patch.key
    return extensions
