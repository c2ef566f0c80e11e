"""The API's protobuf: typed objects from request bodies, and answers from documents ("Kubernetes API Concepts: Protobuf encoding").

A body is four bytes of magic and the message `runtime.Unknown`: typeMeta (apiVersion and kind), the object's message, and two fields that
are always empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from tiphys.api.machinery.protobuf.messages import is_known
from tiphys.api.machinery.protobuf.reader import read
from tiphys.api.machinery.protobuf.special import fields, place, text
from tiphys.api.machinery.protobuf.wire import LENGTH, Malformed, key, remembered, varint
from tiphys.api.machinery.protobuf.writer import struct_writer
from tiphys.api.meta.v1 import ListMeta, ObjectMeta

__all__ = [
    "MEDIA_TYPE",
    "Envelope",
    "Malformed",
    "is_known",
    "item_list",
    "open_envelope",
    "partial",
    "read",
    "seal",
    "watch_frame",
    "write",
    "write_object",
]

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\0"

_METADATA, _ITEMS = key(1, LENGTH), key(2, LENGTH)


class Envelope(NamedTuple):
    """Version, kind and content type that a body claims, and the message."""

    api_version: str
    kind: str
    raw: bytes


def open_envelope(body: bytes) -> Envelope:
    """Take the message out of its envelope; raises Malformed."""
    if not body:
        raise Malformed("empty data")
    if not body.startswith(MAGIC):
        raise Malformed("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    if len(body) == len(MAGIC):
        raise Malformed("empty body")
    parts = fields(body, len(MAGIC), len(body))
    start, stop = place(parts[1][-1]) if 1 in parts else (0, 0)
    api_version, kind = _type_meta(body[start:stop])
    start, stop = place(parts[2][-1]) if 2 in parts else (0, 0)
    return Envelope(api_version, kind, body[start:stop])


@remembered
def _type_meta(data: bytes) -> tuple[str, str]:
    """apiVersion and kind."""
    parts = fields(data, 0, len(data))
    try:
        first, second = (text(data, *place(parts[number][-1])) if number in parts else "" for number in (1, 2))
    except UnicodeDecodeError:
        raise Malformed("the type of the object is not valid UTF-8") from None
    return first, second


def seal(api_version: str, kind: str, raw: bytes) -> bytes:
    """A message in its envelope."""
    version, name = api_version.encode(), kind.encode()
    about = b"\n%b%b\x12%b%b" % (varint(len(version)), version, varint(len(name)), name)
    return b"%b\n%b%b\x12%b%b\x1a\0\x22\0" % (MAGIC, varint(len(about)), about, varint(len(raw)), raw)


def write(type_: type[msgspec.Struct], document: Mapping[str, Any]) -> bytes:
    """The message of an object's document, without an envelope. Raises KeyError for types that have no message."""
    return struct_writer(type_)(document)


def write_object(obj: msgspec.Struct) -> bytes:
    """A typed object in its envelope."""
    document = msgspec.json.decode(msgspec.json.encode(obj))
    return seal(document.get("apiVersion", ""), document.get("kind", ""), write(type(obj), document))


def item_list(metadata: Mapping[str, Any], items: Iterable[bytes]) -> bytes:
    """The message of a list from the messages of its items; all kinds of lists are built alike."""
    about = write(ListMeta, metadata)
    parts = [_METADATA, varint(len(about)), about]
    for item in items:
        parts += (_ITEMS, varint(len(item)), item)
    return b"".join(parts)


def partial(metadata: Mapping[str, Any]) -> bytes:
    """The message of a PartialObjectMetadata."""
    about = write(ObjectMeta, metadata)
    return b"".join((_METADATA, varint(len(about)), about))


def watch_frame(type_: str, sealed: bytes) -> bytes:
    """An event of a watch: its length in four bytes, then the WatchEvent with an object in its envelope."""
    name = type_.encode()
    held = b"\n%b%b" % (varint(len(sealed)), sealed)
    event = b"\n%b%b\x12%b%b" % (varint(len(name)), name, varint(len(held)), held)
    return len(event).to_bytes(4, "big") + event
