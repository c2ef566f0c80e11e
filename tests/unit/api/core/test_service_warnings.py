"""Warnings about Services."""

from __future__ import annotations

from typing import Any

import pytest

from tiphys.api.core.service import service_warnings
from tiphys.api.core.v1 import Service, ServiceSpec
from tiphys.api.kinds import SCHEME

HINTS = "service.kubernetes.io/topology-aware-hints"


def warned(annotations: dict[str, str] | None = None, **spec: Any) -> list[str]:
    service = Service(spec=ServiceSpec(**spec))
    service.metadata.annotations = annotations or {}
    rules = SCHEME.of(Service).rules
    rules.default(service)
    return service_warnings(service)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"externalName": "a.b"}, ['spec.externalName is ignored when spec.type is not "ExternalName"']),
        (
            {"type": "ExternalName", "externalName": "a.b", "externalIPs": ["1.2.3.4"]},
            ['spec.externalIPs is ignored when spec.type is "ExternalName"'],
        ),
        ({"type": "ExternalName", "externalName": "a.b"}, []),
        ({"externalIPs": ["1.2.3.4"]}, ["spec.externalIPs is deprecated and may no longer be implemented in some clusters"]),
        (
            {"clusterIP": "None", "externalIPs": ["1.2.3.4"], "loadBalancerIP": "1.2.3.4", "sessionAffinity": "ClientIP"},
            [f"spec.{name} is ignored for headless services" for name in ("loadBalancerIP", "externalIPs", "SessionAffinity")],
        ),
        (
            {"clusterIPs": ["010.43.0.9"], "loadBalancerIP": "2001:DB8::1", "loadBalancerSourceRanges": ["10.0.0.1/8"]},
            [
                'spec.clusterIPs[0]: non-standard IP address "010.43.0.9" is invalid: use "10.43.0.9"',
                'spec.loadBalancerIP: IPv6 address "2001:DB8::1" should be in RFC 5952 canonical format ("2001:db8::1")',
                'spec.loadBalancerSourceRanges[0]: CIDR value "10.0.0.1/8" is ambiguous in this context'
                ' (should be "10.0.0.0/8" or "10.0.0.1/32"?)',
            ],
        ),
        ({"trafficDistribution": "PreferClose"}, ['spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"']),
        (
            {"annotations": {HINTS: "auto"}},
            [f"annotation {HINTS} is deprecated, please use service.kubernetes.io/topology-mode instead"],
        ),
    ],
)
def test_warnings(spec: dict[str, Any], said: list[str]) -> None:
    assert warned(**spec) == said
