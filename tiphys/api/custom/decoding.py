"""Requests' bodies and patched documents as custom objects (compare `tiphys.api.machinery.codec`, which does it for built-in kinds)."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from tiphys.api.custom import coerce
from tiphys.api.custom.structural import Document, Structural
from tiphys.api.machinery import codec
from tiphys.api.machinery.codec import JSON, YAML, Decoded, Validation
from tiphys.api.machinery.conform import Walk, may_repeat
from tiphys.api.machinery.errors import BadRequest, FieldError, Invalid, UnsupportedMediaType, invalid
from tiphys.api.machinery.limits import check_depth
from tiphys.api.machinery.scheme import GroupVersionKind
from tiphys.api.machinery.yamldoc import Parsed, YAMLError

_MOST_SHOWN = 1024


class Model(Protocol):
    """Part of a version of a custom kind that decoding reads (`object.Model`)."""

    @property
    def gvk(self) -> GroupVersionKind: ...
    @property
    def structural(self) -> Structural: ...
    @property
    def type(self) -> type[Any]: ...


def decode(model: Model, body: bytes, media: str, validation: Validation, parsed: Parsed | YAMLError | None = None) -> Decoded[Any]:
    """An object from a request's body; raises BadRequest, Invalid for another kind, UnsupportedMediaType."""
    walk = Walk()
    document = _plain(model, body, media, walk, validation, parsed)
    _check_type(model, document, body)
    obj, wrong = _shaped(model, document, walk)
    if wrong:
        raise BadRequest(f"{_handled(model, document)}: {wrong}")
    if walk.problems and validation == "Strict":
        raise BadRequest(f"{_handled(model, document)}: strict decoding error: {', '.join(walk.problems)}")
    return Decoded(obj, walk.problems if validation == "Warn" else [])


def _plain(model: Model, body: bytes, media: str, walk: Walk, validation: Validation, parsed: Parsed | YAMLError | None) -> Document:
    if media == YAML:
        return _document(walk.plain(codec.read_yaml(model.type, body, parsed), ""))
    if media not in (JSON, "", "*/*"):
        raise UnsupportedMediaType(f"the body of the request was in an unknown format - accepted media types include: {JSON}, {YAML}")
    try:
        document = msgspec.json.decode(body)
        if isinstance(document, dict) and (validation == "Ignore" or not may_repeat(body, document)):
            return document
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    return _document(walk.plain(codec.read_json(model.type, body), ""))


def _document(value: Any) -> Document:
    assert isinstance(value, dict)
    return value


def _check_type(model: Model, document: Document, body: bytes) -> None:
    """Require apiVersion and kind, unlike for built-in kinds."""
    gvk = model.gvk
    kind, version = document.get("kind"), document.get("apiVersion")
    shown = body[:_MOST_SHOWN].decode(errors="replace")
    if not isinstance(kind, str) or not kind:
        message = f"Object 'Kind' is missing in '{shown}'"
        sample = f"{body[:30].hex()} ..." if len(body) > 30 else body.hex()
        raise BadRequest(f"the object provided is unrecognized (must be of type {gvk.kind}): {message} ({sample})")
    if not isinstance(version, str) or not version:
        raise BadRequest(f"{_handled(model, document)}: Object 'apiVersion' is missing in '{shown}'")
    if version != gvk.api_version:
        raise BadRequest(f"the API version in the data ({version}) does not match the expected API version ({gvk.api_version})")
    if kind != gvk.kind:
        meta = document.get("metadata")
        name = meta.get("name") if isinstance(meta, dict) else ""
        raise Invalid.object(gvk.kind, str(name or ""), [invalid("kind", kind, f"must be {gvk.kind}")], group=gvk.group)


def _shaped(model: Model, document: Document, walk: Walk) -> tuple[Any, str]:
    """The object, and the mistake that makes it unusable; unknown fields go to the walk's problems."""
    try:
        return _shape(model, document, walk)
    except RecursionError:
        return None, "json: exceeded max depth"


def _shape(model: Model, document: Document, walk: Walk) -> tuple[Any, str]:
    content = {name: value for name, value in document.items() if name not in ("apiVersion", "kind", "metadata")}
    meta, result = coerce.read_metadata(document.get("metadata"))
    if result.mistakes:
        return None, ", ".join(result.mistakes)
    for problem in result.problems:
        what, _, path = problem.partition(' field "')
        walk.problem(what, f"metadata.{path[:-1]}")
    for path in coerce.prune_root(content, model.structural):
        walk.problem("unknown", path)
    coerce.drop_nulls(content, model.structural)
    mistake, unknown = coerce.coerce_embedded(content, model.structural)
    if mistake is not None:
        return None, str(mistake)
    for path in sorted(unknown):
        walk.problem("unknown", path)
    coerce.default(content, model.structural)
    gvk = model.gvk
    return model.type(apiVersion=gvk.api_version, kind=gvk.kind, metadata=meta, content=content), ""


def decode_document(model: Model, document: Document, validation: Validation, earlier: list[str]) -> Decoded[Any]:
    """An object from a patched document; raises Invalid."""
    walk = Walk()
    walk.problems += earlier
    try:
        body = msgspec.json.encode(document)
        check_depth(body)
        plain: Document = msgspec.json.decode(body)
    except RecursionError:
        raise BadRequest("the patched document exceeds the maximal depth") from None
    gvk = model.gvk
    errors: list[FieldError] = []
    if plain.get("kind") not in (None, "", gvk.kind):
        errors.append(invalid("kind", plain["kind"], f"must be {gvk.kind}"))
    if plain.get("apiVersion") not in (None, "", gvk.api_version):
        errors.append(invalid("apiVersion", plain["apiVersion"], f"must be {gvk.api_version}"))
    if errors:
        raise Invalid.object(gvk.kind, "", errors, group=gvk.group)
    obj, wrong = _shaped(model, plain, walk)
    if wrong:
        raise codec.invalid_patch(document, wrong)
    if walk.problems and validation == "Strict":
        raise codec.invalid_patch(document, f"strict decoding error: {', '.join(walk.problems)}")
    return Decoded(obj, walk.problems if validation == "Warn" else [])


def _handled(model: Model, document: Document) -> str:
    kind, version = document.get("kind"), document.get("apiVersion")
    short = version.rpartition("/")[2] if isinstance(version, str) else ""
    return f'{kind} in version "{short}" cannot be handled as a {model.gvk.kind}'
