"""Typed decoding of answers, with one cached decoder per type.

The fast path is strict, since almost every answer comes from a server of the same version. An answer with fields that the types do not
know (a newer server) is decoded again leniently: clients ignore what they do not know ("Kubernetes API Concepts").
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from tiphys.api.machinery import errors
from tiphys.api.meta.v1 import KubeObject, Status
from tiphys.client.frames import ListBody

AnyT = TypeVar("AnyT")
ObjectT = TypeVar("ObjectT", bound=KubeObject)

_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}


def _decoder(type_: Any) -> msgspec.json.Decoder[Any]:
    decoder = _decoders.get(type_)
    if decoder is None:
        decoder = _decoders[type_] = msgspec.json.Decoder(type_)
    return decoder


def decode(type_: type[AnyT], body: bytes | msgspec.Raw) -> AnyT:
    """Decode an object of the type; raises ValueError when the body is not one."""
    try:
        value: AnyT = _decoder(type_).decode(body)
    except msgspec.ValidationError:
        value = _lenient(type_, msgspec.json.decode(body))
    return value


def decode_list(type_: type[ObjectT], body: bytes) -> ListBody[ObjectT]:
    """Decode a list answer with items of the type; raises ValueError when the body is not one."""
    try:
        value: ListBody[ObjectT] = _decoder(ListBody[type_]).decode(body)  # type: ignore[valid-type]
    except msgspec.ValidationError:
        raw = msgspec.json.decode(body, type=dict[str, Any])
        items = [_lenient(type_, item) for item in msgspec.convert(raw.get("items") or [], list[Any])]
        value = ListBody(metadata=raw.get("metadata") or {}, items=items)
    return value


def _lenient(type_: type[AnyT], document: Any) -> AnyT:
    """Decode without the fields that are unknown or null, at any depth."""
    pruned = _prune(msgspec.inspect.type_info(type_), document)
    value: AnyT = msgspec.convert(pruned, type_)
    return value


def _prune(info: Any, value: Any) -> Any:
    inspect = msgspec.inspect
    if isinstance(info, inspect.Metadata):
        return _prune(info.type, value)
    if isinstance(info, inspect.UnionType):
        structured = [t for t in info.types if isinstance(t, inspect.StructType | inspect.ListType | inspect.DictType | inspect.Metadata)]
        return _prune(structured[0], value) if len(structured) == 1 and value is not None else value
    if isinstance(info, inspect.StructType) and isinstance(value, dict):
        known = {field.encode_name: field.type for field in info.fields}
        return {name: _prune(known[name], item) for name, item in value.items() if name in known and item is not None}
    if isinstance(info, inspect.ListType) and isinstance(value, list):
        return [_prune(info.item_type, item) for item in value]
    if isinstance(info, inspect.DictType) and isinstance(value, dict):
        return {name: _prune(info.value_type, item) for name, item in value.items()}
    return value


def error_of(code: int, body: bytes) -> errors.StatusError:
    """Return the error for an answer with a status of 400 and more, whether or not its body is a Status."""
    try:
        status = decode(Status, body)
    except (ValueError, AttributeError):
        text = body[:1024].decode("utf-8", "replace").strip()
        text = text or f"the server answered with status {code}"
        status = Status(status="Failure", message=text, reason="Conflict" if code == 409 else "")
    status.code = status.code or code
    return errors.from_status(status)
