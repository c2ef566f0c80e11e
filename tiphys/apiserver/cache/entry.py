"""An object as the API server holds it: encoded once, with what selectors need extracted beside it.

Values in the store are JSON without a resourceVersion, since the store's own revision is the resourceVersion and exists only after the
write. `splice` puts it in as the first member of metadata, whose place is known per kind, so that no object is decoded to be served.

Built-in objects begin with `kind`, then `apiVersion`, as upstream encodes its types, and custom objects the other way round, as it encodes
maps. Built-in objects that were stored with `apiVersion` first are turned round when they are read: both ways are equally long.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import msgspec

from tiphys.api.machinery import ordered
from tiphys.api.machinery.codec import is_closed
from tiphys.api.machinery.limits import MAX_BYTES, ObjectTooLarge, check_stored, too_deep
from tiphys.api.machinery.ordered import LARGE_MAP, SAFE_BYTES
from tiphys.api.machinery.scheme import Kind
from tiphys.api.meta.v1 import KubeObject


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One object at one revision. `data` is the JSON that clients get; `fields` holds the values of the kind's field selectors."""

    namespace: str
    name: str
    revision: int
    data: bytes
    labels: Mapping[str, str]
    fields: Mapping[str, str]

    @property
    def key(self) -> str:
        """`namespace/name`, or `name` for cluster-scoped kinds."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


_MOST_ADDED = 50
"""Bytes that a resourceVersion adds at most."""


class EntryCodec:
    """Turns objects of one kind into stored bytes and stored bytes into entries."""

    def __init__(self, kind: Kind[Any]) -> None:
        self.kind = kind
        # Maps in the order of their keys: writing the same content in another order changes nothing.
        encode = ordered.encoder("deterministic")
        model = kind.type.__model__
        self._encode: Callable[[Any], bytes] = encode if model is None else model.encode
        self._encode_small: Callable[[Any], bytes] = ordered.small_encoder("deterministic") if model is None else model.encode
        version, name = kind.api_version.encode(), kind.kind.encode()
        by_name = b'{"apiVersion":"%b","kind":"%b","metadata":{' % (version, name)
        typed = b'{"kind":"%b","apiVersion":"%b","metadata":{' % (name, version)
        self._prefix, self._other = (typed, by_name) if model is None else (by_name, typed)
        self._offset = len(self._prefix)
        self._bare = self._offset - len(b'"metadata":{') if model is None else 0

    # These two take a millisecond for each kind, and most kinds have no object.

    @cached_property
    def _decode(self) -> Callable[[bytes], Any]:
        model = self.kind.type.__model__
        return msgspec.json.Decoder(self.kind.type).decode if model is None else model.read

    @cached_property
    def _closed(self) -> bool:
        return self.kind.type.__model__ is None and is_closed(self.kind.type)

    def encode(self, obj: KubeObject, *, small: bool = False) -> bytes:
        """The bytes to store. The object's own resourceVersion and type fields are replaced by what they must be.

        With `small` none of its maps may have thousands of keys (`ordered`).
        """
        obj.apiVersion, obj.kind, obj.metadata.resourceVersion = self.kind.api_version, self.kind.kind, ""
        value = self._encode_small(obj) if small else self._encode(obj)
        if not value.startswith(self._prefix):
            raise ValueError(f"{self.kind.kind} does not encode with its metadata first")
        return value

    def encode_checked(self, obj: KubeObject) -> bytes:
        """`encode` for a write; raises BadRequest or ObjectTooLarge for an object that must not be stored."""
        try:
            value = self.encode(obj)
        except RecursionError:
            raise too_deep() from None
        check_stored(value)
        return value

    def encode_bounded(self, obj: KubeObject, source_bytes: int) -> bytes:
        """`encode_checked` in one pass for an object whose maps, other than labels and annotations, come from so much JSON (0: unknown)."""
        meta = obj.metadata
        if not (0 < source_bytes <= SAFE_BYTES and self._closed and len(meta.labels) < LARGE_MAP and len(meta.annotations) < LARGE_MAP):
            return self.encode_checked(obj)
        value = self.encode(obj, small=True)
        if len(value) > MAX_BYTES:
            raise ObjectTooLarge
        return value

    def splice(self, value: bytes, revision: int) -> bytes:
        """Stored bytes with their resourceVersion; an object never stored, at revision 0, has none."""
        if not revision:
            return value
        n = self._offset
        return b'%b"resourceVersion":"%d",%b' % (value[:n], revision, value[n:])

    def is_same(self, value: bytes, entry: Entry) -> bool:
        """True if the bytes to store are what is behind the entry."""
        # Told by their lengths most often.
        added = len(entry.data) - len(value)
        return 0 <= added < _MOST_ADDED and self.splice(value, entry.revision) == entry.data

    def strip(self, data: bytes) -> bytes:
        """The stored bytes behind an entry's `data`."""
        n = self._offset
        return data[:n] + data[data.index(b'",', n + 19) + 2 :]

    def join(self, head: bytes, entries: Sequence[Entry], tail: bytes) -> bytes:
        """A list: its items between two other parts. Built-in objects have no type of their own in a list of their type."""
        if not entries:
            return head + tail
        n = self._bare
        items = [entry.data[n:] for entry in entries]
        items[-1] += tail
        if n:
            items[0] = b"%b{%b" % (head, items[0])
            return b",{".join(items)
        items[0] = head + items[0]
        return b",".join(items)

    def at(self, entry: Entry, revision: int) -> Entry:
        """The same object as if written at another revision: how it is shown when it goes."""
        data = self.splice(self.strip(entry.data), revision)
        return Entry(entry.namespace, entry.name, revision, data, entry.labels, entry.fields)

    def decode(self, data: bytes) -> Any:
        """The typed object; stored objects are valid by construction."""
        return self._decode(data)

    def extract(self, obj: KubeObject) -> dict[str, str]:
        """The values of the kind's field selectors."""
        return {path: value(obj) for path, value in self.kind.selectable.items()}

    def entry(self, value: bytes, revision: int, obj: KubeObject | None = None) -> Entry:
        """The entry for stored bytes; `obj` spares decoding when the caller has it."""
        if obj is None:
            obj = self.decode(value)
            if value.startswith(self._other):
                value = self._prefix + value[self._offset :]
        meta = obj.metadata
        return Entry(meta.namespace, meta.name, revision, self.splice(value, revision), meta.labels, self.extract(obj))


class CustomEntryCodec(EntryCodec):
    """Entries of custom objects: stored bytes may be of another version or an earlier schema, and are brought up to date here."""

    def entry(self, value: bytes, revision: int, obj: KubeObject | None = None) -> Entry:
        """The entry for stored bytes. Its data is the bytes that a write would store now, defaults included."""
        if obj is None:
            obj = self.kind.type.__model__.restore(value)
            now = self.encode(obj)
            if now != value:
                fresh = super().entry(now, revision, obj)
                return StaleEntry(fresh.namespace, fresh.name, revision, fresh.data, fresh.labels, fresh.fields)
        return super().entry(value, revision, obj)


class StaleEntry(Entry, frozen=True, gc=False):
    """An entry whose stored form differs from the one that a write would store now: a write without changes is made all the same."""


def entry_codec(kind: Kind[Any]) -> EntryCodec:
    """The codec of a stored kind."""
    return EntryCodec(kind) if kind.type.__model__ is None else CustomEntryCodec(kind)
