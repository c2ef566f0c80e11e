"""Nodes on which all claims of a pod can be used: bound ones where their volume can be reached, others where there is one for them, or
where one can be made ("Storage Classes": Volume Binding Mode; "Storage Capacity"). Upstream's VolumeBinding, for many rows at once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tiphys.api.core import v1 as core
from tiphys.api.core.volumes.classes import class_of_claim
from tiphys.api.helpers.volume_binding import STORAGE, matching_volumes, storage
from tiphys.api.machinery.quantity import whole
from tiphys.api.machinery.selectors import SelectorError
from tiphys.api.storage.v1 import StorageClass
from tiphys.api.well_known import NO_PROVISIONER
from tiphys.scheduler.columns import Bools, Codes, Rows
from tiphys.scheduler.snapshot import Snapshot
from tiphys.scheduler.volumes.cache import VolumeCache, VolumePlan, key_of
from tiphys.scheduler.volumes.claims import Claims, sort_claims
from tiphys.scheduler.volumes.pod import PodVolumes
from tiphys.scheduler.volumes.reach import allowed_rows, everywhere, selected_rows, volume_rows

NO_CHOICE = -1


class Choice(NamedTuple):
    """Volumes that a claim gets: per row the number of one of the offers, or NO_CHOICE."""

    claim: core.PersistentVolumeClaim
    offers: list[core.PersistentVolume]
    numbers: dict[str, int]
    """Number of each offer, by the name of the volume."""
    rows: Codes


class Matches(NamedTuple):
    """Rows that are wrong for a pod's claims, each for a reason of its own, and what is to be done in the others."""

    far: Bools
    """The node affinity of a bound volume does not match."""
    lost: Bools
    """A bound volume does not exist."""
    unmatched: Bools
    """A claim finds no volume, and none can be made."""
    short: Bools
    """There is not enough free storage."""
    choices: list[Choice]
    provisions: list[tuple[core.PersistentVolumeClaim, Bools]]
    """Claims whose volume is to be made, with the rows in which it is."""

    def plan(self, node: str, at: int) -> VolumePlan | None:
        """Return what is to be bound for a pod in a row (`at` counts within the rows asked for), or None."""
        bindings = [
            (choice.offers[choice.rows[at]].metadata.name, key_of(choice.claim)) for choice in self.choices if choice.rows[at] != NO_CHOICE
        ]
        provisions = [key_of(claim) for claim, rows in self.provisions if rows[at]]
        return VolumePlan(node, tuple(bindings), tuple(provisions)) if bindings or provisions else None


def match_claims(volumes: PodVolumes, cluster: Snapshot, rows: Rows) -> Matches:
    """Match the claims of a pod with volumes and nodes."""
    claims = sort_claims(volumes, cluster.volumes)
    far, lost = _bound(claims, cluster, rows)
    open_rows, selected = _selected(claims, cluster, rows)
    unmatched = ~open_rows
    choices = _choose(claims, cluster, rows, open_rows)
    to_make = [(claim, open_rows) for claim in selected]
    to_make += [(one.claim, open_rows & (one.rows == NO_CHOICE)) for one in choices]
    provisions = [(claim, where) for claim, where in to_make if where.any()]
    short = ~everywhere(cluster, rows)
    for claim, where in provisions:
        # The first claim that fails gives the reason.
        pending = where & ~unmatched & ~short
        allowed, enough = _provisionable(claim, cluster, rows)
        unmatched |= pending & ~allowed
        short |= pending & allowed & ~enough
    return Matches(far, lost, unmatched, short, choices, provisions)


def _bound(claims: Claims, cluster: Snapshot, rows: Rows) -> tuple[Bools, Bools]:
    """Return the rows from which some bound volume cannot be reached, and those in which one is missing first."""
    fine = everywhere(cluster, rows)
    lost = ~fine
    for claim in claims.bound:
        volume = cluster.volumes.volumes.get(claim.spec.volumeName)
        if volume is None:
            return ~fine, fine
        fine &= volume_rows(volume, cluster, rows)
    return ~fine, lost


def _selected(claims: Claims, cluster: Snapshot, rows: Rows) -> tuple[Bools, list[core.PersistentVolumeClaim]]:
    """Return the rows that are left by claims for which a node is selected already, and these claims."""
    open_rows = everywhere(cluster, rows)
    selected = []
    for claim in claims.delayed:
        node = cluster.volumes.selected_node(claim)
        if node is not None:
            selected.append(claim)
            here = np.zeros(cluster.capacity, dtype=np.bool_)
            row = cluster.row_of.get(node)
            if row is not None:
                here[row] = True
            open_rows &= here[rows]
    return open_rows, selected


def _choose(claims: Claims, cluster: Snapshot, rows: Rows, open_rows: Bools) -> list[Choice]:
    """Choose a volume per row for each claim without a selected node; small claims first, so that each gets the smallest that is left."""
    cache = cluster.volumes
    searching = [claim for claim in claims.delayed if cache.selected_node(claim) is None]
    choices: list[Choice] = []
    for claim in sorted(searching, key=lambda claim: storage(claim.spec.resources.requests)):
        offers = _offers(claim, cache)
        numbers = {volume.metadata.name: number for number, volume in enumerate(offers)}
        chosen = np.full(len(open_rows), NO_CHOICE, dtype=np.int32)
        left = open_rows.copy()
        for number, volume in enumerate(offers):
            here = left & volume_rows(volume, cluster, rows)
            for earlier in choices:
                here &= ~_takes(earlier, volume)
            chosen[here] = number
            left &= ~here
            if not left.any():
                break
        choices.append(Choice(claim, offers, numbers, chosen))
    return choices


def _offers(claim: core.PersistentVolumeClaim, cache: VolumeCache) -> list[core.PersistentVolume]:
    try:
        return matching_volumes(claim, cache.offered(claim), fewest_modes=False)
    except SelectorError:
        return []


def _takes(choice: Choice, volume: core.PersistentVolume) -> Bools:
    """Return the rows in which a choice takes a volume."""
    number = choice.numbers.get(volume.metadata.name)
    result: Bools = np.equal(choice.rows, number) if number is not None else np.zeros(len(choice.rows), dtype=np.bool_)
    return result


def _provisionable(claim: core.PersistentVolumeClaim, cluster: Snapshot, rows: Rows) -> tuple[Bools, Bools]:
    """Return the rows in which a volume may be made for a claim, and those that have room for it."""
    storage_class = cluster.volumes.classes.get(class_of_claim(claim))
    if storage_class is None or storage_class.provisioner in ("", NO_PROVISIONER):
        nowhere = ~everywhere(cluster, rows)
        return nowhere, nowhere
    return allowed_rows(storage_class.allowedTopologies, cluster, rows), _roomy(claim, storage_class, cluster, rows)


def _roomy(claim: core.PersistentVolumeClaim, storage_class: StorageClass, cluster: Snapshot, rows: Rows) -> Bools:
    """Return the rows with room for a claim; all, for drivers that do not report capacity."""
    request = claim.spec.resources.requests.get(STORAGE)
    driver = cluster.volumes.drivers.get(storage_class.provisioner)
    if request is None or driver is None or not driver.spec.storageCapacity:
        return everywhere(cluster, rows)
    roomy = cluster.volumes.capacities(storage_class.metadata.name, whole(request))
    return selected_rows((one.nodeTopology for one in roomy if one.nodeTopology is not None), cluster, rows)
