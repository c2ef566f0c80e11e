"""Runtime classes, node/v1."""

from tiphys.api.node.v1.types import Overhead, RuntimeClass, Scheduling

__all__ = [
    "Overhead",
    "RuntimeClass",
    "Scheduling",
]
