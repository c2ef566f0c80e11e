"""Runtime classes, node/v1."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.core.v1.scheduling import Toleration
from tiphys.api.machinery.base import Atomic, Quantity, Struct, always, constant
from tiphys.api.meta.v1.meta import KubeObject


class Overhead(Struct):
    """Resources that the sandbox of a pod needs beside its containers."""

    podFixed: dict[str, Quantity] = {}
    """The resources, added to the pod's requests."""


class Scheduling(Struct):
    """Nodes on which pods of a class can run."""

    nodeSelector: Annotated[dict[str, str], Atomic()] = {}
    """Labels that nodes must have."""
    tolerations: Annotated[list[Toleration], Atomic()] = []
    """Tolerations that pods of the class get."""


class RuntimeClass(KubeObject):
    """A way to run pods that nodes offer."""

    apiVersion: str = constant("node.k8s.io/v1")
    kind: str = constant("RuntimeClass")
    handler: str = always(str)
    """Name of the class in the nodes' runtime."""
    overhead: Overhead | None = None
    """Resources that a pod of this class needs beside its containers."""
    scheduling: Scheduling | None = None
    """Nodes that offer the class."""
