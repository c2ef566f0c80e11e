"""The core group, v1: scheduling."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.core.v1.reference import NodeSelector, NodeSelectorTerm
from tiphys.api.machinery.base import Atomic, Struct, Time, always
from tiphys.api.meta.v1.meta import LabelSelector


class PreferredSchedulingTerm(Struct):
    """Nodes that are liked better."""

    weight: int = always(int)
    """How much better, 1 to 100."""
    preference: NodeSelectorTerm = always(NodeSelectorTerm)
    """Which nodes."""


class NodeAffinity(Struct):
    """Nodes that a pod requires or prefers."""

    requiredDuringSchedulingIgnoredDuringExecution: NodeSelector | None = None
    """Nodes outside get no such pod; pods that run there already stay."""
    preferredDuringSchedulingIgnoredDuringExecution: Annotated[list[PreferredSchedulingTerm], Atomic()] = []
    """Nodes that score more: the weights of all terms that fit are added."""


class PodAffinityTerm(Struct):
    """A group of pods, and how close is close."""

    labelSelector: LabelSelector | None = None
    """Which pods; none if absent."""
    namespaces: Annotated[list[str], Atomic()] = []
    """Namespaces to look in, besides those of namespaceSelector. The pod's own if both are absent."""
    topologyKey: str = always(str)
    """Nodes with the same value of this label count as the same place."""
    namespaceSelector: LabelSelector | None = None
    """Namespaces to look in, by label; an empty selector is all of them."""
    matchLabelKeys: Annotated[list[str], Atomic()] = []
    """Labels whose values are taken from the new pod and must agree."""
    mismatchLabelKeys: Annotated[list[str], Atomic()] = []
    """Labels whose values are taken from the new pod and must differ."""


class WeightedPodAffinityTerm(Struct):
    """Places that are liked better."""

    weight: int = always(int)
    """How much better, 1 to 100."""
    podAffinityTerm: PodAffinityTerm = always(PodAffinityTerm)
    """Which places."""


class PodAntiAffinity(Struct):
    """Other pods to keep away from."""

    requiredDuringSchedulingIgnoredDuringExecution: Annotated[list[PodAffinityTerm], Atomic()] = []
    """No node near such a pod is chosen; pods that run already stay."""
    preferredDuringSchedulingIgnoredDuringExecution: Annotated[list[WeightedPodAffinityTerm], Atomic()] = []
    """Nodes near such pods score less."""


class PodAffinity(Struct):
    """Other pods to be close to."""

    requiredDuringSchedulingIgnoredDuringExecution: Annotated[list[PodAffinityTerm], Atomic()] = []
    """Only nodes near such a pod are chosen, for every term; pods that run already stay."""
    preferredDuringSchedulingIgnoredDuringExecution: Annotated[list[WeightedPodAffinityTerm], Atomic()] = []
    """Nodes near such pods score more."""


class Affinity(Struct):
    """Nodes and pods that a pod requires, prefers or avoids."""

    nodeAffinity: NodeAffinity | None = None
    """Which nodes."""
    podAffinity: PodAffinity | None = None
    """Near which pods."""
    podAntiAffinity: PodAntiAffinity | None = None
    """Away from which pods."""


class PodSchedulingGate(Struct):
    """Something that holds the scheduling of a pod back."""

    name: str = always(str)
    """Its name, unique in the pod."""


class PodSchedulingGroup(Struct):
    """The group with which a pod is scheduled."""

    podGroupName: str | None = None
    """The PodGroup in the same namespace."""


class Taint(Struct):
    """Keeps pods off a node unless they tolerate it."""

    key: str = always(str)
    """A label key."""
    value: str = ""
    """A label value; may be empty."""
    effect: str = always(str)
    """`NoSchedule`, `PreferNoSchedule`, or `NoExecute`, which also drives running pods out."""
    timeAdded: Time | None = None
    """When it was added, for `NoExecute`."""


class Toleration(Struct):
    """Makes up for taints that match it."""

    key: str = ""
    """The key of the taint; empty with `Exists` matches all."""
    operator: str = ""
    """`Equal` (default) compares the value, `Exists` does not; `Lt` and `Gt` compare numbers."""
    value: str = ""
    """The value to compare with."""
    effect: str = ""
    """The effect of the taint; empty matches all."""
    tolerationSeconds: int | None = None
    """Seconds after which the pod goes anyway, for `NoExecute`. For ever if absent, at once if 0."""


class TopologySpreadConstraint(Struct):
    """Constraint on the even spread of pods over a topology."""

    maxSkew: int = always(int)
    """By how many pods places may differ, at least 1."""
    topologyKey: str = always(str)
    """Nodes with the same value of this label are one place."""
    whenUnsatisfiable: str = always(str)
    """`DoNotSchedule`, or `ScheduleAnyway` to take the least uneven node."""
    labelSelector: LabelSelector | None = None
    """The pods that are counted, in the same namespace."""
    minDomains: int | None = None
    """How many places there have to be; with fewer the smallest count is taken as 0. Only with `DoNotSchedule`."""
    nodeAffinityPolicy: str | None = None
    """Whether only nodes count that the pod's affinity and selector allow: `Honor` (default) or `Ignore`."""
    nodeTaintsPolicy: str | None = None
    """Whether only nodes count whose taints the pod tolerates: `Honor`, or `Ignore` (default)."""
    matchLabelKeys: Annotated[list[str], Atomic()] = []
    """Labels whose values are taken from the new pod and must agree in the pods that are counted."""
