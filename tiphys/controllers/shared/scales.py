"""Kinds whose objects can be scaled, built in or custom, found by group and kind as references name them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, Final

from tiphys.api.machinery.scheme import Kind, Scheme, Subresource
from tiphys.controllers.shared.custom import custom_kind, is_named
from tiphys.controllers.shared.slim import SlimDefinition

_SCALE: Final = Subresource("scale")


def named_kind(scheme: Scheme, definitions: Iterable[SlimDefinition], api_version: str, name: str) -> Kind[Any] | None:
    """Return the kind that a reference names, in whatever version it is served; None when it is not served."""
    if (exact := scheme.by_gvk(api_version, name)) is not None:
        return exact
    group = api_version.rpartition("/")[0]
    for kind in scheme:
        if kind.group == group and kind.kind == name:
            return kind
    return next((_custom(one) for one in definitions if is_named(one, api_version, name)), None)


def is_scalable(kind: Kind[Any]) -> bool:
    """Return whether a kind of `named_kind` has the subresource `scale`."""
    return any(subresource.name == _SCALE.name for subresource in kind.subresources)


def _custom(definition: SlimDefinition) -> Kind[Any] | None:
    kind = custom_kind(definition)
    if kind is None:
        return None
    version = next(one for one in definition.spec.versions if one.name == kind.version)
    has_scale = version.subresources is not None and version.subresources.scale is not None
    return dataclasses.replace(kind, subresources=(_SCALE,)) if has_scale else kind
