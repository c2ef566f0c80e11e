"""From request bodies to typed objects and back.

The common body is decoded by msgspec straight into its type, in microseconds; a body that it refuses, or that repeats a field, takes the
slow walk of `tiphys.api.machinery.conform`. Field validation follows "KEP-2885: Server Side Unknown Field Validation".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, Literal, TypeVar

import msgspec

from tiphys.api.machinery.base import filled, is_micro_time
from tiphys.api.machinery.cached import cached
from tiphys.api.machinery.conform import Node, Walk, may_repeat, name_of
from tiphys.api.machinery.errors import BadRequest, Invalid, UnsupportedMediaType, invalid
from tiphys.api.machinery.introspect import Description, describe
from tiphys.api.machinery.limits import check_depth
from tiphys.api.machinery.yamldoc import Parsed, YAMLError, taken
from tiphys.api.meta.v1 import ObjectMeta

T = TypeVar("T", bound=msgspec.Struct)

Validation = Literal["Ignore", "Warn", "Strict"]

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"

_encode = msgspec.json.Encoder().encode
_decode_any = msgspec.json.Decoder().decode

_ODD_TIME = re.compile(rb"T\d\d:\d\d:\d\d(?!Z)")
_ODD_TIME_NOT_MICRO = re.compile(rb"T\d\d:\d\d:\d\d(?!Z|\.\d{6}Z)")
_DIGITS = bytes.maketrans(b"123456789", b"0" * 9)
_BIG = b"0" * 10
_BIG_NUMBER = re.compile(rb"[:,\[]\s*-?[0-9]{10}")
_OWNERS = "managedFields"
_REMEMBERED_BYTES = 4 << 10
"""Longest owned fields whose verdicts are remembered; most objects of a writer have the same."""
_SAMPLE = 120
"""Characters of a document that an error quotes: enough to see which one it is, and the mistake still stands in sight."""


class Decoded(msgspec.Struct, Generic[T]):
    """An object, and what field validation objects to (`unknown field "spec.foo"`), one text for each warning to give."""

    obj: T
    problems: list[str] = []


@dataclass(frozen=True, slots=True)
class _Plan:
    """Decoder and checks of a type, computed once."""

    decoder: msgspec.json.Decoder[Any]
    about: Description
    odd_time: re.Pattern[bytes]
    micro: tuple[tuple[str, ...], ...]
    closed: bool


@cache
def _plan(type_: type[msgspec.Struct]) -> _Plan:
    micro = tuple(_micro_times(type_, ()))
    odd_time = _ODD_TIME_NOT_MICRO if micro else _ODD_TIME
    return _Plan(msgspec.json.Decoder(type_), describe(type_), odd_time, micro, is_closed(type_))


def is_closed(type_: type[msgspec.Struct], above: frozenset[type[msgspec.Struct]] = frozenset()) -> bool:
    """True if every value in objects of a type has a type of its own, but for `managedFields`: they nest no deeper than their types do."""
    inside = above | {type_}
    for about in describe(type_).fields.values():
        shape = about.shape
        while shape.item is not None:
            shape = shape.item
        if shape.form in ("raw", "any") or shape.struct in inside:
            return False
        if shape.struct is not None and about.name != _OWNERS and not is_closed(shape.struct, inside):
            return False
    return True


def _micro_times(type_: type[msgspec.Struct], above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Names of the attributes of a type that hold MicroTimes; no list or map of the API does."""
    for about in describe(type_).fields.values():
        if about.shape.form == "microtime":
            yield (*above, about.attr)
        elif about.shape.struct is not None and len(above) < 2:
            yield from _micro_times(about.shape.struct, (*above, about.attr))


def encode(obj: Any) -> bytes:
    """The JSON of an object or document."""
    return _encode(obj)


def encode_object(obj: Any) -> bytes:
    """The JSON of an object of any kind, custom ones too."""
    model = obj.__model__
    return _encode(obj) if model is None else bytes(model.encode(obj))


def decode_fast(type_: type[T], body: bytes | msgspec.Raw) -> T:
    """An object from JSON that this program wrote itself; raises msgspec's errors on anything else."""
    obj: T = _plan(type_).decoder.decode(body)
    return obj


