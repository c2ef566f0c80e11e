"""Selection of the dead containers that may go ("Garbage Collection", container garbage collection). Pure.

The newest container of each name in a pod that still runs is never garbage, dead or not: the pod's next steps, its restarts and its status
are worked out from it. The dead one before it is what `kubectl logs --previous` shows.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tiphys.node.pod.observed import Observed


class DeadPolicy(msgspec.Struct, frozen=True):
    """Limits of container garbage collection, in upstream's terms."""

    min_age: float = 0.0
    """Seconds since its creation in which a dead container is left alone."""
    per_container: int = 1
    """Maximum number of dead containers of one container of a pod; negative for no limit."""
    total: int = -1
    """Maximum number of dead containers on the node; negative for no limit."""


PRESSURE = DeadPolicy(per_container=0, total=0)
"""Policy while the disk is full: all that may go goes."""


class DeadContainer(msgspec.Struct, frozen=True):
    """Container that may go."""

    id: str
    uid: str
    name: str
    created: float = 0.0
    log_path: str = ""
    last: bool = False
    """True for the dead container of a running pod that is the newest besides the one that counts."""


def dead_containers(pods: Iterable[tuple[Observed, bool]]) -> list[DeadContainer]:
    """Return the containers that may go, oldest first. With each pod comes True if it is over: then it needs none of its containers."""
    result = []
    for seen, over in pods:
        for name in sorted({one.name for one in seen.containers}):
            rest = list(seen.all_of(name))
            dead = [one for one in (rest if over else rest[1:]) if one.state in ("exited", "created")]
            result += [
                DeadContainer(one.id, seen.uid, name, one.created, one.log_path, last=not over and place == 0)
                for place, one in enumerate(dead)
            ]
    return sorted(result, key=lambda one: (one.created, one.id))


def removable(dead: Iterable[DeadContainer], policy: DeadPolicy, now: float) -> list[DeadContainer]:
    """Return the containers that go, oldest first: those beyond the limit of their container, then those beyond the limit of the node.

    The limit of the node spares the last dead container of a running container, unless none may stay at all.
    """
    old = [one for one in dead if now - one.created >= policy.min_age]
    gone: dict[str, DeadContainer] = {}
    if policy.per_container >= 0:
        units: dict[tuple[str, str], list[DeadContainer]] = {}
        for one in old:
            units.setdefault((one.uid, one.name), []).append(one)
        for unit in units.values():
            gone |= {one.id: one for one in unit[: max(len(unit) - policy.per_container, 0)]}
    if policy.total >= 0:
        rest = [one for one in old if one.id not in gone]
        free = [one for one in rest if not one.last or policy.per_container == 0]
        gone |= {one.id: one for one in free[: max(len(rest) - policy.total, 0)]}
    return sorted(gone.values(), key=lambda one: (one.created, one.id))
