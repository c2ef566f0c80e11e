"""Which representation of an answer the client wants ("Kubernetes API Concepts: Alternate representations of resources")."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import msgspec

from tiphys.api.errors import NotAcceptable

Shape = Literal["object", "table", "partial"]


class Format(msgspec.Struct, frozen=True):
    """A representation: whole objects, a Table or only metadata; as JSON or YAML. `version` is the meta.k8s.io version asked for."""

    shape: Shape = "object"
    media: Literal["json", "yaml"] = "json"
    version: str = "v1"

    @property
    def content_type(self) -> str:
        return "application/yaml" if self.media == "yaml" else "application/json"


JSON = Format()
_SHAPES: dict[str, Shape] = {"": "object", "Table": "table", "PartialObjectMetadata": "partial", "PartialObjectMetadataList": "partial"}
_JSON_TYPES = frozenset(("application/json", "*/*", "application/*"))
_YAML_TYPES = frozenset(("application/yaml",))


@lru_cache(maxsize=256)
def _choose(accept: str) -> Format | None:
    offers: list[tuple[float, int, Format]] = []
    for position, clause in enumerate(accept.split(",")):
        media, *rest = (part.strip() for part in clause.split(";"))
        params = dict(part.partition("=")[::2] for part in rest)
        shape = _SHAPES.get(params.get("as", ""))
        known = media in _JSON_TYPES or media in _YAML_TYPES
        if shape is None or not known or (shape != "object" and params.get("g", "meta.k8s.io") != "meta.k8s.io"):
            continue
        try:
            quality = float(params.get("q", "1"))
        except ValueError:
            continue
        version = params.get("v", "v1") if shape != "object" else "v1"
        if version in ("v1", "v1beta1"):
            offers.append((-quality, position, Format(shape, "yaml" if media in _YAML_TYPES else "json", version)))
    return min(offers, key=lambda offer: offer[:2])[2] if offers else None


def negotiate(accept: str) -> Format:
    """The best format for an Accept header; raises NotAcceptable when none fits."""
    if not accept or accept == "application/json":
        return JSON
    chosen = _choose(accept)
    if chosen is None:
        raise NotAcceptable("only the following media types are accepted: application/json, application/yaml")
    return chosen
