"""Custom resources."""

from __future__ import annotations

from typing import Any

from tiphys.api.apiextensions import v1 as extensions
from tiphys.api.kinds.rules_definition import CustomResourceDefinitionRules
from tiphys.api.machinery.scheme import Column, Kind
from tiphys.api.machinery.subresources import STATUS


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
