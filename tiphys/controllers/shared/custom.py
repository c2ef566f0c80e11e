"""Custom kinds, as learned from the definitions in the cluster by controllers of objects of all kinds."""

from __future__ import annotations

from tiphys.api.machinery.scheme import Kind
from tiphys.client import PartialObject, partial_kind
from tiphys.controllers.shared.slim import SlimDefinition


def custom_kind(definition: SlimDefinition | None) -> Kind[PartialObject] | None:
    """Return the kind by which to read the objects of a definition: in their storage version, if that is served."""
    if definition is None or all(one.type != "Established" or one.status != "True" for one in definition.status.conditions or []):
        return None
    served = [one for one in definition.spec.versions if one.served]
    if not served:
        return None
    version = next((one for one in served if one.storage), served[0])
    spec, names = definition.spec, definition.status.acceptedNames
    return partial_kind(spec.group, version.name, names.plural, namespaced=spec.scope == "Namespaced")


def is_named(definition: SlimDefinition, api_version: str, kind: str) -> bool:
    """Return whether a definition defines a kind, in any version."""
    return definition.spec.group == api_version.rpartition("/")[0] and definition.status.acceptedNames.kind == kind


def has_scale(definition: SlimDefinition, version: str) -> bool:
    """Return whether objects of a definition have a scale subresource in a version."""
    served = next((one for one in definition.spec.versions if one.name == version), None)
    return served is not None and served.subresources is not None and served.subresources.scale is not None
