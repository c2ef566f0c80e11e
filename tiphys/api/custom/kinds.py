"""From a definition to the kinds that it makes: one for each served version, over the storage of one of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from tiphys.api.apiextensions import v1 as extensions
from tiphys.api.custom.jsonpath import BadPath, cell, compile_path, shown
from tiphys.api.custom.object import CustomObject, Model, document_of
from tiphys.api.custom.rules import CustomRules, Scaled
from tiphys.api.custom.structural import Document, Structural, compile_schema
from tiphys.api.machinery.budget import Budget
from tiphys.api.machinery.columns import MAX_ROW, Row
from tiphys.api.machinery.scheme import Column, GroupVersionKind, Kind, Stored, Subresource
from tiphys.api.machinery.subresources import SCALE, STATUS
from tiphys.api.machinery.versions import version_key

CustomKind = Kind[CustomObject]

_AGE = extensions.CustomResourceColumnDefinition(
    name="Age", type="date", description="How long ago the object was created.", jsonPath=".metadata.creationTimestamp"
)


def schema_of(version: extensions.CustomResourceDefinitionVersion) -> Document:
    """The schema of a version as a document."""
    if version.schema is None or version.schema.openAPIV3Schema is None:
        return {}
    document: Document = msgspec.json.decode(msgspec.json.encode(version.schema.openAPIV3Schema))
    return document


def kinds_of(definition: extensions.CustomResourceDefinition) -> list[CustomKind]:
    """The kinds of a definition whose names are accepted: that of the storage version first, whether it is served or not."""
    storage = next(version for version in definition.spec.versions if version.storage)
    hub = _kind(definition, storage, None)
    others = [_kind(definition, version, hub) for version in definition.spec.versions if version.served and version is not storage]
    return [hub, *others]


def is_served(definition: extensions.CustomResourceDefinition, kind: Kind[Any]) -> bool:
    """Return whether the version of the kind is served."""
    return any(version.name == kind.version and version.served for version in definition.spec.versions)


def _kind(
    definition: extensions.CustomResourceDefinition, version: extensions.CustomResourceDefinitionVersion, hub: CustomKind | None
) -> CustomKind:
    spec, names = definition.spec, definition.status.acceptedNames
    document = schema_of(version)
    structural = compile_schema(document)
    structural.preserve = structural.preserve or spec.preserveUnknownFields or not document
    selectable = {field.jsonPath.removeprefix("."): _selector(field.jsonPath) for field in version.selectableFields}
    model = Model(GroupVersionKind(spec.group, version.name, names.kind), structural, selectable=tuple(selectable))
    subresources, scale = _subresources(version)
    rules = CustomRules(structural, has_status=STATUS in subresources, scale=scale)
    model.scale = scale
    return Kind(
        type=model.type,
        plural=names.plural,
        group=spec.group,
        version=version.name,
        namespaced=spec.scope == "Namespaced",
        short_names=tuple(names.shortNames),
        categories=tuple(names.categories),
        subresources=subresources,
        rules=rules,
        columns=_columns(version),
        selectable=selectable,
        singular=names.singular,
        list_kind=names.listKind,
        deprecated=_deprecation(definition, version),
        stored=None if hub is None else Stored(hub, hub.type.__model__.adopt, model.adopt),
    )


def _subresources(version: extensions.CustomResourceDefinitionVersion) -> tuple[tuple[Subresource, ...], Scaled | None]:
    spec = version.subresources
    if spec is None:
        return (), None
    scale = None
    if spec.scale is not None:
        scale = Scaled(spec.scale.specReplicasPath, spec.scale.statusReplicasPath, spec.scale.labelSelectorPath or "")
    declared = ((STATUS, spec.status), (SCALE, spec.scale))
    return tuple(sub for sub, declaration in declared if declaration is not None), scale


def _selector(path: str) -> Callable[[CustomObject], str]:
    find = compile_path(path)

    def value(obj: CustomObject) -> str:
        values = find(obj.content)
        return shown(values[0]) if values else ""

    return value


def _columns(version: extensions.CustomResourceDefinitionVersion) -> tuple[Column, ...]:
    columns = [Column("Name", lambda obj, _: obj.metadata.name, format="name", description="The name, unique among objects of the kind.")]
    for column in version.additionalPrinterColumns or [_AGE]:
        try:
            read = cell(column.jsonPath, column.type)
        except BadPath:
            break  # As upstream: columns after an invalid one are not shown.
        metered = _reader(read, column.jsonPath)
        columns.append(
            Column(
                column.name,
                _alone(metered),
                type=column.type,
                format=column.format,
                description=column.description or f"Custom resource definition column (in JSONPath format): {column.jsonPath}",
                priority=column.priority,
                metered=metered,
            )
        )
    return tuple(columns)


def _reader(read: Callable[[Any, datetime, Budget], Any], path: str) -> Callable[[Row], Any]:
    if path.startswith((".spec", ".status")):
        return lambda row: read(row.obj.content, row.now, row.budget)

    def of_document(row: Row) -> Any:
        if row.document is None:
            row.document = document_of(row.obj)
        return read(row.document, row.now, row.budget)

    return of_document


def _alone(metered: Callable[[Row], Any]) -> Callable[[CustomObject, datetime], Any]:
    return lambda obj, now: metered(Row(obj, now, Budget(MAX_ROW)))


def _deprecation(definition: extensions.CustomResourceDefinition, version: extensions.CustomResourceDefinitionVersion) -> str:
    if not version.deprecated:
        return ""
    if version.deprecationWarning is not None:
        return version.deprecationWarning
    spec = definition.spec
    text = f"{spec.group}/{version.name} {spec.names.kind} is deprecated"
    mine = version_key(version.name)
    better = sorted(
        (other.name for other in spec.versions if other.served and not other.deprecated and version_key(other.name) < mine),
        key=version_key,
    )
    return f"{text}; use {spec.group}/{better[0]} {spec.names.kind}" if better else text


__all__ = ["CustomKind", "Structural", "is_served", "kinds_of", "schema_of"]
