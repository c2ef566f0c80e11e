"""Checks of a pod's claims for devices, after all others: they cost the most.

Not vectorized: nodes that something else rules out are not looked at, and the answers of selectors are kept between nodes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tiphys.api.resource.v1 import AllocationResult, ResourceClaim
from tiphys.scheduler import causes as numbers
from tiphys.scheduler.causes import ALLOWED, Causes
from tiphys.scheduler.devices.allocator import allocate
from tiphys.scheduler.devices.cache import DevicePlan, Give
from tiphys.scheduler.devices.claims import RULE, is_reserved_for, refuse
from tiphys.scheduler.devices.pod import PodDevices
from tiphys.scheduler.devices.pools import NodeView, selects
from tiphys.scheduler.devices.requests import AllocationError
from tiphys.scheduler.settings import DEFAULTS, Profile
from tiphys.scheduler.snapshot import Snapshot
from tiphys.scheduler.template import PodInfo
from tiphys.scheduler.volumes.claims import Refusal


class DeviceChecks:
    """Checks on a snapshot, of pods with claims. Results are kept for the pod that was asked for last."""

    def __init__(self, cluster: Snapshot, new_id: Callable[[], str], profile: Profile = DEFAULTS.profile) -> None:
        self._cluster = cluster
        self._new_id = new_id
        self._is_off = RULE in profile.disabled_filters
        self._key: tuple[str, int, int] = ("", 0, 0)
        self._known: dict[int, list[AllocationResult] | str] = {}
        """Allocations by row, or the reason against it."""

    def refusal(self, info: PodInfo) -> Refusal | None:
        """Return why a pod can run nowhere because of its claims, or None."""
        return None if self._is_off else refuse(info, self._cluster.devices)

    def with_causes(self, info: PodInfo, devices: PodDevices, causes: Causes) -> Causes:
        """Return the causes, with those of devices in rows that had none."""
        result = causes.copy()
        for row in np.flatnonzero(causes == ALLOWED).tolist():
            result[row] = self.cause_in(info, devices, row)
        return result

    def cause_in(self, info: PodInfo, devices: PodDevices, row: int) -> int:
        """Return the cause in one row."""
        if self._is_off:
            return ALLOWED
        node = self._node(row)
        for claim in self._claims(devices):
            selector = claim.status.allocation.nodeSelector if claim.status.allocation is not None else None
            if selector is not None and not selects(selector, node):
                return numbers.CLAIM_ELSEWHERE
        return numbers.NO_DEVICES if isinstance(self._allocations(info, devices, row), str) else ALLOWED

    def reason_in(self, info: PodInfo, row: int) -> str:
        """Return the reason against a row after `cause_in` said that there are no devices."""
        known = self._known.get(row) if self._key == self._now(info) else None
        return known if isinstance(known, str) else ""

    def plan(self, info: PodInfo, devices: PodDevices, row: int) -> DevicePlan | None:
        """Return what is to be written to the claims before the pod is bound to the node of a row; None if nothing is."""
        if self._is_off:
            return None
        result = self._allocations(info, devices, row)
        allocations = iter(result if isinstance(result, list) else ())
        gives = []
        for claim in self._claims(devices):
            allocation = next(allocations, None) if claim.status.allocation is None else None
            if allocation is not None or not is_reserved_for(claim, info.uid):
                gives.append(Give((claim.metadata.namespace, claim.metadata.name), claim.metadata.uid, allocation))
        return DevicePlan(self._cluster.names[row], tuple(gives)) if gives else None

    def idle(self, info: PodInfo, devices: PodDevices) -> ResourceClaim | None:
        """Return a claim whose devices are out of reach of some node and which nobody else uses: without them the pod might run."""
        for claim in self._claims(devices):
            allocation = claim.status.allocation
            if allocation is None or allocation.nodeSelector is None or any(one.uid != info.uid for one in claim.status.reservedFor):
                continue
            if any(not selects(allocation.nodeSelector, self._node(row)) for row in self._cluster.row_of.values()):
                return claim
        return None

    def _claims(self, devices: PodDevices) -> list[ResourceClaim]:
        known = self._cluster.devices.claims
        return [known[key] for key in dict.fromkeys(devices.keys) if key in known]

    def _node(self, row: int) -> NodeView:
        name = self._cluster.names[row]
        facts = self._cluster.facts(name)
        return NodeView(name, facts.labels if facts is not None else {})

    def _now(self, info: PodInfo) -> tuple[str, int, int]:
        return info.uid, self._cluster.devices.version, self._cluster.node_log.position

    def _allocations(self, info: PodInfo, devices: PodDevices, row: int) -> list[AllocationResult] | str:
        now = self._now(info)
        if self._key != now:
            self._key, self._known = now, {}
        result = self._known.get(row)
        if result is None:
            claims = [claim for claim in self._claims(devices) if claim.status.allocation is None]
            result = self._known[row] = self._allocate(row, claims)
        return result

    def _allocate(self, row: int, claims: list[ResourceClaim]) -> list[AllocationResult] | str:
        if not claims:
            return []
        try:
            result = allocate(self._node(row), claims, self._cluster.devices.world(), self._new_id)
        except AllocationError as error:
            return str(error)
        return "cannot allocate all claims" if result is None else result
