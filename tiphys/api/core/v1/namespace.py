"""The core group, v1: namespace."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.machinery.base import Atomic, MapList, Patch, Struct, Time, always, constant, null
from tiphys.api.meta.v1.meta import KubeObject


class NamespaceSpec(Struct):
    """Finalizers of a namespace."""

    finalizers: Annotated[list[str], Atomic()] = []
    """Who has to agree before the namespace is gone; `kubernetes` until all that is in it is deleted."""


class NamespaceCondition(Struct):
    """One aspect of a namespace's state, above all of what holds its deletion up."""

    type: str = always(str)
    """What it is about."""
    status: str = always(str)
    """`True`, `False` or `Unknown`."""
    lastTransitionTime: Time | None = null()
    """When the status changed last."""
    reason: str = ""
    """Why it is so, in one word."""
    message: str = ""
    """Why it is so, in words."""


class NamespaceStatus(Struct):
    """Phase and conditions of a namespace."""

    phase: str = ""
    """`Active`, or `Terminating` once it is being deleted."""
    conditions: Annotated[list[NamespaceCondition], MapList("type"), Patch("merge", "type")] = []
    """Aspects of its state, one of each type."""


class Namespace(KubeObject):
    """A room of its own for names, rights and limits."""

    apiVersion: str = constant("v1")
    kind: str = constant("Namespace")
    spec: NamespaceSpec = always(NamespaceSpec)
    """How it ends."""
    status: NamespaceStatus = always(NamespaceStatus)
    """Whether it is in use."""
