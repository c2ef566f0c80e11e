"""The core group, v1: scheduling."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.base import Atomic, Struct, Time, always
from tiphys.api.core.v1.reference import NodeSelector, NodeSelectorTerm
from tiphys.api.meta.v1.meta import LabelSelector


class PreferredSchedulingTerm(Struct):
    weight: int = always(int)
    preference: NodeSelectorTerm = always(NodeSelectorTerm)


class NodeAffinity(Struct):
    requiredDuringSchedulingIgnoredDuringExecution: NodeSelector | None = None
    preferredDuringSchedulingIgnoredDuringExecution: Annotated[list[PreferredSchedulingTerm], Atomic()] = []


class PodAffinityTerm(Struct):
    labelSelector: LabelSelector | None = None
    namespaces: Annotated[list[str], Atomic()] = []
    topologyKey: str = always(str)
    namespaceSelector: LabelSelector | None = None
    matchLabelKeys: Annotated[list[str], Atomic()] = []
    mismatchLabelKeys: Annotated[list[str], Atomic()] = []


class WeightedPodAffinityTerm(Struct):
    weight: int = always(int)
    podAffinityTerm: PodAffinityTerm = always(PodAffinityTerm)


class PodAntiAffinity(Struct):
    requiredDuringSchedulingIgnoredDuringExecution: Annotated[list[PodAffinityTerm], Atomic()] = []
    preferredDuringSchedulingIgnoredDuringExecution: Annotated[list[WeightedPodAffinityTerm], Atomic()] = []


class PodAffinity(Struct):
    requiredDuringSchedulingIgnoredDuringExecution: Annotated[list[PodAffinityTerm], Atomic()] = []
    preferredDuringSchedulingIgnoredDuringExecution: Annotated[list[WeightedPodAffinityTerm], Atomic()] = []


class Affinity(Struct):
    nodeAffinity: NodeAffinity | None = None
    podAffinity: PodAffinity | None = None
    podAntiAffinity: PodAntiAffinity | None = None


class PodSchedulingGate(Struct):
    name: str = always(str)


class PodSchedulingGroup(Struct):
    podGroupName: str | None = None


class Taint(Struct):
    key: str = always(str)
    value: str = ""
    effect: str = always(str)
    timeAdded: Time | None = None


class Toleration(Struct):
    key: str = ""
    operator: str = ""
    value: str = ""
    effect: str = ""
    tolerationSeconds: int | None = None


class TopologySpreadConstraint(Struct):
    maxSkew: int = always(int)
    topologyKey: str = always(str)
    whenUnsatisfiable: str = always(str)
    labelSelector: LabelSelector | None = None
    minDomains: int | None = None
    nodeAffinityPolicy: str | None = None
    nodeTaintsPolicy: str | None = None
    matchLabelKeys: Annotated[list[str], Atomic()] = []
