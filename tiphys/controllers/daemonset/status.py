"""The status of a DaemonSet: how many nodes have their pod, in which state. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from tiphys.api.apps import v1 as apps
from tiphys.api.helpers import pods as pod_state
from tiphys.controllers.daemonset.placement import Fit, is_updated, template_generation
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
    generation = template_generation(daemon_set)
    for name, fit in seen.fits.items():
        pods = seen.pods.get(name, ())
        pod = min(pods, key=seniority) if pods else created.get(name)
        if fit is not Fit.RUN:
            result.numberMisscheduled += pod is not None
            continue
        result.desiredNumberScheduled += 1
        if pod is None:
            continue
        result.currentNumberScheduled += 1
        result.numberReady += pod_state.is_ready(pod)
        result.numberAvailable += pod_state.is_available(pod, daemon_set.spec.minReadySeconds, seen.now)
        result.updatedNumberScheduled += is_updated(pod.metadata.labels, seen.revision, generation)
    result.numberUnavailable = result.desiredNumberScheduled - result.numberAvailable
    return result
