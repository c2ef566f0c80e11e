"""The OpenAPI 2 document in protobuf, the only form in which client-go reads it.

kubectl before 1.24 validates manifests with it and `kubectl explain` of those years reads it; the message types are `openapi.v2` of
gnostic. Extensions travel as YAML text, of which JSON is a part.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

ACCEPTED = (
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
)
CONTENT_TYPE = ACCEPTED[1]

_METHODS = {"get": 2, "put": 3, "post": 4, "delete": 5, "options": 6, "head": 7, "patch": 8}


def encode_document(document: dict[str, Any]) -> bytes:
    """A document of `write.document_v2` as protobuf."""
    info = document["info"]
    paths = (_part(2, _named(name, _path(item))) for name, item in document["paths"].items())
    return b"".join(
        (
            _text(1, document["swagger"]),
            _part(2, _text(1, info["title"]) + _text(2, info["version"])),
            _part(8, b"".join(paths)),
            _part(9, _schemas(document["definitions"])),
            *(_part(12, b"".join(_part(1, _named(name, b"")) for name in requirement)) for requirement in document["security"]),
            _part(13, b"".join(_part(1, _named(name, _part(2, _key(value)))) for name, value in document["securityDefinitions"].items())),
        )
    )


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _part(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _text(number: int, text: str) -> bytes:
    return _part(number, text.encode()) if text else b""


def _texts(number: int, texts: Iterable[str]) -> bytes:
    return b"".join(_part(number, text.encode()) for text in texts)


def _flag(number: int, value: bool) -> bytes:
    return _varint(number << 3) + b"\x01" if value else b""


def _named(name: str, value: bytes) -> bytes:
    return _text(1, name) + _part(2, value)


def _extensions(number: int, holder: dict[str, Any]) -> bytes:
    return b"".join(
        _part(number, _named(name, _part(2, msgspec.json.encode(value)))) for name, value in holder.items() if name.startswith("x-")
    )


def _key(value: dict[str, str]) -> bytes:
    return _text(1, value["type"]) + _text(2, value["name"]) + _text(3, value["in"]) + _text(4, value["description"])


def _schemas(schemas: dict[str, Any]) -> bytes:
    """Definitions or properties: both are lists of named schemas."""
    return b"".join(_part(1, _named(name, _schema(schema))) for name, schema in schemas.items())


def _schema(schema: dict[str, Any]) -> bytes:
    out = [
        _text(1, schema.get("$ref", "")),
        _text(2, schema.get("format", "")),
        _text(4, schema.get("description", "")),
        _texts(19, schema.get("required", ())),
    ]
    if "additionalProperties" in schema:
        below = schema["additionalProperties"]
        out.append(_part(21, _flag(2, below) if isinstance(below, bool) else _part(1, _schema(below))))
    if "type" in schema:
        out.append(_part(22, _text(1, schema["type"])))
    if "items" in schema:
        out.append(_part(23, _part(1, _schema(schema["items"]))))
    if "properties" in schema:
        out.append(_part(25, _schemas(schema["properties"])))
    out.append(_extensions(31, schema))
    return b"".join(out)


def _path(item: dict[str, Any]) -> bytes:
    return b"".join(_part(_METHODS[method], _operation(operation)) for method, operation in item.items())


def _operation(operation: dict[str, Any]) -> bytes:
    responses = (_part(1, _named(code, _part(1, _response(response)))) for code, response in operation["responses"].items())
    return b"".join(
        (
            _texts(1, operation["tags"]),
            _text(3, operation["description"]),
            _text(5, operation["operationId"]),
            _texts(6, operation["produces"]),
            _texts(7, operation.get("consumes", [])),
            *(_part(8, _part(1, _parameter(parameter))) for parameter in operation.get("parameters", [])),
            _part(9, b"".join(responses)),
            _texts(10, operation["schemes"]),
            _extensions(13, operation),
        )
    )


def _response(response: dict[str, Any]) -> bytes:
    schema = _part(2, _part(1, _schema(response["schema"]))) if "schema" in response else b""
    return _text(1, response["description"]) + schema


def _parameter(parameter: dict[str, Any]) -> bytes:
    name, where, text = parameter["name"], parameter["in"], parameter.get("description", "")
    if where == "body":
        required = _flag(4, parameter.get("required", False))
        return _part(1, _text(1, text) + _text(2, name) + _text(3, where) + required + _part(5, _schema(parameter["schema"])))
    head = _flag(1, parameter.get("required", False)) + _text(2, where) + _text(3, text) + _text(4, name)
    if where == "path":
        return _part(2, _part(4, head + _text(5, parameter["type"]) + _flag(19, True)))
    return _part(2, _part(3, head + _text(6, parameter["type"]) + _flag(20, True)))
