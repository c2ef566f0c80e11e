"""KubeSchedulerConfiguration: what it sets, what it refuses, and what the scheduler makes of it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.scheduler.make import info, node, pod
from tiphys.api.core import v1 as core
from tiphys.api.meta import v1 as meta
from tiphys.daemon.config import read_config
from tiphys.daemon.settings import ClusterSettings, SettingsError
from tiphys.scheduler.configuration import GROUP_VERSION, KIND
from tiphys.scheduler.cycle import Cycle
from tiphys.scheduler.explain import Diagnosis
from tiphys.scheduler.plugins import ALWAYS, filter_names
from tiphys.scheduler.preempt import NoRoom, Room
from tiphys.scheduler.settings import Profile, SchedulerSettings, Weights
from tiphys.scheduler.snapshot import Snapshot
from tiphys.settings.layers import convert
from tiphys.settings.leader import LeaderElectionSettings


def read(tmp_path: Path, document: dict[str, Any]) -> SchedulerSettings:
    path = tmp_path / "scheduler.yaml"
    path.write_text(yaml.safe_dump({"apiVersion": GROUP_VERSION, "kind": KIND, **document}))
    return convert(ClusterSettings, {"data_dir": "/d", **read_config(path)}).scheduler


def profile(tmp_path: Path, **plugins: Any) -> Profile:
    return read(tmp_path, {"profiles": [{"plugins": plugins}]}).profile


def test_every_field_that_sets_something_sets_it(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.touch()
    settings = read(
        tmp_path,
        {
            "leaderElection": {
                "leaderElect": False,
                "leaseDuration": "30s",
                "renewDeadline": "20s",
                "retryPeriod": "3s",
                "resourceLock": "leases",
                "resourceName": "mine",
                "resourceNamespace": "apart",
            },
            "clientConnection": {"kubeconfig": str(kubeconfig)},
            "podInitialBackoffSeconds": 2,
            "podMaxBackoffSeconds": 20,
            "percentageOfNodesToScore": 100,
            "delayCacheUntilActive": True,
            "profiles": [
                {
                    "schedulerName": "mine",
                    "pluginConfig": [
                        {"name": "DefaultPreemption", "args": {"minCandidateNodesPercentage": 20, "minCandidateNodesAbsolute": 5}},
                        {"name": "InterPodAffinity", "args": {"kind": "InterPodAffinityArgs", "hardPodAffinityWeight": 0}},
                        {"name": "NodeResourcesFit", "args": {"scoringStrategy": {"type": "LeastAllocated"}}},
                        {"name": "PodTopologySpread", "args": {"defaultingType": "System"}},
                        {"name": "VolumeBinding", "args": {"bindTimeoutSeconds": 30}},
                    ],
                }
            ],
        },
    )
    assert settings.leader_election == LeaderElectionSettings(
        leader_elect=False, lease_duration=30, renew_deadline=20, retry_period=3, resource_name="mine", resource_namespace="apart"
    )
    assert (settings.client.kubeconfig, settings.name) == (kubeconfig, "mine")
    assert (settings.initial_backoff, settings.max_backoff) == (2, 20)
    assert settings.profile == Profile(hard_affinity_weight=0, min_candidates_percentage=20, min_candidates=5, bind_timeout=30)


def test_an_empty_configuration_is_the_default(tmp_path: Path) -> None:
    assert read(tmp_path, {"profiles": [{}]}) == SchedulerSettings()


def test_scores_are_weighed_and_disabled(tmp_path: Path) -> None:
    score = {"enabled": [{"name": "ImageLocality", "weight": 5}, {"name": "NodeAffinity"}], "disabled": [{"name": "TaintToleration"}]}
    assert profile(tmp_path, score=score) == Profile(weights=Weights(ImageLocality=5, NodeAffinity=1, TaintToleration=0))


def test_filters_are_disabled_without_their_scores(tmp_path: Path) -> None:
    found = profile(tmp_path, filter={"disabled": [{"name": "NodeAffinity"}, {"name": "NodePorts"}]})
    assert (set(found.disabled_filters), found.weights) == ({"NodeAffinity", "NodePorts"}, Weights())


def test_multi_point_disables_both(tmp_path: Path) -> None:
    found = profile(tmp_path, multiPoint={"disabled": [{"name": "NodeAffinity"}, {"name": "VolumeZone"}, {"name": "GangScheduling"}]})
    assert found == Profile(disabled_filters=("NodeAffinity", "VolumeZone"), weights=Weights(NodeAffinity=0))


def test_points_count_more_than_multi_point(tmp_path: Path) -> None:
    everything = {"disabled": [{"name": "*"}], "enabled": [{"name": name} for name in (*ALWAYS, "NodeResourcesFit")]}
    found = profile(tmp_path, multiPoint=everything, score={"enabled": [{"name": "ImageLocality", "weight": 7}]})
    assert set(found.disabled_filters) == set(filter_names()) - {"NodeResourcesFit"}
    nothing = dict.fromkeys(Weights.__struct_fields__, 0)
    assert found.weights == Weights(**{**nothing, "NodeResourcesFit": 1, "ImageLocality": 7})


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"parallelism": 4}, "parallelism: Tiphys does not support this field: remove it"),
        ({"percentageOfNodesToScore": 50}, "percentageOfNodesToScore: Tiphys supports only 100 here"),
        ({"extenders": [{"urlPrefix": "http://x"}]}, "extenders: Tiphys does not support this field: remove it"),
        ({"podMaxBackoffSeconds": 0}, "podMaxBackoffSeconds: 0 is not in the range: it must be at least 1"),
        ({"clientConnection": {"qps": 50.5}}, "clientConnection.qps: Tiphys does not support this field: remove it"),
        ({"leaderElection": {"leaseDuration": 15}}, "leaderElection.leaseDuration: it must be text, not a number"),
        ({"profiles": [{}, {"schedulerName": "b"}]}, "profiles[1]: Tiphys has one profile: remove the others"),
        ({"profiles": [{"schedulerName": ""}]}, "profiles[0].schedulerName: it must not be empty"),
        ({"profiles": [{"percentageOfNodesToScore": 5}]}, "profiles[0].percentageOfNodesToScore: Tiphys scores all nodes"),
        ({"profiles": [{"pluginConfig": [{"name": "Odd"}]}]}, 'profiles[0].pluginConfig[0].name: "Odd" takes no arguments here'),
    ],
)
def test_values_without_effect_are_refused(tmp_path: Path, document: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, document)
    assert str(caught.value).startswith(f"{tmp_path / 'scheduler.yaml'}: KubeSchedulerConfiguration: {message}")


@pytest.mark.parametrize(
    ("plugins", "message"),
    [
        ({"bind": {"disabled": [{"name": "DefaultBinder"}]}}, "bind: Tiphys configures plugins at multiPoint, filter, score only"),
        ({"score": {"enabled": [{"name": "Odd"}]}}, 'score.enabled[0].name: there is no plugin "Odd" at this point'),
        ({"filter": {"disabled": [{"name": "Odd"}]}}, 'filter.disabled[0].name: there is no plugin "Odd" at this point'),
        ({"filter": {"disabled": [{"name": "ImageLocality"}]}}, "filter.disabled[0].name: there is no plugin"),
        ({"score": {"enabled": [{"name": "ImageLocality", "weight": -1}]}}, "score.enabled[0].weight: -1 is not in the range"),
        ({"multiPoint": {"enabled": [{"name": "GangScheduling"}]}}, "multiPoint.enabled[0].name: Tiphys does not have the plugin"),
        ({"multiPoint": {"disabled": [{"name": "PrioritySort"}]}}, "multiPoint.disabled[0].name: Tiphys always does the work"),
        ({"multiPoint": {"disabled": [{"name": "*"}]}}, "multiPoint.disabled[0].name: Tiphys always does the work of SchedulingGates, "),
    ],
)
def test_plugins_that_cannot_be_chosen_are_refused(tmp_path: Path, plugins: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        profile(tmp_path, **plugins)
    assert f"profiles[0].plugins.{message}" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        ("InterPodAffinity", {"hardPodAffinityWeight": 101}, "hardPodAffinityWeight: 101 is not in the range"),
        ("InterPodAffinity", {"hardWeight": 1}, "hardWeight: this kind has no such field"),
        ("InterPodAffinity", {"kind": "NodeAffinityArgs"}, "kind: it must be InterPodAffinityArgs"),
        ("NodeResourcesFit", {"scoringStrategy": {"type": "MostAllocated"}}, "scoringStrategy.type: Tiphys supports only LeastAllocated"),
        ("NodeAffinity", {"addedAffinity": {}}, "addedAffinity: Tiphys does not support this field"),
        ("PodTopologySpread", {"defaultingType": "List"}, "defaultingType: Tiphys supports only System here"),
    ],
)
def test_arguments_that_mean_nothing_are_refused(tmp_path: Path, name: str, args: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, {"profiles": [{"pluginConfig": [{"name": name, "args": args}]}]})
    assert f"profiles[0].pluginConfig[0].args.{message}" in str(caught.value)


# -- what becomes of it


SELECTOR = meta.LabelSelector(matchLabels={"app": "web"})
FAR_TERMS = [core.PodAffinityTerm(topologyKey="kubernetes.io/hostname", labelSelector=SELECTOR)]
FAR = core.Affinity(
    podAntiAffinity=core.PodAntiAffinity(
        requiredDuringSchedulingIgnoredDuringExecution=[core.PodAffinityTerm(topologyKey="kubernetes.io/hostname", labelSelector=SELECTOR)]
    )
)


def cluster_of(*nodes: core.Node) -> Snapshot:
    cluster = Snapshot()
    for one in nodes:
        cluster.put_node(one)
    return cluster


def place(cluster: Snapshot, wanted: core.Pod, chosen: Profile) -> str | Diagnosis:
    return Cycle(cluster, rng=random.Random(1), profile=chosen).place(info(wanted))


def test_a_disabled_filter_rejects_nothing() -> None:
    cluster = cluster_of(node("off", unschedulable=True, taints=[core.Taint(key="t", effect="NoSchedule")]))
    wanted = pod("p")
    for disabled, rules in (((), {"NodeUnschedulable"}), (("NodeUnschedulable",), {"TaintToleration"})):
        found = place(cluster, wanted, Profile(disabled_filters=disabled))
        assert isinstance(found, Diagnosis)
        assert found.rules == rules
    assert place(cluster, wanted, Profile(disabled_filters=("NodeUnschedulable", "TaintToleration"))) == "off"


def test_filters_about_other_pods_can_be_disabled() -> None:
    cluster = cluster_of(node("a"))
    cluster.put_pod(info(pod("there", labels={"app": "web"}, affinity=FAR)), "a")
    wanted = pod("p", labels={"app": "web"}, affinity=FAR)
    found = place(cluster, wanted, Profile())
    assert isinstance(found, Diagnosis)
    assert found.rules == {"InterPodAffinity"}
    assert place(cluster, wanted, Profile(disabled_filters=("InterPodAffinity",))) == "a"


def test_weights_decide_among_nodes() -> None:
    """One node is emptier, the other has no soft taint."""
    empty = node("empty", cpu="8", taints=[core.Taint(key="t", effect="PreferNoSchedule")])
    cluster = cluster_of(empty, node("used", cpu="8"))
    cluster.put_pod(info(pod("there", cpu="4")), "used")
    wanted = pod("p", cpu="1")
    alone = dict.fromkeys(Weights.__struct_fields__, 0)
    assert place(cluster, wanted, Profile(weights=Weights(**{**alone, "NodeResourcesFit": 1}))) == "empty"
    assert place(cluster, wanted, Profile(weights=Weights(**{**alone, "TaintToleration": 1}))) == "used"
    assert place(cluster, wanted, Profile(weights=Weights(**{**alone, "TaintToleration": 1, "NodeResourcesFit": 100}))) == "empty"


def test_required_spreading_can_be_disabled() -> None:
    cluster = cluster_of(node("a"))
    spread = core.TopologySpreadConstraint(maxSkew=1, topologyKey="zone", whenUnsatisfiable="DoNotSchedule", labelSelector=SELECTOR)
    wanted = pod("p", labels={"app": "web"}, topologySpreadConstraints=[spread])
    found = place(cluster, wanted, Profile())
    assert isinstance(found, Diagnosis)
    assert found.rules == {"PodTopologySpread"}
    assert place(cluster, wanted, Profile(disabled_filters=("PodTopologySpread",))) == "a"


def test_a_required_term_attracts_with_its_weight() -> None:
    """A placed pod wants to be near web pods, on a node that is fuller than the other."""
    cluster = cluster_of(node("near", cpu="8"), node("away", cpu="8"))
    near = core.Affinity(podAffinity=core.PodAffinity(requiredDuringSchedulingIgnoredDuringExecution=FAR_TERMS))
    cluster.put_pod(info(pod("there", cpu="4", labels={"app": "web"}, affinity=near)), "near")
    wanted = pod("p", labels={"app": "web"})
    assert place(cluster, wanted, Profile(hard_affinity_weight=1)) == "near"
    assert place(cluster, wanted, Profile(hard_affinity_weight=0)) == "away"


def test_preemption_counts_with_the_filters_of_the_profile() -> None:
    """The node is closed for new pods: room can be made there only if that does not count."""
    cluster = cluster_of(node("full", cpu="1", unschedulable=True))
    lower = pod("lower", cpu="1")
    lower.spec.priority = 0
    cluster.put_pod(info(lower), "full")
    wanted = pod("p", cpu="1")
    wanted.spec.priority = 10
    for disabled, expected in (((), NoRoom), (("NodeUnschedulable",), Room)):
        cycle = Cycle(cluster, rng=random.Random(1), profile=Profile(disabled_filters=disabled))
        entry = info(wanted)
        assert isinstance(cycle.place(entry), Diagnosis)
        assert isinstance(cycle.preempt(entry, ()), expected)


@pytest.mark.parametrize(("least", "percentage", "tried"), [(1, 0, 1), (3, 0, 3), (1, 50, 5), (1, 100, 10), (20, 0, 10)])
def test_preemption_looks_at_as_many_nodes_as_it_should(least: int, percentage: int, tried: int) -> None:
    """Among nodes that are alike but for the priority of their pods the least important counts, if it is looked at."""
    cluster = cluster_of(*(node(f"n{number}", cpu="1") for number in range(10)))
    for number in range(10):
        lower = pod(f"lower-{number}", cpu="1")
        lower.spec.priority = number
        cluster.put_pod(info(lower), f"n{number}")
    wanted = pod("p", cpu="1")
    wanted.spec.priority = 100
    profile = Profile(min_candidates=least, min_candidates_percentage=percentage)
    seen = set()
    for seed in range(40):
        room = Cycle(cluster, rng=random.Random(seed), profile=profile).preempt(info(wanted), ())
        assert isinstance(room, Room)
        seen.add(room.node)
    # From any start, the best of the next `tried` nodes: all but those that always have a better one within reach.
    assert seen <= {f"n{number}" for number in range(10 - tried + 1)}
    assert len(seen) > 1 or tried == 10
