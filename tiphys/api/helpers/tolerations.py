"""Tolerations that are put together from several places."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from tiphys.api.core.v1 import Toleration

Place = tuple[str, str, str, str]
"""Key, effect, operator and value of a toleration: of those at one place the one that lasts longest covers the others."""


def merged(*lists: Iterable[Toleration]) -> list[Toleration]:
    """The tolerations of all lists in order, without those that another one covers; of equal ones the first stays."""
    everything = [toleration for tolerations in lists for toleration in tolerations]
    superseded: list[bool] = []
    later: dict[Place, Toleration] = {}
    for toleration in reversed(everything):
        superseded.append(any(other != toleration and _covers(other, toleration) for other in _wider(later, toleration)))
        _add(later, toleration)
    kept: list[Toleration] = []
    widest: dict[Place, Toleration] = {}
    seen: set[tuple[Place, str, int | None]] = set()
    for toleration in everything:
        # Equal ones of an operator such as Gt are not found by their place, where one that lasts longer may stand.
        itself = (_place(toleration), toleration.value, toleration.tolerationSeconds)
        if superseded.pop() or itself in seen or any(_covers(other, toleration) for other in _wider(widest, toleration)):
            continue
        kept.append(toleration)
        seen.add(itself)
        _add(widest, toleration)
    return kept


def _place(toleration: Toleration) -> Place:
    exists = toleration.operator == "Exists"
    return toleration.key, toleration.effect, toleration.operator, "" if exists else toleration.value


def _add(longest: dict[Place, Toleration], toleration: Toleration) -> None:
    """Put a toleration at its place unless one that lasts as long is there."""
    place = _place(toleration)
    there = longest.get(place)
    if there is None or (there.tolerationSeconds is not None and _lasts_longer(toleration, there.tolerationSeconds)):
        longest[place] = toleration


def _lasts_longer(toleration: Toleration, seconds: int) -> bool:
    return toleration.tolerationSeconds is None or toleration.tolerationSeconds > seconds


def _wider(longest: Mapping[Place, Toleration], toleration: Toleration) -> Iterator[Toleration]:
    """Yield the tolerations that may cover one, wherever they stand."""
    places = [_place(toleration)]
    for effect in (toleration.effect, ""):
        places += [(toleration.key, effect, "Exists", ""), ("", effect, "Exists", "")]
        if toleration.operator == "Equal":
            places += [(toleration.key, effect, "Equal", toleration.value), (toleration.key, effect, "", toleration.value)]
    for place in places:
        if (other := longest.get(place)) is not None:
            yield other


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
