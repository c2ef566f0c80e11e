"""CustomResourceDefinition: defaults, validation, columns and registration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from tiphys.api.apiextensions import v1 as extensions
from tiphys.api.apiextensions.definition import (
    validate_definition,
    validate_definition_status,
    validate_definition_update,
    validate_new_definition,
)
from tiphys.api.apiextensions.v1 import CustomResourceConversion, CustomResourceDefinition, CustomResourceDefinitionStatus, JSONSchemaProps
from tiphys.api.custom.formats import is_known
from tiphys.api.custom.kinds import schema_of
from tiphys.api.machinery.conform import Walk, name_of
from tiphys.api.machinery.errors import BadRequest, FieldError
from tiphys.api.machinery.scheme import Column, Kind, Rules
from tiphys.api.machinery.subresources import STATUS

CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
"""Holds a definition until its objects are gone."""

NOT_EVALUATED = "x-kubernetes-validations are kept and published, but this server does not evaluate them yet"


class CustomResourceDefinitionRules(Rules[CustomResourceDefinition]):
    names_finalizers = False
    needs_version = True

    def default(self, obj: CustomResourceDefinition) -> None:
        spec = obj.spec
        for index, version in enumerate(spec.versions):
            if version.schema is not None and version.schema.openAPIV3Schema is not None:
                _check_nested(version.schema.openAPIV3Schema, f"spec.versions[{index}].schema.openAPIV3Schema")
        names = spec.names
        names.singular = names.singular or names.kind.lower()
        if names.kind and not names.listKind:
            names.listKind = f"{names.kind}List"
        if spec.conversion is None:
            spec.conversion = CustomResourceConversion(strategy="None")
        if not obj.status.storedVersions:
            obj.status.storedVersions = [version.name for version in spec.versions if version.storage][:1]

    def prepare_create(self, obj: CustomResourceDefinition) -> None:
        stored = [version.name for version in obj.spec.versions if version.storage][:1]
        obj.status = CustomResourceDefinitionStatus(storedVersions=stored)

    def is_held(self, obj: CustomResourceDefinition) -> bool:
        """Always by its objects, until somebody has looked that there are none."""
        return bool(obj.metadata.finalizers) or obj.metadata.deletionTimestamp is None

    def begin_deletion(self, obj: CustomResourceDefinition) -> None:
        if CLEANUP not in obj.metadata.finalizers:
            obj.metadata.finalizers = [*obj.metadata.finalizers, CLEANUP]

    def prepare_update(self, new: CustomResourceDefinition, old: CustomResourceDefinition) -> None:
        stored = next((version.name for version in new.spec.versions if version.storage), None)
        if stored is not None and stored not in new.status.storedVersions:
            status = new.status
            new.status = CustomResourceDefinitionStatus(
                conditions=status.conditions,
                acceptedNames=status.acceptedNames,
                storedVersions=[*status.storedVersions, stored],
                observedGeneration=status.observedGeneration,
            )

    validate = staticmethod(validate_definition)
    validate_create = staticmethod(validate_new_definition)
    validate_update = staticmethod(validate_definition_update)

    def validate_status_update(self, new: CustomResourceDefinition, old: CustomResourceDefinition) -> list[FieldError]:
        return validate_definition_status(new)

    def warnings(self, obj: CustomResourceDefinition, old: CustomResourceDefinition | None) -> list[str]:
        if old is not None and old.spec == obj.spec:
            return []
        known = set() if old is None else set(_unknown_formats(old))
        warnings = [f'unrecognized format "{name}"' for name in _unknown_formats(obj) if name not in known]
        for index, version in enumerate(obj.spec.versions):
            if any(node.get("x-kubernetes-validations") for node in _nodes(schema_of(version))):
                warnings.append(f"spec.versions[{index}].schema.openAPIV3Schema: {NOT_EVALUATED}")
        return warnings


def _check_nested(schema: JSONSchemaProps, path: str) -> None:
    """Convert schemas in places where a type allows anything into schemas; raises BadRequest for other values."""
    walk = Walk()
    try:
        _form(schema, path, walk)
    except RecursionError:
        walk.mistake("json: exceeded max depth")
    if walk.mistakes:
        what = "CustomResourceDefinition"
        raise BadRequest(f'{what} in version "v1" cannot be handled as a {what}: {", ".join(walk.mistakes)}')


def _form(schema: JSONSchemaProps, path: str, walk: Walk) -> None:
    for name in ("items", "additionalProperties"):
        value, at = getattr(schema, name), f"{path}.{name}"
        if isinstance(value, dict):
            below: JSONSchemaProps = walk.struct(JSONSchemaProps, value, at)
            _form(below, at, walk)
            setattr(schema, name, msgspec.json.decode(msgspec.json.encode(below)))
        elif value is not None and not isinstance(value, list if name == "items" else bool):
            walk.mistake(f"json: cannot unmarshal {name_of(value)} into Go struct field JSONSchemaProps.{at} of type v1.JSONSchemaProps")
    for word in ("allOf", "anyOf", "oneOf"):
        for index, child in enumerate(getattr(schema, word)):
            _form(child, f"{path}.{word}[{index}]", walk)
    for name, child in schema.properties.items():
        _form(child, f"{path}.properties.{name}", walk)
    if schema.not_ is not None:
        _form(schema.not_, f"{path}.not", walk)


def _unknown_formats(definition: CustomResourceDefinition) -> list[str]:
    return [
        node["format"]
        for version in definition.spec.versions
        for node in _nodes(schema_of(version))
        if node.get("format") and not is_known(node["format"], node.get("type") or "")
    ]


def _nodes(schema: Any) -> Iterator[dict[str, Any]]:
    if not isinstance(schema, dict):
        return
    yield schema
    for word in ("allOf", "anyOf", "oneOf"):
        for child in schema.get(word) or ():
            yield from _nodes(child)
    for child in (schema.get("properties") or {}).values():
        yield from _nodes(child)
    for word in ("items", "additionalProperties", "not"):
        yield from _nodes(schema.get(word))


def _created(obj: extensions.CustomResourceDefinition, _: Any) -> str | None:
    moment = obj.metadata.creationTimestamp
    return None if moment is None else f"{moment:%Y-%m-%dT%H:%M:%SZ}"


CUSTOM_RESOURCE_DEFINITIONS: Kind[extensions.CustomResourceDefinition] = Kind(
    type=extensions.CustomResourceDefinition,
    plural="customresourcedefinitions",
    rules=CustomResourceDefinitionRules(),
    columns=(
        Column("Name", lambda obj, _: obj.metadata.name, format="name", description="The plural name and the group of what is defined."),
        Column("Created At", _created, type="date", description="When the server created the object."),
    ),
    group="apiextensions.k8s.io",
    namespaced=False,
    short_names=("crd", "crds"),
    categories=("api-extensions",),
    subresources=(STATUS,),
)

KINDS: tuple[Kind[Any], ...] = (CUSTOM_RESOURCE_DEFINITIONS,)
