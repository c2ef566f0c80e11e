"""Kinds whose objects can be scaled, built in or custom, found by group and kind as references name them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tiphys.api.machinery.scheme import Kind, Scheme
from tiphys.controllers.shared.custom import custom_kind, is_named
from tiphys.controllers.shared.slim import SlimDefinition


def named_kind(scheme: Scheme, definitions: Iterable[SlimDefinition], api_version: str, name: str) -> Kind[Any] | None:
    """Return the kind that a reference names, in whatever version it is served; None when it is not served."""
    if (exact := scheme.by_gvk(api_version, name)) is not None:
        return exact
    group = api_version.rpartition("/")[0]
    for kind in scheme:
        if kind.group == group and kind.kind == name:
            return kind
    return next((custom_kind(one) for one in definitions if is_named(one, api_version, name)), None)
