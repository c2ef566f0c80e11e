"""The meaning of tolerations and node selectors, one value at a time. Filters and scores ask these about distinct values only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tiphys.api.core import v1 as core
from tiphys.api.helpers.taints import integer, tolerates

NAME_FIELD = "metadata.name"
HARD_EFFECTS = ("NoSchedule", "NoExecute")
SOFT_EFFECT = "PreferNoSchedule"


def untolerated(taints: Iterable[core.Taint], tolerations: Sequence[core.Toleration], effects: Sequence[str]) -> list[core.Taint]:
    """The taints with one of the effects that no toleration covers."""
    return [taint for taint in taints if taint.effect in effects and not any(tolerates(one, taint) for one in tolerations)]


def requirement_holds(requirement: core.NodeSelectorRequirement, value: str | None) -> bool:
    """Whether a label with this value (None: absent) meets a requirement of a node selector."""
    match requirement.operator:
        case "In":
            return value is not None and value in requirement.values
        case "NotIn":
            return value is None or value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt" as operator:
            bound = integer(requirement.values[0]) if len(requirement.values) == 1 else None
            number = integer(value) if value is not None else None
            if bound is None or number is None:
                return False
            return number > bound if operator == "Gt" else number < bound
    return False


def image_name(name: str) -> str:
    """An image's name with its tag; `latest` goes without saying."""
    return name if name.rfind(":") > name.rfind("/") else f"{name}:latest"
