"""Causes that rule out nodes, as one number per row: verdicts of the filters, then those of the pod's volumes, then those of other pods."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tiphys.scheduler.filters import Filter
from tiphys.scheduler.filters.order import FILTERS
from tiphys.scheduler.neighbors import AFFINITY, SPREAD, Verdicts
from tiphys.scheduler.snapshot import Snapshot
from tiphys.scheduler.template import Template

Causes = npt.NDArray[np.int8]

ALLOWED, NO_NODE = 0, -1
"""Values that are not objections; FILTERS count from 1."""


class Objection(NamedTuple):
    """Objection to a node because of volumes or other pods. `final` when no eviction could help."""

    rule: str
    reasons: tuple[str, ...]
    final: bool


_OF_BOUND = ((), ("node(s) didn't match PersistentVolume's node affinity",), (
    "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)",
))  # fmt: skip
_OF_OTHERS = ((), ("node(s) didn't find available persistent volumes to bind",), ("node(s) did not have enough free storage",))
_OF_VOLUMES: tuple[Objection, ...] = (
    Objection("VolumeRestrictions", ("node(s) had no available disk",), False),
    Objection(
        "VolumeRestrictions",
        ("node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod",),
        False,
    ),
    Objection("NodeVolumeLimits", ("node(s) exceed max volume count",), False),
    *(Objection("VolumeBinding", (*bound, *others), True) for bound in _OF_BOUND for others in _OF_OTHERS if bound or others),
    Objection("VolumeZone", ("node(s) had no available volume zone",), True),
)
_OF_PODS: tuple[Objection, ...] = (
    Objection(SPREAD, ("node(s) didn't match pod topology spread constraints (missing required label)",), True),
    Objection(SPREAD, ("node(s) didn't match pod topology spread constraints",), False),
    Objection(AFFINITY, ("node(s) didn't match pod affinity rules",), True),
    Objection(AFFINITY, ("node(s) didn't match pod anti-affinity rules",), False),
    Objection(AFFINITY, ("node(s) didn't satisfy existing pods anti-affinity rules",), False),
)
_OF_DEVICES: tuple[Objection, ...] = (
    Objection("DynamicResources", ("resourceclaim not available on the node",), True),
    Objection("DynamicResources", ("cannot allocate all claims",), True),
)
OBJECTIONS = (*_OF_VOLUMES, *_OF_PODS, *_OF_DEVICES)
FIRST_OBJECTION = len(FILTERS) + 1
NO_DISK, IN_USE, CROWDED, UNBOUND = range(FIRST_OBJECTION, FIRST_OBJECTION + 4)
"""Causes of volumes; from UNBOUND on those of VolumeBinding, one for each combination of its reasons."""
FIRST_OF_PODS = FIRST_OBJECTION + len(_OF_VOLUMES)
WRONG_ZONE = FIRST_OF_PODS - 1
CLAIM_ELSEWHERE, NO_DEVICES = range(FIRST_OF_PODS + len(_OF_PODS), FIRST_OF_PODS + len(_OF_PODS) + 2)


def with_objections(causes: Causes, verdicts: Verdicts) -> Causes:
    """Return the causes, with those of other pods in rows that had none."""
    result = causes.copy()
    for number, fine in enumerate(verdicts, FIRST_OF_PODS):
        if not fine.all():  # Most checks reject no row: to see that takes a tenth of the time of a mask.
            result[(result == ALLOWED) & ~fine] = number
    return result


def rule_of(cause: int) -> str:
    """Return the name of the rule behind a cause."""
    return FILTERS[cause - 1].name if cause < FIRST_OBJECTION else OBJECTIONS[cause - FIRST_OBJECTION].rule


def reasons_of(cause: int, template: Template, cluster: Snapshot, row: int) -> tuple[str, ...]:
    """Return the reasons in the words shown to users."""
    if cause >= FIRST_OBJECTION:
        return OBJECTIONS[cause - FIRST_OBJECTION].reasons
    return tuple(FILTERS[cause - 1].reasons(template, cluster, row))


def is_final(cause: int, template: Template, cluster: Snapshot, row: int) -> bool:
    """Return whether the pod could not run in the row even if other pods left it."""
    if cause >= FIRST_OBJECTION:
        return OBJECTIONS[cause - FIRST_OBJECTION].final
    return FILTERS[cause - 1].is_final(template, cluster, row)


def cause_in_row(
    template: Template,
    cluster: Snapshot,
    row: int,
    verdicts: Callable[[Snapshot], Verdicts | None],
    filters: Iterable[tuple[int, Filter]],
    volumes: Callable[[int], int] | None = None,
    devices: Callable[[int], int] | None = None,
) -> int:
    """Return the current cause in one row, uncached: of the filters, of the volumes if the pod has any, of other pods, and of devices.

    Verdicts about other pods are computed only when they matter.
    """
    rows = slice(row, row + 1)
    for number, rule in filters:
        if not rule.allowed(template, cluster, rows)[0]:
            return number
    if volumes is not None and (cause := volumes(row)) != ALLOWED:
        return cause
    by_filter = verdicts(cluster)
    for number, fine in enumerate(by_filter or (), FIRST_OF_PODS):
        if not fine[row]:
            return number
    return devices(row) if devices is not None else ALLOWED
