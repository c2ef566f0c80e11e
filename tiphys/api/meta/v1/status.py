"""The shared machinery of every object, meta/v1: status."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.machinery.base import Atomic, Struct, always, constant
from tiphys.api.meta.v1.meta import KubeObject, ListMeta


class StatusCause(Struct):
    """One reason of a failure."""

    reason: str = ""
    """The sort of mistake, in one word."""
    message: str = ""
    """The mistake, in words."""
    field: str = ""
    """The field it is about, such as `spec.containers[0].image`."""


class StatusDetails(Struct):
    """More about a failure."""

    name: str = ""
    """The object it is about."""
    group: str = ""
    """The object's API group."""
    kind: str = ""
    """The object's kind or resource."""
    uid: str = ""
    """The object's UID."""
    causes: Annotated[list[StatusCause], Atomic()] = []
    """Every single mistake."""
    retryAfterSeconds: int = 0
    """Seconds after which to try again, if that makes sense."""


class Status(KubeObject):
    """The answer to a call that gives no object."""

    apiVersion: str = constant("v1")
    kind: str = constant("Status")
    metadata: ListMeta = always(ListMeta)  # type: ignore[assignment]  # The one object that has a list's metadata.
    """Of use in one case: where a continue token has expired, `continue` lists the rest of the newest state."""
    status: str = ""
    """`Success` or `Failure`."""
    message: str = ""
    """Description of what happened, for people."""
    reason: str = ""
    """Reason for the failure, in one CamelCase word for programs, such as `NotFound`."""
    details: StatusDetails | None = None
    """More about it."""
    code: int = 0
    """The HTTP status code."""
