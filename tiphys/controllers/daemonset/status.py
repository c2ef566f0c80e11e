"""The status of a DaemonSet: how many nodes have their pod, in which state. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from tiphys.api.apps import v1 as apps
from tiphys.api.helpers import pods as pod_state
from tiphys.controllers.daemonset.placement import Fit
from tiphys.controllers.daemonset.plan import Observation, seniority
from tiphys.controllers.shared.slim import SlimPod


def status(daemon_set: apps.DaemonSet, seen: Observation, created: Mapping[str, SlimPod], collisions: int) -> apps.DaemonSetStatus:
    """Return the status after pods were created on some nodes; of several pods on a node the oldest counts."""
    before = daemon_set.status
    result = apps.DaemonSetStatus(
        observedGeneration=daemon_set.metadata.generation,
        collisionCount=collisions or before.collisionCount,
        conditions=before.conditions,
    )
    seconds = daemon_set.spec.minReadySeconds
    for name, fit in seen.fits.items():
        pods = seen.pods.get(name, ())
        pod = (pods[0] if len(pods) == 1 else min(pods, key=seniority)) if pods else created.get(name)
        if fit is not Fit.RUN:
            result.numberMisscheduled += pod is not None
            continue
        result.desiredNumberScheduled += 1
        if pod is None:
            continue
        result.currentNumberScheduled += 1
        result.updatedNumberScheduled += seen.is_new(pod)
        if pod_state.is_ready(pod):
            result.numberReady += 1
            result.numberAvailable += not seconds or pod_state.is_available(pod, seconds, seen.now)
    result.numberUnavailable = result.desiredNumberScheduled - result.numberAvailable
    return result
