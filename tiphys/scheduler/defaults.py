"""Default spreading of pods without constraints: those of one Service or one owner, over nodes and, less strictly, over zones.

See "Pod Topology Spread Constraints", section on cluster-level defaults; the numbers are upstream's built-in ones.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tiphys.api.machinery.selectors import EVERYTHING, NOTHING, Requirement, Selector, from_map
from tiphys.api.well_known import HOSTNAME, ZONE
from tiphys.scheduler.social import Group, Owner, Social, Spread

SKEWS = ((HOSTNAME, 3), (ZONE, 5))


class _Selectors(msgspec.Struct):
    """Selectors in a namespace: of Services by name, of workloads by owner."""

    services: dict[str, Mapping[str, str]] = {}
    owners: dict[Owner, Selector] = {}
    known: dict[bytes, tuple[Spread, ...]] = {}
    """Cached answers, by the key of the Social."""


class DefaultSpreads:
    """Selectors of all Services and owners, from which pods get their default spreading."""

    def __init__(self) -> None:
        self._namespaces: dict[str, _Selectors] = {}

    def put_service(self, namespace: str, name: str, selector: Mapping[str, str] | None) -> None:
        """Record a Service that was added, changed or removed (None). One without a selector selects nothing."""
        known = self._namespaces.setdefault(namespace, _Selectors())
        before = known.services.get(name)
        if (before or None) == (selector or None):
            return
        if selector:
            known.services[name] = selector
        else:
            known.services.pop(name, None)
        known.known.clear()

    def put_owner(self, namespace: str, owner: Owner, selector: Selector | None) -> None:
        """Record an owner of pods that was added, changed or removed (None)."""
        known = self._namespaces.setdefault(namespace, _Selectors())
        if known.owners.get(owner) == selector:
            return
        if selector is not None:
            known.owners[owner] = selector
        else:
            known.owners.pop(owner, None)
        known.known.clear()

    def of(self, social: Social) -> tuple[Spread, ...]:
        """Return the spreading of a pod without constraints; empty for pods of no Service and no owner."""
        known = self._namespaces.get(social.namespace)
        if known is None:
            return ()
        spreads = known.known.get(social.key)
        if spreads is None:
            if len(known.known) > 4096:
                known.known.clear()
            spreads = known.known[social.key] = self._work_out(known, social)
        return spreads

    def _work_out(self, known: _Selectors, social: Social) -> tuple[Spread, ...]:
        together: dict[str, str] = {}
        for labels in known.services.values():
            if all(social.labels.get(key) == value for key, value in labels.items()):
                together.update(labels)
        selector = from_map(together) if together else EVERYTHING
        owned = known.owners.get(social.owner) if social.owner is not None else None
        if owned is not None and not owned.nothing:
            more: list[Requirement] = [one for one in owned.requirements if one not in selector.requirements]
            if more:
                selector = Selector([*selector.requirements, *more])
        if selector.empty:
            return ()
        group = Group(frozenset((social.namespace,)), NOTHING, selector)
        return tuple(Spread(group, key, skew) for key, skew in SKEWS)
