"""The core group, v1: component status."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.base import MapList, Patch, Struct, always, constant
from tiphys.api.meta.v1.meta import KubeObject


class ComponentCondition(Struct):
    type: str = always(str)
    status: str = always(str)
    message: str = ""
    error: str = ""


class ComponentStatus(KubeObject):
    apiVersion: str = constant("v1")
    kind: str = constant("ComponentStatus")
    conditions: Annotated[list[ComponentCondition], MapList("type"), Patch("merge", "type")] = []
