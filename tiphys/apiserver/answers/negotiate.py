"""Content negotiation of answers ("Kubernetes API Concepts: Alternate representations of resources")."""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

from tiphys.api.machinery.cached import cached
from tiphys.api.machinery.errors import NotAcceptable
from tiphys.wire.http import Request

Shape = Literal["object", "table", "partial"]
Media = Literal["json", "yaml", "protobuf"]

_CONTENT_TYPES: dict[Media, str] = {
    "json": "application/json",
    "yaml": "application/yaml",
    "protobuf": "application/vnd.kubernetes.protobuf",
}


class Format(msgspec.Struct, frozen=True):
    """A representation: whole objects, a Table or only metadata, and how it is written. `version` is the meta.k8s.io version asked for."""

    shape: Shape = "object"
    media: Media = "json"
    version: str = "v1"
    pretty: bool = False
    """True if JSON is broken into lines and indented."""

    @property
    def content_type(self) -> str:
        return _CONTENT_TYPES[self.media]


JSON = Format()
PRETTY_JSON = Format(pretty=True)
_PEOPLE = ("curl", "Wget", "Mozilla/5.0")
"""Prefixes of User-Agents of programs for people: they get indented JSON unless they decline it."""
MOST_CLAUSES = 256
"""Media types of an Accept header that are looked at."""
_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_QUALITY = re.compile(r"[0-9]{1,9}(\.[0-9]{0,9})?")
_SHAPES: dict[str, Shape] = {"": "object", "Table": "table", "PartialObjectMetadata": "partial", "PartialObjectMetadataList": "partial"}
_MEDIA: dict[str, Media] = {
    **{content_type: media for media, content_type in _CONTENT_TYPES.items()},
    "*/*": "json",
    "application/*": "json",
}


@cached()
def _choose(request: tuple[str, bool, bool]) -> Format | None:
    """The best format for an Accept header; whether there is one in protobuf, and whether tables are allowed."""
    accept, protobuf, tables = request
    offers: list[tuple[float, int, Format]] = []
    for position, clause in enumerate(accept.split(",", MOST_CLAUSES)[:MOST_CLAUSES]):
        name, *rest = (part.strip() for part in clause.split(";"))
        params = dict(part.partition("=")[::2] for part in rest)
        shape = _SHAPES.get(params.get("as", ""))
        media = _MEDIA.get(name.lower())
        if shape is None or media is None or (shape != "object" and params.get("g", "meta.k8s.io") != "meta.k8s.io"):
            continue
        if shape != "object" and not tables:
            continue
        if media == "protobuf" and (shape == "table" or (shape == "object" and not protobuf)):
            continue  # Tables have no message, and the metadata of anything has one.
        quality = params.get("q", "1")
        if not _QUALITY.fullmatch(quality):
            continue
        version = params.get("v", "v1") if shape != "object" else "v1"
        if version in ("v1", "v1beta1"):
            offers.append((-float(quality), position, Format(shape, media, version, pretty=params.get("pretty") == "1")))
    return min(offers, key=lambda offer: offer[:2])[2] if offers else None


def negotiate(accept: str, type_: type[Any] | None = None, *, tables: bool = True) -> Format:
    """The best format for an Accept header and, for protobuf, the type of the object; raises NotAcceptable when none fits.

    Without `tables` the answer is nothing that could be shown as a table or as bare metadata.
    """
    if not accept or accept == "application/json":
        return JSON
    protobuf = type_ is not None and "protobuf" in accept and _has_message(type_)
    chosen = _choose((accept, protobuf, tables))
    if chosen is None:
        raise NotAcceptable(f"only the following media types are accepted: {', '.join(_CONTENT_TYPES.values())}")
    return chosen


def wants_lines(request: Request) -> bool:
    """Return whether JSON is to be read by people: `pretty` says so, or without it the User-Agent."""
    if request.query and (value := request.param("pretty")):
        return value in _TRUE
    return request.headers.get("user-agent", "").startswith(_PEOPLE)


def indented(data: bytes) -> bytes:
    """JSON broken into lines, for people."""
    return msgspec.json.format(data, indent=2)


def format_of(request: Request, type_: type[Any] | None = None, *, tables: bool = True) -> Format:
    """The best format for a request: `negotiate` and `wants_lines` together."""
    headers = request.headers
    accept = headers.get("accept", "")
    form = JSON if not accept or accept == "application/json" else negotiate(accept, type_, tables=tables)
    if not (wants_lines(request) if request.query else headers.get("user-agent", "").startswith(_PEOPLE)):
        return form
    return PRETTY_JSON if form is JSON else msgspec.structs.replace(form, pretty=True)


def _has_message(type_: type[Any]) -> bool:
    from tiphys.api.machinery import protobuf  # Loaded with the first client that speaks it.

    return protobuf.is_known(type_)
