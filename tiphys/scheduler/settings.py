"""Settings of the scheduler: its name, and its one profile ("Scheduler Configuration"). Defaults are upstream's."""

from __future__ import annotations

from typing import Annotated

import msgspec

from tiphys.settings.client import ClientSettings
from tiphys.settings.leader import LeaderElectionSettings
from tiphys.settings.serving import SECURE_PORT, ServingSettings


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    """Weight of each score plugin, by its name; 0 disables it."""

    TaintToleration: int = 3
    NodeAffinity: int = 2
    NodeResourcesFit: int = 1
    PodTopologySpread: int = 2
    InterPodAffinity: int = 2
    NodeResourcesBalancedAllocation: int = 1
    ImageLocality: int = 1


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Plugins of the scheduler and their arguments."""

    weights: Weights = Weights()
    disabled_filters: tuple[str, ...] = ()
    """Names of filter plugins that reject no node."""
    hard_affinity_weight: int = 1
    """Score weight of a placed pod's required term of affinity for a pod that matches it (`hardPodAffinityWeight`)."""
    min_candidates_percentage: int = 10
    min_candidates: int = 100
    """Number of candidates after which preemption looks at no more nodes: the larger of this and of the percentage of all nodes."""
    bind_timeout: int = 600
    """Seconds within which the volumes of a pod must be bound, or the pod gets another decision (`bindTimeoutSeconds`)."""


class SchedulerServing(ServingSettings, frozen=True, kw_only=True):
    """Server of a scheduler in a process of its own."""

    port: Annotated[int, SECURE_PORT] = 10259


class SchedulerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings of a scheduler. Durations are in seconds."""

    name: str = "default-scheduler"
    """Pods that name it in `schedulerName` are its own."""
    initial_backoff: float = 1.0
    max_backoff: float = 10.0
    profile: Profile = Profile()
    client: ClientSettings = ClientSettings()
    serving: SchedulerServing = SchedulerServing()
    leader_election: LeaderElectionSettings = LeaderElectionSettings()


DEFAULTS = SchedulerSettings()
