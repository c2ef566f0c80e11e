"""Leader election of the controllers and the scheduler, by their settings."""

from __future__ import annotations

import random
import socket

from tiphys.aio.clock import Clock
from tiphys.client.client import Client
from tiphys.runtime.leader import LeaderElector, Timing, new_identity
from tiphys.settings.leader import LeaderElectionSettings

CONTROLLER_MANAGER, SCHEDULER = "kube-controller-manager", "kube-scheduler"
"""Names of the Leases, which are upstream's, so that its components and ours take turns."""


def elector_of(settings: LeaderElectionSettings, client: Client, name: str, *, clock: Clock, rng: random.Random) -> LeaderElector | None:
    """Return the elector for the Lease `name` unless the settings name another; None if leader election is disabled."""
    if not settings.leader_elect:
        return None
    return LeaderElector(
        client,
        settings.resource_name or name,
        new_identity(socket.gethostname(), rng),
        clock=clock,
        namespace=settings.resource_namespace,
        timing=Timing.of(settings),
        rng=rng,
    )
