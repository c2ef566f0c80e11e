"""Taints that a pod tolerates ("Taints and Tolerations"; Lt and Gt as in KEP-5471)."""

from __future__ import annotations

import re

from tiphys.api.core.v1 import Taint, Toleration


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    """True if a toleration covers a taint."""
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
            threshold, actual = integer(toleration.value), integer(taint.value)
            if threshold is None or actual is None:
                return False
            return actual < threshold if operator == "Lt" else actual > threshold
    return False


def integer(text: str) -> int | None:
    """The number that a label or taint value spells, or None."""
    return int(text) if re.fullmatch(r"[+-]?[0-9]{1,19}", text) else None
