"""Matching of tolerations and node selectors, one value at a time. Filters and scores call it for distinct values only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tiphys.api.core import v1 as core
from tiphys.api.helpers.taints import tolerates

NAME_FIELD = "metadata.name"
HARD_EFFECTS = ("NoSchedule", "NoExecute")
SOFT_EFFECT = "PreferNoSchedule"


def untolerated(taints: Iterable[core.Taint], tolerations: Sequence[core.Toleration], effects: Sequence[str]) -> list[core.Taint]:
    """Return the taints with one of the effects that no toleration covers."""
    return [taint for taint in taints if taint.effect in effects and not any(tolerates(one, taint) for one in tolerations)]


def image_name(name: str) -> str:
    """Return an image's name with its tag, by default `latest`."""
    return name if name.rfind(":") > name.rfind("/") else f"{name}:latest"
