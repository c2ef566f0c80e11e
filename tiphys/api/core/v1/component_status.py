"""The core group, v1: component status."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.machinery.base import MapList, Patch, Struct, always, constant
from tiphys.api.meta.v1.meta import KubeObject


class ComponentCondition(Struct):
    """Health of a component."""

    type: str = always(str)
    """The type of the condition, in CamelCase."""
    status: str = always(str)
    """`True`, `False` or `Unknown`."""
    message: str = ""
    """What it said."""
    error: str = ""
    """What went wrong."""


class ComponentStatus(KubeObject):
    """Health of a component of the control plane; deprecated."""

    apiVersion: str = constant("v1")
    kind: str = constant("ComponentStatus")
    conditions: Annotated[list[ComponentCondition], MapList("type"), Patch("merge", "type")] = []
    """Aspects of how it stands, one of each type."""
