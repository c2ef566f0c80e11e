"""Custom objects, and the classes that stand for their kinds."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, ClassVar, cast

import msgspec

from tiphys.api.custom import coerce, decoding
from tiphys.api.custom.ownership import root_schema
from tiphys.api.custom.structural import Document, Structural
from tiphys.api.machinery import ordered
from tiphys.api.machinery.apply.document import Difference, compare
from tiphys.api.machinery.apply.fieldset import LEAF, SELF, Fields, difference
from tiphys.api.machinery.apply.schema import Schema
from tiphys.api.machinery.apply.typed import METADATA, ROOT, UNTRACKED
from tiphys.api.machinery.codec import Decoded, Validation, decode_fast, encode
from tiphys.api.machinery.limits import ObjectTooLarge
from tiphys.api.machinery.scheme import GroupVersionKind
from tiphys.api.machinery.yamldoc import Parsed, YAMLError
from tiphys.api.meta.v1 import KubeObject, ObjectMeta

_encode_sorted = ordered.encoder("deterministic")
_decode_any = msgspec.json.Decoder().decode
_decode_parts = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_UNOWNED: Fields = {
    **{f"f:{name}": LEAF for name in UNTRACKED[ROOT]},
    "f:metadata": {SELF: LEAF, **{f"f:{name}": LEAF for name in UNTRACKED[METADATA]}},
}


class CustomObject(KubeObject):
    """An object of a kind that a definition made. `content` is everything but apiVersion, kind and metadata, as JSON decodes it."""

    __model__: ClassVar[Any] = None
    content: dict[str, Any] = {}


class Model:
    """One version of a custom kind, with all that follows from its schema."""

    def __init__(self, gvk: GroupVersionKind, structural: Structural, *, selectable: tuple[str, ...] = ()) -> None:
        self.gvk = gvk
        self.structural = structural
        self.selectable = selectable
        """Paths of the fields that selectors can use, for OpenAPI."""
        self.scale: Any = None
        """Paths of the replicas (`rules.Scaled`), None for kinds that are not scaled."""
        self.terminating = False
        """True if the definition is being deleted, so that nothing new may be created."""
        self.ownership: Schema = root_schema(structural)
        self.type: type[CustomObject] = cast(
            type[CustomObject],
            msgspec.defstruct(
                gvk.kind,
                [],
                bases=(CustomObject,),
                namespace={"__model__": self, "__doc__": structural.document.get("description", "")},
                module=__name__,
            ),
        )

    # --- requests ---

    def decode(self, body: bytes, media: str, validation: Validation, parsed: Parsed | YAMLError | None = None) -> Decoded[Any]:
        """An object from a request's body; errors as `codec.decode`."""
        return decoding.decode(self, body, media, validation, parsed)

    def decode_document(self, document: Document, validation: Validation, earlier: list[str]) -> Decoded[Any]:
        """An object from a patched document; errors as `codec.decode_document`."""
        return decoding.decode_document(self, document, validation, earlier)

    # --- the store ---

    def encode(self, obj: CustomObject) -> bytes:
        """The object as JSON, its metadata first."""
        head = b'{"apiVersion":%b,"kind":%b,"metadata":%b' % (encode(obj.apiVersion), encode(obj.kind), _encode_sorted(obj.metadata))
        return b"%b,%b" % (head, _encode_sorted(obj.content)[1:]) if obj.content else head + b"}"

    def read(self, data: bytes) -> CustomObject:
        """An object from JSON that `encode` wrote for this version."""
        parts = _decode_parts(data)
        obj = self.type(metadata=decode_fast(ObjectMeta, parts.pop("metadata")))
        self._stamp(obj)
        del parts["apiVersion"], parts["kind"]
        obj.content = {name: _decode_any(value) for name, value in parts.items()}
        return obj

    def restore(self, data: bytes) -> CustomObject:
        """An object from stored JSON, which may be of another version or an earlier schema: pruned and with its defaults."""
        obj = self.read(data)
        obj.metadata.generation = obj.metadata.generation or 1
        self._shape(obj.content)
        with suppress(ObjectTooLarge):  # By defaults that came after the object: it keeps those that fit.
            coerce.default(obj.content, self.structural)
        return obj

    def adopt(self, other: CustomObject) -> CustomObject:
        """An object of another version as one of this version: fields unknown to this version are dropped."""
        content = _decode_any(encode(other.content))
        self._shape(content)
        obj = self.type(metadata=other.metadata, content=content)
        self._stamp(obj)
        return obj

    def _stamp(self, obj: CustomObject) -> None:
        obj.apiVersion, obj.kind = self.gvk.api_version, self.gvk.kind

    def _shape(self, content: Document) -> None:
        coerce.prune_root(content, self.structural)
        coerce.drop_nulls(content, self.structural)
        coerce.coerce_embedded(content, self.structural)

    # --- field ownership ---

    def difference(self, old: CustomObject | None, new: CustomObject) -> Difference:
        """The fields in which two objects differ, without those that nobody owns; everything for an object that was not there."""
        before = {} if old is None else document_of(old)
        changed, removed = compare(self.ownership, before, document_of(new))
        return Difference(difference(changed, _UNOWNED), difference(removed, _UNOWNED))


def document_of(obj: CustomObject) -> Document:
    """An object as a document; it shares its content."""
    return {"apiVersion": obj.apiVersion, "kind": obj.kind, "metadata": coerce.plain_metadata(obj.metadata), **obj.content}
