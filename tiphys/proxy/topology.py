"""Choice of endpoints by their hints ("Topology Aware Routing", "Traffic distribution"). Pure.

Hints count only when every ready endpoint has them, so that a Service whose hints are half written is not sent to a few endpoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tiphys.api.discovery import v1 as discovery


class Audience(NamedTuple):
    """Nodes and zones whose clients an endpoint is for."""

    nodes: frozenset[str] = frozenset()
    zones: frozenset[str] = frozenset()


NOBODY = Audience()


def audience_of(endpoint: discovery.Endpoint) -> Audience:
    """Return the audience that an endpoint's hints name."""
    hints = endpoint.hints
    if hints is None:
        return NOBODY
    return Audience(frozenset(node.name for node in hints.forNodes), frozenset(zone.name for zone in hints.forZones))


def near(ready: Sequence[Audience], node: str, zone: str) -> list[bool]:
    """Return for each ready endpoint whether clients on the node use it.

    Endpoints for the node come first, then those for its zone. All are used if neither exists, or if some have no hints of that kind.
    """
    if all(audience.nodes for audience in ready):
        same_node = [node in audience.nodes for audience in ready]
        if any(same_node):
            return same_node
    if all(audience.zones for audience in ready):
        same_zone = [zone in audience.zones for audience in ready]
        if any(same_zone):
            return same_zone
    return [True] * len(ready)
