"""The core group, v1: namespace."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.machinery.base import Atomic, MapList, Patch, Struct, Time, always, constant, null
from tiphys.api.meta.v1.meta import KubeObject


class NamespaceSpec(Struct):
    """Finalizers of a namespace."""

    finalizers: Annotated[list[str], Atomic()] = []
    """Parties that must agree before the namespace is removed; `kubernetes` until all that is in it is deleted."""


class NamespaceCondition(Struct):
    """One aspect of a namespace's state, above all of what holds its deletion up."""

    type: str = always(str)
    """Type of the condition."""
    status: str = always(str)
    """`True`, `False` or `Unknown`."""
    lastTransitionTime: Time | None = null()
    """Time of the last change of the status."""
    reason: str = ""
    """Reason for the status, in one CamelCase word."""
    message: str = ""
    """Explanation of the status, for people."""


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
    """Finalizers of the namespace."""
    status: NamespaceStatus = always(NamespaceStatus)
    """Observed state of the namespace."""