def decode(
    type_: type[T],
    body: bytes,
    *,
    content_type: str = JSON,
    validation: Validation = "Ignore",
    parsed: Parsed | YAMLError | None = None,
) -> Decoded[T]:
    """An object of this type from a request body; `parsed` is the result of a YAML body that was parsed before.

    Nulls, missing apiVersion and kind, and numbers for quantities are taken as upstream takes them. Raises BadRequest for a body that
    cannot be read, names another kind or holds values of the wrong type (all are reported), and with `Strict` for unknown and repeated
    fields; with `Warn` those are returned. Raises UnsupportedMediaType for a content type other than JSON, YAML and, for types that have
    messages, protobuf.
    """
    media = content_type if content_type == JSON else content_type.partition(";")[0].strip().lower() or JSON
    if media == "*/*":
        media = JSON
    if (model := getattr(type_, "__model__", None)) is not None:
        if media == JSON:
            check_depth(body)
        custom: Decoded[T] = model.decode(body, media, validation, parsed)
        return custom
    if media == YAML:
        return _fit(type_, read_yaml(type_, body, parsed), validation)
    if media != JSON:
        return _from_protobuf(type_, body, media)
    plan = _plan(type_)
    # Keys with escapes may be any, and the owners of fields nest as they like.
    literal = plan.closed and b"\\u" not in body
    owners = body.count(b"managedFields") if literal else 0
    closed = literal and not owners
    if not closed:
        check_depth(body)
    before = filled()
    try:
        obj = plan.decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        if closed:
            check_depth(body)
        return _fit(type_, read_json(type_, body), validation)
    # A body without zero values is judged by the object itself; others are decoded once more.
    if (_is_usual(plan, body, obj) and _right_kind(plan.about, obj)) and (
        validation == "Ignore"
        or (literal and owners <= 1 and not may_repeat(body, obj, filled() - before) and not (owners and _owners_may_repeat(obj)))
        or not may_repeat(body, _decode_any(body))
    ):
        return Decoded(obj)
    return _fit(type_, read_json(type_, body), validation)


def _owners_may_repeat(obj: Any) -> bool:
    """Return whether fields in an object's own managedFields, the only ones in its body, may be there twice: they are kept as they are."""
    metadata = getattr(obj, "metadata", None)
    if not isinstance(metadata, ObjectMeta) or not metadata.managedFields:
        return True
    for entry in metadata.managedFields:
        fields = bytes(entry.fieldsV1)
        if fields and (len(fields) > _REMEMBERED_BYTES or _fields_may_repeat(fields)):
            return True
    return False


@cached(heaviest=_REMEMBERED_BYTES, weight=64 * _REMEMBERED_BYTES)
def _fields_may_repeat(fields: bytes) -> bool:
    return may_repeat(fields, _decode_any(fields))


def decode_document(
    type_: type[T], document: dict[str, Any], *, validation: Validation = "Ignore", earlier: Sequence[str] = ()
) -> Decoded[T]:
    """An object from a patched document. `earlier` are problems of the patch itself, reported with those of the result.

    Raises Invalid with the field `patch`, as a patch whose result is not an object of the type ends upstream.
    """
    if (model := getattr(type_, "__model__", None)) is not None:
        custom: Decoded[T] = model.decode_document(document, validation, list(earlier))
        return custom
    plan = _plan(type_)
    about, walk = plan.about, Walk()
    try:
        body = _encode(document)
        check_depth(body)
        try:
            obj = plan.decoder.decode(body)
            usual = _is_usual(plan, body, obj) and _right_kind(about, obj)
        except msgspec.DecodeError:
            usual = False
        if not usual:
            obj = walk.struct(type_, _sorted(document), "")
    except RecursionError:
        raise BadRequest("the patched document exceeds the maximal depth") from None
    problems = [*earlier, *walk.problems]
    wrong = _wrong_kind(about, obj)
    if wrong or walk.mistakes:
        raise invalid_patch(document, wrong or ", ".join(walk.mistakes))
    if problems and validation == "Strict":
        raise invalid_patch(document, f"strict decoding error: {', '.join(problems)}")
    return Decoded(_stamp(about, obj), problems if validation == "Warn" else [])


