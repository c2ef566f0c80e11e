"""KubeSchedulerConfiguration ("kube-scheduler Configuration (v1)"): the file that sets a scheduler's settings.

All of upstream's fields are here; `tiphys.settings.file` refuses values for those that mean nothing in this scheduler.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from tiphys.api.machinery import durations
from tiphys.api.machinery.base import Struct, constant, field
from tiphys.scheduler.plugins import Choice, choose
from tiphys.settings.file import ConfigurationError, Only, Sets, existing_file, read_object, whole

GROUP_VERSION = "kubescheduler.config.k8s.io/v1"
KIND = "KubeSchedulerConfiguration"

Duration = str
"""A duration of Go, such as 15s."""


class LeaderElection(Struct):
    """Election of one scheduler among several."""

    leaderElect: Annotated[bool | None, Sets("scheduler.leader_election.leader_elect")] = None
    leaseDuration: Annotated[Duration, Sets("scheduler.leader_election.lease_duration", read=durations.seconds)] = ""
    renewDeadline: Annotated[Duration, Sets("scheduler.leader_election.renew_deadline", read=durations.seconds)] = ""
    retryPeriod: Annotated[Duration, Sets("scheduler.leader_election.retry_period", read=durations.seconds)] = ""
    resourceLock: Annotated[str, Only("leases")] = ""
    resourceName: Annotated[str, Sets("scheduler.leader_election.resource_name")] = ""
    resourceNamespace: Annotated[str, Sets("scheduler.leader_election.resource_namespace")] = ""


class ClientConnection(Struct):
    """Connection to the API server, for a scheduler in a process of its own."""

    kubeconfig: Annotated[str, Sets("scheduler.client.kubeconfig", read=existing_file)] = ""
    acceptContentTypes: str = ""
    contentType: Annotated[str, Only("application/json")] = ""
    qps: float = 0
    burst: int = 0


class Plugin(Struct):
    """A plugin by its name; `*` is all of them in a list of disabled ones."""

    name: str = ""
    weight: int | None = None


class PluginSet(Struct):
    """Plugins that are added to the default ones, or taken from them."""

    enabled: list[Plugin] = []
    disabled: list[Plugin] = []


class Plugins(Struct):
    """Plugins by extension point."""

    preEnqueue: PluginSet = field(default_factory=PluginSet)
    queueSort: PluginSet = field(default_factory=PluginSet)
    preFilter: PluginSet = field(default_factory=PluginSet)
    filter: PluginSet = field(default_factory=PluginSet)
    postFilter: PluginSet = field(default_factory=PluginSet)
    preScore: PluginSet = field(default_factory=PluginSet)
    score: PluginSet = field(default_factory=PluginSet)
    reserve: PluginSet = field(default_factory=PluginSet)
    permit: PluginSet = field(default_factory=PluginSet)
    preBind: PluginSet = field(default_factory=PluginSet)
    bind: PluginSet = field(default_factory=PluginSet)
    postBind: PluginSet = field(default_factory=PluginSet)
    multiPoint: PluginSet = field(default_factory=PluginSet)
    placementGenerate: PluginSet = field(default_factory=PluginSet)
    placementScore: PluginSet = field(default_factory=PluginSet)


POINTS = ("multiPoint", "filter", "score")
"""Extension points that are configurable here, in the order in which they count."""


class PluginConfig(Struct):
    """Arguments of a plugin."""

    name: str = ""
    args: dict[str, Any] = {}


class Profile(Struct):
    """Plugins and arguments for the pods that name a scheduler."""

    schedulerName: str | None = None
    percentageOfNodesToScore: int | None = None
    plugins: Plugins | None = None
    pluginConfig: list[PluginConfig] = []


class DefaultPreemptionArgs(Struct):
    """Arguments of the plugin DefaultPreemption."""

    apiVersion: str = constant(GROUP_VERSION)
    kind: str = constant("DefaultPreemptionArgs")
    minCandidateNodesPercentage: Annotated[int | None, Sets("min_candidates_percentage", read=whole(0, 100))] = None
    minCandidateNodesAbsolute: Annotated[int | None, Sets("min_candidates", read=whole(0))] = None


class InterPodAffinityArgs(Struct):
    """Arguments of the plugin InterPodAffinity."""

    apiVersion: str = constant(GROUP_VERSION)
    kind: str = constant("InterPodAffinityArgs")
    hardPodAffinityWeight: Annotated[int | None, Sets("hard_affinity_weight", read=whole(0, 100))] = None
    ignorePreferredTermsOfExistingPods: bool = False


RESOURCES = [{"name": "cpu", "weight": 1}, {"name": "memory", "weight": 1}]
"""The resources that scores look at, in upstream's default form."""


class ScoringStrategy(Struct):
    """Preference among nodes by what is used of them."""

    type: Annotated[str, Only("LeastAllocated")] = ""
    resources: Annotated[list[dict[str, Any]], Only(RESOURCES)] = []
    requestedToCapacityRatio: dict[str, Any] | None = None


class NodeResourcesFitArgs(Struct):
    """Arguments of the plugin NodeResourcesFit."""

    apiVersion: str = constant(GROUP_VERSION)
    kind: str = constant("NodeResourcesFitArgs")
    ignoredResources: list[str] = []
    ignoredResourceGroups: list[str] = []
    scoringStrategy: ScoringStrategy | None = None


