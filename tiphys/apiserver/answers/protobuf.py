"""Answers in protobuf, made from what the server holds as JSON. This module is loaded when the first client asks for them.

Objects are not kept in protobuf: a GET costs some 50 us more than in JSON, and a watch event is encoded once for all who watch in protobuf.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tiphys.api.machinery import protobuf
from tiphys.api.machinery.scheme import Kind
from tiphys.apiserver.cache.entry import Entry
from tiphys.apiserver.cache.watchers import CacheEvent, EventType

STREAM_TYPE = f"{protobuf.MEDIA_TYPE};stream=watch"

_document = msgspec.json.Decoder().decode


def single(kind: Kind[Any], data: bytes) -> bytes:
    """A stored object."""
    return protobuf.seal(kind.api_version, kind.kind, protobuf.write(kind.type, _document(data)))


def document(kind: Kind[Any], content: dict[str, Any]) -> bytes:
    """An object of a kind from its document."""
    return protobuf.seal(kind.api_version, kind.kind, protobuf.write(kind.type, content))


def partial(content: bytes) -> bytes:
    """A PartialObjectMetadata from its JSON."""
    about = _document(content)
    return protobuf.seal(about["apiVersion"], about["kind"], protobuf.partial(about["metadata"]))


def partial_list(content: bytes) -> bytes:
    """A PartialObjectMetadataList from its JSON."""
    about = _document(content)
    items = (protobuf.partial(item["metadata"]) for item in about["items"])
    return protobuf.seal(about["apiVersion"], about["kind"], protobuf.item_list(about["metadata"], items))


def collection(kind: Kind[Any], entries: Sequence[Entry], metadata: dict[str, Any]) -> bytes:
    """A list of stored objects."""
    items = [protobuf.write(kind.type, _document(entry.data)) for entry in entries]
    return protobuf.seal(kind.api_version, kind.list_kind, protobuf.item_list(metadata, items))


def event(kind: Kind[Any], type_: EventType, change: CacheEvent) -> bytes:
    """A watch event, made once for all who watch in protobuf."""
    return change.shared(f"protobuf {type_}", lambda: protobuf.watch_frame(type_, single(kind, change.shown(type_).data)))


frame = protobuf.watch_frame
write_object = protobuf.write_object
