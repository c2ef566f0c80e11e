"""Places where volumes can be: from labels of nodes to requests, and from answers to node affinity. Pure ("CSI Topology Feature").

A segment is what a driver says about one place: labels and their values.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from tiphys.api.core import v1 as core
from tiphys.csi.pb import csi_pb2 as pb

Segment = tuple[tuple[str, str], ...]
"""Labels in the order of their keys."""

_ORDINAL = re.compile(r"(.*)-(\d+)")


class Unreachable(ValueError):
    """The driver can put no volume where it must be."""


class Place(NamedTuple):
    """A node, as far as a driver's topology goes."""

    node: str
    keys: tuple[str, ...]
    """Topology keys of the driver on the node (CSINode)."""
    labels: Mapping[str, str]

    def segment(self) -> Segment | None:
        """Return the segment that the node is in, None if the node lacks a label of the driver's (yet)."""
        if not self.keys or any(key not in self.labels for key in self.keys):
            return None
        return tuple(sorted((key, self.labels[key]) for key in self.keys))


def segments_of(terms: Iterable[core.TopologySelectorTerm]) -> list[Segment]:
    """Return the segments that the `allowedTopologies` of a class allow."""
    segments: list[Segment] = []
    for term in terms:
        choices = [[(one.key, value) for value in one.values] for one in term.matchLabelExpressions]
        segments += [tuple(sorted(chosen)) for chosen in itertools.product(*choices) if chosen]
    return sorted(set(segments))


def requirement(
    places: Sequence[Place],
    allowed: Sequence[core.TopologySelectorTerm],
    *,
    claim: str,
    selected: str = "",
    strict: bool = False,
    immediate: bool = True,
) -> pb.TopologyRequirement | None:
    """Return where a volume may be and where it is best, None if it does not matter. Raises Unreachable.

    The selected node's segment comes first. Without one, the name of the claim decides where to begin, so that claims are spread, those
    of one StatefulSet in turn. `strict` allows only the selected node's segment.
    """
    permitted = segments_of(allowed)
    if not selected:
        requisite = permitted or (_aggregated(places) if immediate else [])
        return _required(requisite, _shifted(requisite, spread(claim))) if requisite else None
    place = next((one for one in places if one.node == selected), None)
    if place is None or not place.keys:
        raise Unreachable(f"no topology key found on CSINode {selected}")
    segment = place.segment()
    if segment is None:
        raise Unreachable(f"node {selected} lacks a label of its topology keys {', '.join(place.keys)}")
    if permitted and not any(set(one) <= set(segment) for one in permitted):
        raise Unreachable(f"selected node {selected} is not in allowed topology")
    if strict:
        return _required([segment], [segment])
    requisite = permitted or _aggregated([one for one in places if set(one.keys) == set(place.keys)])
    first = next((index for index, one in enumerate(requisite) if set(one) <= set(segment)), 0)
    return _required(requisite, _shifted(requisite, first))


def _aggregated(places: Iterable[Place]) -> list[Segment]:
    return sorted({segment for place in places if (segment := place.segment()) is not None})


def _shifted(segments: Sequence[Segment], by: int) -> list[Segment]:
    first = by % len(segments)
    return [*segments[first:], *segments[:first]]


def _required(requisite: Sequence[Segment], preferred: Sequence[Segment]) -> pb.TopologyRequirement:
    return pb.TopologyRequirement(requisite=[message_of(one) for one in requisite], preferred=[message_of(one) for one in preferred])


def message_of(segment: Segment) -> pb.Topology:
    """Return a segment as the interface has it."""
    return pb.Topology(segments=dict(segment))


def spread(claim: str) -> int:
    """Return a number for the name of a claim; those that differ by an ordinal at their end get successive ones."""
    match = _ORDINAL.fullmatch(claim)
    name, ordinal = (match[1], int(match[2])) if match is not None else (claim, 0)
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") + ordinal


def affinity_of(topologies: Iterable[pb.Topology]) -> core.VolumeNodeAffinity | None:
    """Return the node affinity of a volume that can be reached from these places, None if it is everywhere."""
    terms = [
        core.NodeSelectorTerm(
            matchExpressions=[
                core.NodeSelectorRequirement(key=key, operator="In", values=[value]) for key, value in sorted(one.segments.items())
            ]
        )
        for one in topologies
        if one.segments
    ]
    return core.VolumeNodeAffinity(required=core.NodeSelector(nodeSelectorTerms=terms)) if terms else None


def is_reachable(affinity: core.VolumeNodeAffinity | None, labels: Mapping[str, str]) -> bool:
    """Return whether a node with these labels can reach a volume whose affinity `affinity_of` made."""
    if affinity is None or affinity.required is None:
        return True
    return any(all(labels.get(one.key) in one.values for one in term.matchExpressions) for term in affinity.required.nodeSelectorTerms)