class NodeResourcesBalancedAllocationArgs(Struct):
    """Arguments of the plugin NodeResourcesBalancedAllocation."""

    apiVersion: str = constant(GROUP_VERSION)
    kind: str = constant("NodeResourcesBalancedAllocationArgs")
    resources: Annotated[list[dict[str, Any]], Only(RESOURCES)] = []


class PodTopologySpreadArgs(Struct):
    """Arguments of the plugin PodTopologySpread."""

    apiVersion: str = constant(GROUP_VERSION)
    kind: str = constant("PodTopologySpreadArgs")
    defaultConstraints: list[dict[str, Any]] = []
    defaultingType: Annotated[str, Only("System")] = ""


class NodeAffinityArgs(Struct):
    """Arguments of the plugin NodeAffinity."""

    apiVersion: str = constant(GROUP_VERSION)
    kind: str = constant("NodeAffinityArgs")
    addedAffinity: dict[str, Any] | None = None


class VolumeBindingArgs(Struct):
    """Arguments of the plugin VolumeBinding."""

    apiVersion: str = constant(GROUP_VERSION)
    kind: str = constant("VolumeBindingArgs")
    bindTimeoutSeconds: Annotated[int | None, Sets("bind_timeout", read=whole(0))] = None
    shape: list[dict[str, Any]] = []


ARGUMENTS: dict[str, type[msgspec.Struct]] = {
    type_.__name__.removesuffix("Args"): type_
    for type_ in (
        DefaultPreemptionArgs,
        InterPodAffinityArgs,
        NodeAffinityArgs,
        NodeResourcesBalancedAllocationArgs,
        NodeResourcesFitArgs,
        PodTopologySpreadArgs,
        VolumeBindingArgs,
    )
}
"""Types of arguments, by plugin."""


def read_profiles(profiles: list[Profile]) -> tuple[str | None, dict[str, Any]]:
    """Return the name of the scheduler, if it is given, and its profile, as the layer of `scheduler.profile`. Raises ConfigurationError."""
    faults = [(f"[{number}]", "Tiphys has one profile: remove the others") for number in range(1, len(profiles))]
    profile, layer = profiles[0], {}
    if profile.percentageOfNodesToScore not in (None, 0, 100):
        faults.append(("[0].percentageOfNodesToScore", "Tiphys scores all nodes: remove the field"))
    if profile.schedulerName == "":
        faults.append(("[0].schedulerName", "it must not be empty"))
    for read in (_plugins, _arguments):
        try:
            layer.update(read(profile))
        except ConfigurationError as error:
            faults += [(f"[0]{path}", message) for path, message in error.faults]
    if faults:
        raise ConfigurationError(faults)
    return profile.schedulerName, layer


def _plugins(profile: Profile) -> dict[str, Any]:
    if profile.plugins is None:
        return {}
    faults: list[tuple[str, str]] = []
    for point in profile.plugins.__struct_fields__:
        if point not in POINTS and getattr(profile.plugins, point) != PluginSet():
            faults.append((f".plugins.{point}", f"Tiphys configures plugins at {', '.join(POINTS)} only: remove it"))
    choices: list[Choice] = []
    for point in POINTS:
        chosen: PluginSet = getattr(profile.plugins, point)
        choices.append(Choice(point, [one.name for one in chosen.disabled], [(one.name, one.weight) for one in chosen.enabled]))
    try:
        layer = choose(choices)
    except ConfigurationError as error:
        faults += [(f".plugins{path}", message) for path, message in error.faults]
    if faults:
        raise ConfigurationError(faults)
    return layer


def _arguments(profile: Profile) -> dict[str, Any]:
    layer: dict[str, Any] = {}
    faults: list[tuple[str, str]] = []
    seen: set[str] = set()
    for number, one in enumerate(profile.pluginConfig):
        path, type_ = f".pluginConfig[{number}]", ARGUMENTS.get(one.name)
        if type_ is None:
            faults.append((f"{path}.name", f'"{one.name}" takes no arguments here, only {", ".join(ARGUMENTS)}: remove it'))
        elif one.name in seen:
            faults.append((path, f"there are arguments of {one.name} already: join them"))
        else:
            seen.add(one.name)
            values, wrong = read_object(type_, one.args)
            faults += [(f"{path}.args.{below}", message) for below, message in wrong]
            layer.update({place[0]: value for place, value in values.items()})
    if faults:
        raise ConfigurationError(faults)
    return layer


class KubeSchedulerConfiguration(Struct):
    """Configuration of a scheduler."""

    apiVersion: str = constant(GROUP_VERSION)
    kind: str = constant(KIND)
    parallelism: int | None = None
    leaderElection: LeaderElection = field(default_factory=LeaderElection)
    clientConnection: ClientConnection = field(default_factory=ClientConnection)
    enableProfiling: Annotated[bool | None, Only(False)] = None
    enableContentionProfiling: bool = False
    percentageOfNodesToScore: Annotated[int | None, Only(100)] = None
    podInitialBackoffSeconds: Annotated[int | None, Sets("scheduler.initial_backoff", read=whole(1))] = None
    podMaxBackoffSeconds: Annotated[int | None, Sets("scheduler.max_backoff", read=whole(1))] = None
    profiles: Annotated[list[Profile], Sets("scheduler.name", "scheduler.profile", read=read_profiles)] = []
    extenders: list[dict[str, Any]] = []
    delayCacheUntilActive: Annotated[bool, Only(True)] = False
