"""Custom kinds as OpenAPI definitions: their own schemas, with the fields that every object has.

Version 2 cannot say everything that schemas do. What kubectl's validation would misread there is left open: fields that may be null,
numbers or strings, and objects with fields that nobody named lose their type or their fields ("Publish Validation Schema in OpenAPI").
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

API_VERSION: Schema = {
    "type": "string",
    "description": "APIVersion defines the group and version of the object's schema, such as `apps/v1`.",
}
KIND: Schema = {"type": "string", "description": "The name of the object's type, such as `Pod`."}
_NOT_IN_2 = ("default", "nullable", "allOf", "anyOf", "oneOf", "not", "example", "externalDocs")


def definition_name(group: str, version: str, kind: str) -> str:
    """`com.example.stable.v1.CronTab`."""
    return ".".join((*reversed(group.split(".")), version, kind))


def custom_schema(document: Schema, version: int, metadata: Schema, *, preserve: bool) -> Schema:
    """The definition of a custom kind, without its kind and selectable fields. `metadata` refers to the definition of metadata."""
    if not document or (version == 2 and preserve):
        schema: Schema = {"type": "object"}
        if document.get("description"):
            schema["description"] = document["description"]
        return schema
    schema = _node(document, version, metadata)
    properties = schema.get("properties", {})
    schema["properties"] = {**properties, "apiVersion": API_VERSION, "kind": KIND, "metadata": metadata}
    return schema


def _node(document: Schema, version: int, metadata: Schema) -> Schema:
    schema = dict(document)
    if version == 2:
        for name in _NOT_IN_2:
            schema.pop(name, None)
        if document.get("nullable") or document.get("x-kubernetes-int-or-string"):
            schema.pop("type", None)
        if document.get("nullable") or document.get("x-kubernetes-preserve-unknown-fields"):
            for name in ("items", "properties", "additionalProperties"):
                schema.pop(name, None)
            if document.get("type") == "array":
                schema.pop("type", None)
    if isinstance(schema.get("properties"), dict):
        schema["properties"] = {name: _node(below, version, metadata) for name, below in schema["properties"].items()}
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            schema[name] = _node(schema[name], version, metadata)
    opened = version == 2 and document.get("x-kubernetes-preserve-unknown-fields")
    if document.get("x-kubernetes-embedded-resource") and not opened:
        schema["properties"] = {**schema.get("properties", {}), "apiVersion": API_VERSION, "kind": KIND, "metadata": metadata}
        schema["required"] = list(dict.fromkeys((*(schema.get("required") or ()), "kind", "apiVersion")))
    return schema
