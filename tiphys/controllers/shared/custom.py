"""Custom kinds, as controllers that look after objects of all kinds get to know them: from the definitions in the cluster."""

from __future__ import annotations

from tiphys.api.apiextensions.v1 import CustomResourceDefinition, CustomResourceDefinitionSpec, CustomResourceDefinitionVersion
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.scheme import Kind
from tiphys.client import PartialObject, partial_kind
from tiphys.runtime import Informer
from tiphys.runtime.controller import TrackedInformers


def slim_definition(obj: CustomResourceDefinition) -> CustomResourceDefinition:
    """A definition without its schemas, which are most of it."""
    meta, spec = obj.metadata, obj.spec
    versions = [CustomResourceDefinitionVersion(name=one.name, served=one.served, storage=one.storage) for one in spec.versions]
    return CustomResourceDefinition(
        metadata=ObjectMeta(name=meta.name, uid=meta.uid, resourceVersion=meta.resourceVersion, deletionTimestamp=meta.deletionTimestamp),
        spec=CustomResourceDefinitionSpec(group=spec.group, scope=spec.scope, names=spec.names, versions=versions),
        status=obj.status,
    )


def definitions(informers: TrackedInformers) -> Informer[CustomResourceDefinition]:
    """All definitions, slim."""
    return informers.of(CustomResourceDefinition, transform=slim_definition)


def custom_kind(definition: CustomResourceDefinition | None) -> Kind[PartialObject] | None:
    """The kind by which the objects of a definition are read: in the version they are stored in, if that is served."""
    if definition is None or all(one.type != "Established" or one.status != "True" for one in definition.status.conditions or []):
        return None
    served = [one for one in definition.spec.versions if one.served]
    if not served:
        return None
    version = next((one for one in served if one.storage), served[0])
    spec, names = definition.spec, definition.status.acceptedNames
    return partial_kind(spec.group, version.name, names.plural, namespaced=spec.scope == "Namespaced")


def is_named(definition: CustomResourceDefinition, api_version: str, kind: str) -> bool:
    """Whether it defines a kind, in any version."""
    return definition.spec.group == api_version.rpartition("/")[0] and definition.status.acceptedNames.kind == kind
