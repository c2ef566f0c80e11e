"""Priority classes, scheduling/v1."""

from tiphys.api.scheduling.v1.types import PriorityClass

__all__ = [
    "PriorityClass",
]