def _sorted(value: Any) -> Any:
    """A document with its keys in order: mistakes in a patched one are reported in upstream's order, which patches maps."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def read_json(type_: type[msgspec.Struct], body: bytes) -> dict[str, Any]:
    """The generic document in a JSON body, with repeated keys remembered; raises BadRequest."""
    try:
        _decode_any(body)  # Stricter than json.loads, and its messages are shorter.
        document = json.loads(body, object_pairs_hook=Node)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        message = f"couldn't get version/kind; json parse error: {_clean(error)}"
        raise _unrecognized(type_, message, body) from None
    except RecursionError:
        raise _unrecognized(type_, "couldn't get version/kind; json parse error: exceeded max depth", body) from None
    return _object(type_, document, body)


def read_yaml(type_: type[msgspec.Struct], body: bytes, parsed: Parsed | YAMLError | None = None) -> dict[str, Any]:
    """The generic document in a YAML body, with repeated keys remembered; raises BadRequest."""
    try:
        document = taken(body, parsed).document
    except YAMLError as error:
        raise _unrecognized(type_, f"error converting YAML to JSON: {error}", body) from None
    return _object(type_, document, body)


class _TypeMeta(msgspec.Struct):
    kind: str = ""


def kind_in(body: bytes, content_type: str, parsed: Parsed | YAMLError | None = None) -> str:
    """Return the kind that a body names which `decode` has taken, for types that do not keep it; "" for none."""
    if content_type == JSON:
        return msgspec.json.decode(body, type=_TypeMeta).kind if b"kind" in body or b"\\u" in body else ""
    if isinstance(parsed, Parsed):
        return str(parsed.document.get("kind") or "")
    from tiphys.api.machinery import protobuf

    return protobuf.open_envelope(body).kind


def _from_protobuf(type_: type[T], body: bytes, media: str) -> Decoded[T]:
    unknown = "the body of the request was in an unknown format - accepted media types include: "
    if media != PROTOBUF:
        raise UnsupportedMediaType(f"{unknown}{JSON}, {YAML}, {PROTOBUF}")
    from tiphys.api.machinery import protobuf  # Loaded with the first body that needs it.

    if not protobuf.is_known(type_):
        raise UnsupportedMediaType(f"{unknown}{JSON}, {YAML}")
    about = describe(type_)
    try:
        envelope = protobuf.open_envelope(body)
    except protobuf.Malformed as error:
        raise _unrecognized(type_, str(error), body) from None
    document = {"apiVersion": envelope.api_version, "kind": envelope.kind}
    _check_kind(about, document)
    try:
        return Decoded(_stamp(about, protobuf.read(type_, envelope.raw)))
    except protobuf.Malformed as error:
        raise BadRequest(f"{_handled(about, document)}: {error}") from None


def _object(type_: type[msgspec.Struct], document: Any, body: bytes) -> dict[str, Any]:
    if isinstance(document, dict):
        return document
    message = f"couldn't get version/kind; json parse error: json: cannot unmarshal {name_of(document)} into an object"
    raise _unrecognized(type_, message, body)


def _fit(type_: type[T], document: dict[str, Any], validation: Validation) -> Decoded[T]:
    about = describe(type_)
    _check_kind(about, document)
    walk = Walk()
    try:
        obj: T = walk.struct(type_, document, "")
    except RecursionError:
        raise BadRequest(f"{_handled(about, document)}: json: exceeded max depth") from None
    if walk.mistakes:
        raise BadRequest(f"{_handled(about, document)}: {', '.join(walk.mistakes)}")
    if walk.problems and validation == "Strict":
        raise BadRequest(f"{_handled(about, document)}: strict decoding error: {', '.join(walk.problems)}")
    return Decoded(_stamp(about, obj), walk.problems if validation == "Warn" else [])


def _is_usual(plan: _Plan, body: bytes, obj: Any) -> bool:
    """No time that is not as the server writes it, and no number that could be too large for its field."""
    if plan.odd_time.search(body) is not None:
        return False
    for path in plan.micro:
        value = obj
        for attribute in path:
            value = getattr(value, attribute, None)
        if value is not None and not is_micro_time(value):
            return False
    # Ten digits in a row are mostly part of an ID or a digest; the more expensive check distinguishes them from numbers.
    return _BIG not in body.translate(_DIGITS) or _BIG_NUMBER.search(body) is None


def _right_kind(about: Description, obj: Any) -> bool:
    return not about.kind or (obj.kind == about.kind and obj.apiVersion == about.api_version)


def _wrong_kind(about: Description, obj: Any) -> str:
    """Return the mistake in a patched object's kind; empty ones are filled in."""
    if about.kind and obj.kind not in ("", about.kind):
        return f'no kind "{obj.kind}" is registered for version "{obj.apiVersion}" at this path; it serves {about.kind}'
    if about.kind and obj.apiVersion not in ("", about.api_version):
        return f"the API version in the data ({obj.apiVersion}) does not match the expected API version ({about.api_version})"
    return ""


def _stamp(about: Description, obj: Any) -> Any:
    if about.kind:
        obj.apiVersion, obj.kind = about.api_version, about.kind
    return obj


_OLDER = frozenset({("policy/v1beta1", "Eviction")})
"""Kinds that are still taken in an older version that is the same; kubectl before 1.22 drains with it."""


def _check_kind(about: Description, document: dict[str, Any]) -> None:
    """Refuse a document of another kind; one without a kind has that of the path."""
    kind, version = document.get("kind"), document.get("apiVersion")
    if not about.kind or not isinstance(kind or "", str) or not isinstance(version or "", str):
        return
    if version and version != about.api_version and (version, about.kind) not in _OLDER:
        raise BadRequest(f"the API version in the data ({version}) does not match the expected API version ({about.api_version})")
    if kind and kind != about.kind:
        short = about.api_version.rpartition("/")[2]
        raise BadRequest(f"{_handled(about, document)}: converting ({short}.{kind}) to ({short}.{about.kind}): unknown conversion")


def _handled(about: Description, document: dict[str, Any]) -> str:
    name = about.kind or about.type.__name__
    kind, version = document.get("kind") or name, document.get("apiVersion") or about.api_version
    return f'{kind} in version "{str(version).rpartition("/")[2]}" cannot be handled as a {name}'


def _unrecognized(type_: type[msgspec.Struct], message: str, body: bytes) -> BadRequest:
    sample = f"{body[:30].hex()} ..." if len(body) > 30 else body.hex()
    name = type_.__name__
    return BadRequest(f"the object provided is unrecognized (must be of type {name}): {message} ({sample or 'empty'})")


def invalid_patch(document: dict[str, Any], message: str) -> Invalid:
    """The answer to a patch whose result is no such object."""
    text = _encode(document).decode()
    return Invalid.object("", "", [invalid("patch", text if len(text) <= _SAMPLE else f"{text[:_SAMPLE]}...", message)])


def _clean(error: Exception) -> str:
    return str(error).removeprefix("JSON is malformed: ")
