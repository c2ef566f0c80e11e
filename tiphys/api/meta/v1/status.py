"""The shared machinery of every object, meta/v1: status."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.base import Atomic, Struct, constant
from tiphys.api.meta.v1.meta import KubeObject


class StatusCause(Struct):
    reason: str = ""
    message: str = ""
    field: str = ""


class StatusDetails(Struct):
    name: str = ""
    group: str = ""
    kind: str = ""
    uid: str = ""
    causes: Annotated[list[StatusCause], Atomic()] = []
    retryAfterSeconds: int = 0


class Status(KubeObject):
    apiVersion: str = constant("v1")
    kind: str = constant("Status")
    status: str = ""
    message: str = ""
    reason: str = ""
    details: StatusDetails | None = None
    code: int = 0
