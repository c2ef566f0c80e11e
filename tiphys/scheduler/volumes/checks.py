"""Checks of a pod's volumes, between those of the node alone and those of other pods, as upstream orders its plugins.

Pods of one template have different claims, so what is found here is not kept with the template. Where the claims can be used depends on
no other pod: it is kept for the pod that was asked for last, since a decision asks for it several times.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tiphys.scheduler import causes as numbers
from tiphys.scheduler.causes import ALLOWED, Causes
from tiphys.scheduler.columns import Rows
from tiphys.scheduler.settings import DEFAULTS, Profile
from tiphys.scheduler.snapshot import Snapshot
from tiphys.scheduler.template import PodInfo
from tiphys.scheduler.volumes.binding import Matches, match_claims
from tiphys.scheduler.volumes.cache import ONE_POD, VolumePlan
from tiphys.scheduler.volumes.claims import BINDING, LIMITS, RESTRICTIONS, ZONE, Refusal, refuse
from tiphys.scheduler.volumes.pod import Disk, PodVolumes
from tiphys.scheduler.volumes.reach import topologies, zone_rows


class VolumeChecks:
    """Checks on a snapshot. Pods without volumes are not for these methods, but for `refusal`."""

    def __init__(self, cluster: Snapshot, profile: Profile = DEFAULTS.profile) -> None:
        self._cluster = cluster
        self._disabled = frozenset(profile.disabled_filters)
        self._static_key: tuple[PodVolumes, int, int] | None = None
        self._causes: Causes = np.zeros(0, dtype=np.int8)

    def refusal(self, info: PodInfo) -> Refusal | None:
        """Return why a pod can run nowhere because of its claims, or None."""
        return refuse(info, self._cluster.volumes, self._disabled)

    def with_causes(self, info: PodInfo, volumes: PodVolumes, causes: Causes) -> Causes:
        """Return the causes, with those of volumes in rows that had none."""
        of_pods = self._of_pods(info, volumes)
        static = self._static(volumes)
        return np.where(causes == ALLOWED, np.where(of_pods == ALLOWED, static, of_pods), causes).astype(np.int8)

    def cause_in(self, info: PodInfo, volumes: PodVolumes, row: int) -> int:
        """Return the cause in one row."""
        cluster, name = self._cluster, self._cluster.names[row]
        if RESTRICTIONS not in self._disabled:
            there = cluster.volumes.disks_on(name) if volumes.disks else ()
            if _conflict(volumes, there):
                return numbers.NO_DISK
            if self._in_use(info, volumes):
                return numbers.IN_USE
        if LIMITS not in self._disabled and cluster.volumes.limits.is_crowded(volumes.keys, name):
            return numbers.CROWDED
        return self.lasting_cause_in(volumes, row)

    def lasting_cause_in(self, volumes: PodVolumes, row: int) -> int:
        """Return the cause in one row that does not depend on other pods."""
        if self._static_key == self._now(volumes):
            return int(self._causes[row])
        return int(self._work_out(volumes, slice(row, row + 1))[0])

    def plan(self, volumes: PodVolumes, row: int) -> VolumePlan | None:
        """Return what is to be bound before the pod, or None."""
        if BINDING in self._disabled:
            return None
        return match_claims(volumes, self._cluster, slice(row, row + 1)).plan(self._cluster.names[row], 0)

    # ---- other pods -------------------------------------------------------------------------------------------------------------------

    def _of_pods(self, info: PodInfo, volumes: PodVolumes) -> Causes:
        cluster = self._cluster
        causes = np.zeros(cluster.capacity, dtype=np.int8)
        if LIMITS not in self._disabled:
            for name in cluster.volumes.limits.crowded(volumes.keys):
                if name in cluster.row_of:
                    causes[cluster.row_of[name]] = numbers.CROWDED
        if RESTRICTIONS not in self._disabled:
            if self._in_use(info, volumes):
                causes[:] = numbers.IN_USE
            for name, disks in cluster.volumes.disks() if volumes.disks else ():
                if name in cluster.row_of and _conflict(volumes, (disks,)):
                    causes[cluster.row_of[name]] = numbers.NO_DISK
        return causes

    def _in_use(self, info: PodInfo, volumes: PodVolumes) -> bool:
        """Return whether another pod has a claim that only one pod may use, wherever it is."""
        cache = self._cluster.volumes
        for key in volumes.named:
            claim = cache.claims.get(key)
            if claim is not None and ONE_POD in claim.spec.accessModes and any(uid != info.uid for uid in cache.users(key)):
                return True
        return False

    # ---- the claims themselves --------------------------------------------------------------------------------------------------------

    def _now(self, volumes: PodVolumes) -> tuple[PodVolumes, int, int]:
        return volumes, self._cluster.volumes.version, self._cluster.node_log.position

    def _static(self, volumes: PodVolumes) -> Causes:
        now = self._now(volumes)
        if self._static_key != now:
            self._causes = self._work_out(volumes, self._cluster.all_rows)
            self._static_key = now
        return self._causes

    def _work_out(self, volumes: PodVolumes, rows: Rows) -> Causes:
        cluster = self._cluster
        causes = np.zeros_like(cluster.alive[rows], dtype=np.int8)
        if BINDING not in self._disabled:
            causes = _binding_causes(match_claims(volumes, cluster, rows))
        if ZONE not in self._disabled:
            labels = [
                topology
                for key in volumes.named
                if (claim := cluster.volumes.claims.get(key)) is not None
                and (volume := cluster.volumes.volumes.get(claim.spec.volumeName)) is not None
                for topology in topologies(volume)
            ]
            if labels:
                causes[(causes == ALLOWED) & ~zone_rows(labels, cluster, rows)] = numbers.WRONG_ZONE
        return causes


def _binding_causes(matches: Matches) -> Causes:
    """Return the causes, each of which stands for a combination of what is wrong."""
    of_bound = np.where(matches.far, 1, np.where(matches.lost, 2, 0))
    of_others = np.where(matches.unmatched, 1, np.where(matches.short, 2, 0))
    combined = of_bound * 3 + of_others
    return np.where(combined == 0, ALLOWED, combined + numbers.UNBOUND - 1).astype(np.int8)


def _conflict(volumes: PodVolumes, others: Iterable[tuple[Disk, ...]]) -> bool:
    return any(disk.conflicts(other) for disks in others for other in disks for disk in volumes.disks)
