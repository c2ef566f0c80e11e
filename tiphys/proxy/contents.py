"""Desired contents of the table, by Service, so that the cost of a change depends on the change alone. Pure.

Chains and sets belong to one Service. Elements may be claimed by several: two Services with the same external address, or the hairpin of
a pod behind two Services. The claim of the first by namespace and name counts, and when that goes the next one takes over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tiphys.proxy.rules import EMPTY, Part
from tiphys.runtime.key import Key


class Contents:
    """The parts of all Services."""

    def __init__(self) -> None:
        self._parts: dict[Key, Part] = {}
        self._claims: dict[tuple[str, str], dict[Key, str]] = {}

    def change(self, parts: Mapping[Key, Part]) -> tuple[Part, Part]:
        """Replace the parts of some Services (EMPTY removes one); returns their old and new parts, ready for `change_script`."""
        before = [self._parts.get(key, EMPTY) for key in parts]
        touched = {element for part in (*before, *parts.values()) for element in part.elements}
        held = self._winners(touched)
        for (key, part), old in zip(parts.items(), before, strict=True):
            self._replace(key, old, part)
        return _together(before, held), _together(parts.values(), self._winners(touched))

    def whole(self) -> Part:
        """Return all parts together."""
        return _together(self._parts.values(), self._winners(self._claims))

    def _replace(self, key: Key, old: Part, new: Part) -> None:
        for element in old.elements:
            claims = self._claims[element]
            del claims[key]
            if not claims:
                del self._claims[element]
        for element, value in new.elements.items():
            self._claims.setdefault(element, {})[key] = value
        if new == EMPTY:
            self._parts.pop(key, None)
        else:
            self._parts[key] = new

    def _winners(self, elements: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
        winners: dict[tuple[str, str], str] = {}
        for element in sorted(elements):
            claims = self._claims.get(element)
            if claims:
                winners[element] = claims[min(claims)]
        return winners


def _together(parts: Iterable[Part], elements: Mapping[tuple[str, str], str]) -> Part:
    chains: dict[str, tuple[str, ...]] = {}
    sets: dict[str, int] = {}
    for part in parts:
        chains.update(part.chains)
        sets.update(part.sets)
    return Part(chains, sets, elements)
