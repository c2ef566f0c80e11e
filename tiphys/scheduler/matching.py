"""The meaning of tolerations and node selectors, one value at a time. Filters and scores ask these about distinct values only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tiphys.api.core import v1 as core

NAME_FIELD = "metadata.name"
HARD_EFFECTS = ("NoSchedule", "NoExecute")
SOFT_EFFECT = "PreferNoSchedule"


def integer(text: str) -> int | None:
    """The number that a label value spells, or None."""
    return int(text) if re.fullmatch(r"[+-]?[0-9]{1,19}", text) else None


def tolerates(toleration: core.Toleration, taint: core.Taint) -> bool:
    """Whether a toleration covers a taint ("Taints and Tolerations"; Lt and Gt as in KEP-5471)."""
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    match toleration.operator or "Equal":
        case "Exists":
            return True
        case "Equal":
            return toleration.value == taint.value
        case "Lt" | "Gt" as operator:
            wanted, actual = integer(toleration.value), integer(taint.value)
            if wanted is None or actual is None:
                return False
            return actual < wanted if operator == "Lt" else actual > wanted
    return False


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
