"""Objects as tables and as bare metadata ("Kubernetes API Concepts: Receiving resources as Tables", "Metadata-only fetches").

A kind's `columns` define the cells; a kind without any shows its name and creation time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from tiphys.api.machinery.codec import encode_object
from tiphys.api.machinery.columns import Meter
from tiphys.api.machinery.scheme import Column, Kind
from tiphys.api.meta.v1 import KubeObject

Include = Literal["None", "Metadata", "Object"]


def _created(obj: KubeObject, _: datetime) -> str | None:
    moment = obj.metadata.creationTimestamp
    return None if moment is None else f"{moment:%Y-%m-%dT%H:%M:%SZ}"


DEFAULT_COLUMNS = (
    Column(
        "Name", lambda obj, _: obj.metadata.name, format="name", description="The name, unique among objects of the kind in the namespace."
    ),
    Column("Created At", _created, type="date", description="When the server created the object."),
)


def render_table(
    kind: Kind[Any],
    objects: Sequence[KubeObject],
    *,
    now: datetime,
    resource_version: str = "",
    continue_: str = "",
    remaining: int | None = None,
    include: Include = "Metadata",
    with_headers: bool = True,
    version: str = "v1",
    columns: Sequence[Column] = (),
    meter: Meter | None = None,
) -> bytes:
    """The JSON of a Table with one row for each object.

    `columns` stand in for those of the kind; `meter` is that of an answer in several tables. `include` selects the object beside the cells:
    none, the metadata or the whole object. Watches send headers with the first event only, and null with the others.
    """
    columns = columns or kind.columns or DEFAULT_COLUMNS
    meter = meter or Meter()
    rows = []
    for obj in objects:
        row: dict[str, Any] = {"cells": meter.cells(columns, obj, now)}
        if include != "None":
            row["object"] = msgspec.Raw(encode_object(obj)) if include == "Object" else _partial(obj, version)
        rows.append(row)
    return msgspec.json.encode(
        {
            "kind": "Table",
            "apiVersion": f"meta.k8s.io/{version}",
            "metadata": _list_metadata(resource_version, continue_, remaining),
            "columnDefinitions": [_definition(column) for column in columns] if with_headers else None,
            "rows": rows,
        }
    )


def render_partial(obj: KubeObject, *, version: str = "v1") -> bytes:
    """The JSON of an object's PartialObjectMetadata."""
    return msgspec.json.encode(_partial(obj, version))


def render_partial_list(
    objects: Iterable[KubeObject], *, resource_version: str = "", continue_: str = "", remaining: int | None = None, version: str = "v1"
) -> bytes:
    """The JSON of a PartialObjectMetadataList."""
    return msgspec.json.encode(
        {
            "kind": "PartialObjectMetadataList",
            "apiVersion": f"meta.k8s.io/{version}",
            "metadata": _list_metadata(resource_version, continue_, remaining),
            "items": [_partial(obj, version) for obj in objects],
        }
    )


def _partial(obj: KubeObject, version: str) -> dict[str, Any]:
    return {"kind": "PartialObjectMetadata", "apiVersion": f"meta.k8s.io/{version}", "metadata": obj.metadata}


def _list_metadata(resource_version: str, continue_: str, remaining: int | None) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    if resource_version:
        metadata["resourceVersion"] = resource_version
    if continue_:
        metadata["continue"] = continue_
    if remaining is not None:
        metadata["remainingItemCount"] = remaining
    return metadata


def _definition(column: Column) -> dict[str, Any]:
    return {
        "name": column.name,
        "type": column.type,
        "format": column.format,
        "description": column.description,
        "priority": column.priority,
    }
