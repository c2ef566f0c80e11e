"""Zones and questions in few words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dns.message
import dns.rdatatype

from tiphys.api.core import v1 as core
from tiphys.api.discovery import v1 as discovery
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.dns.answer import Answers
from tiphys.dns.message import parse, respond, udp_limit
from tiphys.dns.zone import Zone, names_of
from tiphys.runtime.key import Key

HTTP = core.ServicePort(name="http", port=80, protocol="TCP")
DOMAIN = "cluster.local"


def service(name: str = "web", *, ip: str = "10.43.0.20", namespace: str = "default", **spec: Any) -> core.Service:
    filled = {"type": "ClusterIP", "ports": [HTTP], **spec}
    return core.Service(metadata=ObjectMeta(name=name, namespace=namespace), spec=core.ServiceSpec(clusterIP=ip, **filled))


def piece(
    *pods: tuple[str, str], ready: bool | None = True, port: discovery.EndpointPort | None = None, family: str = "IPv4"
) -> discovery.EndpointSlice:
    """Of (address, hostname)."""
    return discovery.EndpointSlice(
        addressType=family,
        ports=[port or discovery.EndpointPort(name="http", port=8080, protocol="TCP")],
        endpoints=[
            discovery.Endpoint(addresses=[address], hostname=host or None, conditions=discovery.EndpointConditions(ready=ready))
            for address, host in pods
        ],
    )


def put(zone: Zone, made: core.Service, pieces: Sequence[discovery.EndpointSlice] = ()) -> Zone:
    zone.put(Key(made.metadata.namespace, made.metadata.name), names_of(made, pieces))
    return zone


def ask(answers: Answers, name: str, kind: str = "A", *, limit: int = 0, **options: Any) -> dns.message.Message:
    """Ask in wire form and read the response with dnspython, which knows the format from elsewhere."""
    asked = dns.message.make_query(name, kind, **options)
    query = parse(asked.to_wire())
    found = answers.find(query)
    assert found is not None, f"{name} is not this zone's"
    response = dns.message.from_wire(respond(query, found.answer, limit=limit or udp_limit(query)))
    assert response.id == asked.id
    assert response.question == asked.question
    return response


def texts(response: dns.message.Message, kind: str = "A") -> list[str]:
    wanted = dns.rdatatype.from_text(kind)
    return sorted(item.to_text() for rrset in response.answer if rrset.rdtype == wanted for item in rrset)
