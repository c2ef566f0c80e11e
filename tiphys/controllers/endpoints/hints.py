"""Hints of endpoints: zones and nodes whose clients should use them ("Traffic distribution"). Pure.

Only ready endpoints have hints, and readers ignore the hints of a Service unless all of its ready endpoints have them.
"""

from __future__ import annotations

from tiphys.api.core import v1 as core
from tiphys.api.discovery import v1 as discovery

SAME_NODE = "PreferSameNode"
CLOSE = frozenset(("PreferClose", "PreferSameZone", SAME_NODE))


def hints_of(service: core.Service, endpoint: discovery.Endpoint) -> discovery.EndpointHints | None:
    """Return the hints by the Service's `trafficDistribution`: the endpoint's own zone, and for PreferSameNode its own node as well.

    None when there is neither, as for an endpoint that is not ready.
    """
    distribution = service.spec.trafficDistribution
    if distribution not in CLOSE or not endpoint.conditions.ready:
        return None
    zones = [discovery.ForZone(name=endpoint.zone)] if endpoint.zone else []
    nodes = [discovery.ForNode(name=endpoint.nodeName)] if endpoint.nodeName and distribution == SAME_NODE else []
    return discovery.EndpointHints(forZones=zones, forNodes=nodes) if zones or nodes else None
