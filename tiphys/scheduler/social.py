"""Relations of a pod to other pods: affinity and anti-affinity, spread constraints, and the labels that others match it by.

As with templates, pods that are alike in this share one `Social`. What a pod carries for others to respect once it is placed (its terms of
affinity) is a `Terms`, shared even by pods whose labels differ, such as those of a StatefulSet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.machinery import ordered
from tiphys.api.machinery.selectors import NOTHING, Requirement, Selector, from_label_selector
from tiphys.api.meta import v1 as meta
from tiphys.runtime.index import controller_of
from tiphys.scheduler.slim import SlimPod

_encode = ordered.encoder("deterministic", codec=msgspec.msgpack)

NamespaceLabels = Mapping[str, Mapping[str, str]]
ANYWAY, HONOR, IGNORE = "ScheduleAnyway", "Honor", "Ignore"


class Group(NamedTuple):
    """Set of pods: in these namespaces or in those selected, with labels that match."""

    namespaces: frozenset[str]
    namespace_selector: Selector
    selector: Selector

    def has(self, social: Social, namespaces: NamespaceLabels) -> bool:
        """Return whether a pod belongs to the group."""
        if social.namespace not in self.namespaces and not self.namespace_selector.matches(namespaces.get(social.namespace, {})):
            return False
        return self.selector.matches(social.labels)


class Term(NamedTuple):
    """Term for being near to (or far from) a group of pods, where near means on nodes with the same value of the label `key`."""

    group: Group
    key: str
    weight: int = 0
    """Weight of a preference."""


class Terms(NamedTuple):
    """All terms of a pod."""

    near: tuple[Term, ...] = ()
    far: tuple[Term, ...] = ()
    rather_near: tuple[Term, ...] = ()
    rather_far: tuple[Term, ...] = ()


NO_TERMS = Terms()


class Spread(NamedTuple):
    """Constraint to spread the pods of a group over the values of the node label `key`."""

    group: Group
    key: str
    max_skew: int
    min_domains: int = 1
    honors_affinity: bool = True
    honors_taints: bool = False


class Owner(NamedTuple):
    """Controller of the pod."""

    group: str
    kind: str
    name: str


class Social(msgspec.Struct, frozen=True, eq=False):
    """See the module."""

    key: bytes
    namespace: str
    labels: Mapping[str, str]
    owner: Owner | None
    terms: Terms
    must_spread: tuple[Spread, ...]
    rather_spread: tuple[Spread, ...]
    by_default: bool
    """True if the pod leaves spreading to the defaults of the cluster."""


def social_key(pod: SlimPod) -> bytes:
    """Return a key that is equal for pods with the same relations to others."""
    owner, affinity = controller_of(pod), pod.spec.affinity
    return _encode(
        (
            pod.metadata.namespace,
            pod.metadata.labels,
            (owner.apiVersion, owner.kind, owner.name) if owner is not None else None,
            (affinity.podAffinity, affinity.podAntiAffinity) if affinity is not None else None,
            pod.spec.topologySpreadConstraints,
        )
    )


def make_social(pod: SlimPod, key: bytes) -> Social:
    """Extract the relations of a pod. Raises SelectorError for selectors that the API server should have rejected."""
    owner, spreads = controller_of(pod), pod.spec.topologySpreadConstraints
    return Social(
        key=key,
        namespace=pod.metadata.namespace,
        labels=pod.metadata.labels,
        owner=Owner(owner.apiVersion.rpartition("/")[0], owner.kind, owner.name) if owner is not None else None,
        terms=_terms(pod),
        must_spread=tuple(_spread(one, pod) for one in spreads if one.whenUnsatisfiable != ANYWAY),
        rather_spread=tuple(_spread(one, pod) for one in spreads if one.whenUnsatisfiable == ANYWAY),
        by_default=not spreads,
    )


def _terms(pod: SlimPod) -> Terms:
    affinity = pod.spec.affinity
    if affinity is None:
        return NO_TERMS
    near, far = affinity.podAffinity or core.PodAffinity(), affinity.podAntiAffinity or core.PodAntiAffinity()
    return Terms(
        near=tuple(_term(one, pod) for one in near.requiredDuringSchedulingIgnoredDuringExecution),
        far=tuple(_term(one, pod) for one in far.requiredDuringSchedulingIgnoredDuringExecution),
        rather_near=tuple(_preferred(near.preferredDuringSchedulingIgnoredDuringExecution, pod)),
        rather_far=tuple(_preferred(far.preferredDuringSchedulingIgnoredDuringExecution, pod)),
    )


def _preferred(terms: Iterable[core.WeightedPodAffinityTerm], pod: SlimPod) -> Iterable[Term]:
    return (_term(one.podAffinityTerm, pod, one.weight) for one in terms)


def _term(term: core.PodAffinityTerm, pod: SlimPod, weight: int = 0) -> Term:
    namespaces = frozenset(term.namespaces)
    if not namespaces and term.namespaceSelector is None:
        namespaces = frozenset((pod.metadata.namespace,))
    selected = from_label_selector(term.namespaceSelector) if term.namespaceSelector is not None else NOTHING
    own: list[tuple[str, Literal["in", "notin"]]] = [(key, "in") for key in term.matchLabelKeys]
    own += [(key, "notin") for key in term.mismatchLabelKeys]
    return Term(Group(namespaces, selected, _with_own_labels(term.labelSelector, own, pod)), term.topologyKey, weight)


def _spread(spread: core.TopologySpreadConstraint, pod: SlimPod) -> Spread:
    selector = _with_own_labels(spread.labelSelector, [(key, "in") for key in spread.matchLabelKeys], pod)
    return Spread(
        group=Group(frozenset((pod.metadata.namespace,)), NOTHING, selector),
        key=spread.topologyKey,
        max_skew=spread.maxSkew,
        min_domains=spread.minDomains if spread.minDomains is not None else 1,
        honors_affinity=(spread.nodeAffinityPolicy or HONOR) == HONOR,
        honors_taints=(spread.nodeTaintsPolicy or IGNORE) == HONOR,
    )


def _with_own_labels(stated: meta.LabelSelector | None, keys: list[tuple[str, Literal["in", "notin"]]], pod: SlimPod) -> Selector:
    """Extend the selector by the pod's own values of some labels (`matchLabelKeys` and `mismatchLabelKeys`).

    The API server may have added the same to the selector, which does no harm.
    """
    selector = from_label_selector(stated)
    labels = pod.metadata.labels
    more = [Requirement(key, operator, (labels[key],)) for key, operator in keys if key in labels]
    if not more or selector.nothing:
        return selector
    return Selector([*selector.requirements, *more])
