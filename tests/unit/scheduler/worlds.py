"""Strategies for nodes and pods that get in each other's way."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from typing import Any

from hypothesis import strategies as st

from tiphys.api.core import v1 as core
from tiphys.api.meta import v1 as meta

HOSTNAME, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
NODE_NAMES = [f"n{number}" for number in range(6)]
KEYS = (HOSTNAME, ZONE, "disk")
APPS = ("a", "b")
_numbers = count()
MEGABYTE = 1 << 20


def maybe(strategy: st.SearchStrategy[Any], otherwise: Any = None) -> st.SearchStrategy[Any]:
    return st.one_of(st.just(otherwise), strategy)


taints = st.builds(
    core.Taint,
    key=st.sampled_from(("x", "y")),
    value=st.sampled_from(("", "1", "2")),
    effect=st.sampled_from(("NoSchedule", "PreferNoSchedule", "NoExecute")),
)
tolerations = st.builds(
    core.Toleration,
    key=st.sampled_from(("", "x", "y")),
    operator=st.sampled_from(("Exists", "Equal", "", "Lt", "Gt")),
    value=st.sampled_from(("", "1", "2")),
    effect=st.sampled_from(("", "NoSchedule", "PreferNoSchedule")),
)
images = st.lists(
    st.builds(
        core.ContainerImage,
        names=st.sampled_from((["big:latest"], ["small:1"])),
        sizeBytes=st.sampled_from((10 * MEGABYTE, 400 * MEGABYTE, 3000 * MEGABYTE)),
    ),
    max_size=2,
    unique_by=lambda image: image.names[0],
)


@st.composite
def nodes(draw: st.DrawFn, name: str = "") -> core.Node:
    name = name or draw(st.sampled_from(NODE_NAMES))
    labels = {"n": draw(st.sampled_from(("1", "5", "x")))}
    for key, values in ((HOSTNAME, (name, name, "")), (ZONE, ("east", "west", "")), ("disk", ("ssd", "hdd", ""))):
        if value := draw(st.sampled_from(values)):
            labels[key] = value
    allocatable = {
        "cpu": draw(st.sampled_from(("0", "1", "2", "4"))),
        "memory": draw(st.sampled_from(("1Gi", "2Gi", "3Gi"))),
        "ephemeral-storage": "10Gi",
        "pods": draw(st.sampled_from(("1", "3", "10"))),
    }
    if draw(st.booleans()):
        allocatable["example.com/gpu"] = "2"
    return core.Node(
        metadata=meta.ObjectMeta(name=name, labels=labels),
        spec=core.NodeSpec(unschedulable=draw(st.sampled_from((False, False, False, True))), taints=draw(st.lists(taints, max_size=2))),
        status=core.NodeStatus(allocatable=allocatable, images=draw(images)),  # type: ignore[arg-type]
    )


@st.composite
def containers(draw: st.DrawFn) -> core.Container:
    requests: dict[str, str] = {}
    for name, values in (
        ("cpu", ("250m", "1")),
        ("memory", ("256Mi", "1Gi")),
        ("ephemeral-storage", ("6Gi",)),
        ("example.com/gpu", ("1",)),
    ):
        if draw(st.sampled_from((True, False, False))):
            requests[name] = draw(st.sampled_from(values))
    ports = draw(
        st.lists(
            st.builds(
                core.ContainerPort,
                containerPort=st.just(80),
                hostPort=st.sampled_from((0, 0, 80)),
                protocol=st.sampled_from(("TCP", "UDP")),
                hostIP=st.sampled_from(("", "127.0.0.1", "127.0.0.2")),
            ),
            max_size=1,
        )
    )
    return core.Container(
        name=f"c{next(_numbers)}",
        image=draw(st.sampled_from(("big", "small:1"))),
        ports=ports,
        resources=core.ResourceRequirements(requests=requests),  # type: ignore[arg-type]
        restartPolicy=None,
    )


@st.composite
def sidecars(draw: st.DrawFn) -> core.Container:
    container = draw(containers())
    container.restartPolicy = draw(st.sampled_from((None, "Always")))
    return container


requirements = st.one_of(
    st.builds(
        core.NodeSelectorRequirement,
        key=st.sampled_from((ZONE, "disk")),
        operator=st.sampled_from(("In", "NotIn")),
        values=st.sampled_from((["east"], ["ssd", "west"], ["nowhere"])),
    ),
    st.builds(core.NodeSelectorRequirement, key=st.sampled_from(KEYS), operator=st.sampled_from(("Exists", "DoesNotExist"))),
    st.builds(
        core.NodeSelectorRequirement,
        key=st.just("n"),
        operator=st.sampled_from(("Gt", "Lt")),
        values=st.sampled_from((["2"], ["5"], ["0"])),
    ),
)
fields = st.builds(
    core.NodeSelectorRequirement,
    key=st.just("metadata.name"),
    operator=st.sampled_from(("In", "NotIn")),
    values=st.sampled_from(NODE_NAMES).map(lambda name: [name]),
)
terms = st.builds(core.NodeSelectorTerm, matchExpressions=st.lists(requirements, max_size=2), matchFields=st.lists(fields, max_size=1))
node_affinity = st.builds(
    core.NodeAffinity,
    requiredDuringSchedulingIgnoredDuringExecution=maybe(
        st.builds(core.NodeSelector, nodeSelectorTerms=st.lists(terms, min_size=1, max_size=2))
    ),
    preferredDuringSchedulingIgnoredDuringExecution=st.lists(
        st.builds(core.PreferredSchedulingTerm, weight=st.integers(1, 100), preference=terms), max_size=2
    ),
)
selectors = st.sampled_from(
    (
        None,
        meta.LabelSelector(),
        meta.LabelSelector(matchLabels={"app": "a"}),
        meta.LabelSelector(matchLabels={"app": "b"}),
        meta.LabelSelector(matchExpressions=[meta.LabelSelectorRequirement(key="app", operator="Exists")]),
    )
)
label_keys = st.sampled_from(([], [], ["app"], ["version"]))
pod_terms = st.builds(
    core.PodAffinityTerm,
    labelSelector=selectors,
    namespaces=st.sampled_from(([], [], ["one"], ["two"])),
    topologyKey=st.sampled_from(KEYS),
    namespaceSelector=st.sampled_from((None, None, meta.LabelSelector(), meta.LabelSelector(matchLabels={"team": "red"}))),
    matchLabelKeys=label_keys,
    mismatchLabelKeys=label_keys,
)
weighted = st.builds(core.WeightedPodAffinityTerm, weight=st.integers(1, 100), podAffinityTerm=pod_terms)
pod_affinity = st.builds(
    core.PodAffinity,
    requiredDuringSchedulingIgnoredDuringExecution=st.lists(pod_terms, max_size=2),
    preferredDuringSchedulingIgnoredDuringExecution=st.lists(weighted, max_size=2),
)
pod_anti_affinity = st.builds(
    core.PodAntiAffinity,
    requiredDuringSchedulingIgnoredDuringExecution=st.lists(pod_terms, max_size=1),
    preferredDuringSchedulingIgnoredDuringExecution=st.lists(weighted, max_size=1),
)
affinities = st.builds(
    core.Affinity,
    nodeAffinity=maybe(node_affinity),
    podAffinity=maybe(pod_affinity),
    podAntiAffinity=maybe(pod_anti_affinity),
)
spreads = st.builds(
    core.TopologySpreadConstraint,
    maxSkew=st.integers(1, 3),
    topologyKey=st.sampled_from(KEYS),
    whenUnsatisfiable=st.sampled_from(("DoNotSchedule", "ScheduleAnyway")),
    labelSelector=selectors,
    minDomains=st.just(None),
    nodeAffinityPolicy=st.sampled_from((None, "Honor", "Ignore")),
    nodeTaintsPolicy=st.sampled_from((None, "Honor", "Ignore")),
    matchLabelKeys=label_keys,
)


@st.composite
def pods(draw: st.DrawFn) -> core.Pod:
    number = next(_numbers)
    labels = {"app": draw(st.sampled_from(APPS))}
    if draw(st.booleans()):
        labels["version"] = draw(st.sampled_from(("1", "2")))
    spreading = draw(maybe(st.lists(spreads, max_size=2, unique_by=lambda one: (one.topologyKey, one.whenUnsatisfiable)), []))
    for spread in spreading:
        if spread.whenUnsatisfiable == "DoNotSchedule":
            spread.minDomains = draw(st.sampled_from((None, 1, 2, 3)))
    return core.Pod(
        metadata=meta.ObjectMeta(
            name=f"p{number}",
            uid=f"u{number}",
            namespace=draw(st.sampled_from(("one", "two"))),
            labels=labels,
            deletionTimestamp=draw(st.sampled_from((None, None, None, datetime(2026, 1, 1, tzinfo=UTC)))),
        ),
        spec=core.PodSpec(
            containers=draw(st.lists(containers(), min_size=1, max_size=2)),
            initContainers=draw(maybe(st.lists(sidecars(), max_size=2), [])),
            nodeSelector=draw(maybe(st.sampled_from(({"disk": "ssd"}, {ZONE: "east"})), {})),
            affinity=draw(maybe(affinities)),
            tolerations=draw(st.lists(tolerations, max_size=2)),
            overhead=draw(st.sampled_from(({}, {}, {"cpu": "100m"}))),
            topologySpreadConstraints=spreading,
        ),
    )


# Worlds in which only one thing is difficult: more of what is drawn there gets to where it matters.


@st.composite
def easy_nodes(draw: st.DrawFn, name: str = "") -> core.Node:
    """Nodes that take anything, in two zones."""
    node = draw(nodes(name))
    node.metadata.labels |= {HOSTNAME: node.metadata.name, ZONE: draw(st.sampled_from(("east", "west")))}
    node.spec = core.NodeSpec()
    node.status.allocatable = {"cpu": "64", "memory": "256Gi", "pods": "50"}  # type: ignore[dict-item]
    return node


@st.composite
def social_pods(draw: st.DrawFn) -> core.Pod:
    """Pods that are difficult about other pods only."""
    pod = draw(pods())
    pod.spec.nodeSelector, pod.spec.initContainers, pod.spec.tolerations = {}, [], []
    pod.spec.containers = [core.Container(name="main", image="big")]
    if pod.spec.affinity is not None:
        pod.spec.affinity.nodeAffinity = None
    return pod


@st.composite
def modest_pods(draw: st.DrawFn) -> core.Pod:
    """Pods that are difficult about one thing at most."""
    pod = draw(pods())
    plain = core.PodSpec(containers=[core.Container(name="main", image="small:1")])
    trait = draw(st.sampled_from(("containers", "nodeSelector", "affinity", "tolerations", "topologySpreadConstraints")))
    setattr(plain, trait, getattr(pod.spec, trait))
    pod.spec = plain
    return pod
