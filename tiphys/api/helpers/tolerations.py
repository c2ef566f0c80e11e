"""Tolerations that are put together from several places."""

from __future__ import annotations

from collections.abc import Iterable

from tiphys.api.core.v1 import Toleration


def merged(*lists: Iterable[Toleration]) -> list[Toleration]:
    """The tolerations of all lists in order, without those that another one covers; of equal ones the first stays."""
    everything = [toleration for tolerations in lists for toleration in tolerations]
    kept: list[Toleration] = []
    for index, toleration in enumerate(everything):
        if any(_covers(other, toleration) for other in kept):
            continue
        if any(other != toleration and _covers(other, toleration) for other in everything[index + 1 :]):
            continue
        kept.append(toleration)
    return kept


def _covers(wide: Toleration, narrow: Toleration) -> bool:
    """True if `wide` tolerates all that `narrow` does."""
    if wide == narrow:
        return True
    if narrow.key != wide.key and (wide.key or wide.operator != "Exists"):
        return False
    if wide.effect not in ("", narrow.effect):
        return False
    if wide.effect == "NoExecute" and wide.tolerationSeconds is not None:
        seconds = narrow.tolerationSeconds
        if seconds is None or seconds > wide.tolerationSeconds:
            return False
    if wide.operator == "Exists":
        return True
    return wide.operator in ("", "Equal") and narrow.operator == "Equal" and narrow.value == wide.value
