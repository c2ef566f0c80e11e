"""Services that are accepted with a remark."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tiphys.api.core.v1 import Service
from tiphys.api.validation.service_warnings import service_warnings


def said(annotations: dict[str, str] | None = None, **spec: Any) -> list[str]:
    body = {"metadata": {"name": "s", "annotations": annotations or {}}, "spec": {"type": "ClusterIP", "sessionAffinity": "None", **spec}}
    return service_warnings(msgspec.convert(body, Service))


@pytest.mark.parametrize(
    ("spec", "warnings"),
    [
        ({"clusterIP": "10.43.0.9", "clusterIPs": ["10.43.0.9"]}, []),
        (
            {"clusterIP": "10.043.0.9", "clusterIPs": ["10.043.0.9"]},
            ['spec.clusterIPs[0]: non-standard IP address "10.043.0.9" is invalid: use "10.43.0.9"'],
        ),
        (
            {"clusterIP": "None", "loadBalancerIP": "192.0.2.1", "externalIPs": ["192.0.2.1"], "sessionAffinity": "ClientIP"},
            [
                "spec.loadBalancerIP is ignored for headless services",
                "spec.externalIPs is ignored for headless services",
                "spec.SessionAffinity is ignored for headless services",
            ],
        ),
        ({"externalIPs": ["192.0.2.1"]}, ["spec.externalIPs is deprecated and may no longer be implemented in some clusters"]),
        (
            {"loadBalancerSourceRanges": ["192.0.2.1/24"]},
            [
                'spec.loadBalancerSourceRanges[0]: CIDR value "192.0.2.1/24" is ambiguous in this context'
                ' (should be "192.0.2.0/24" or "192.0.2.1/32"?)'
            ],
        ),
        ({"type": "ExternalName", "externalIPs": ["192.0.2.1"]}, ['spec.externalIPs is ignored when spec.type is "ExternalName"']),
        ({"externalName": "x"}, ['spec.externalName is ignored when spec.type is not "ExternalName"']),
        ({"trafficDistribution": "PreferClose"}, ['spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"']),
        (
            {"annotations": {"service.kubernetes.io/topology-aware-hints": "Auto"}},
            ["annotation service.kubernetes.io/topology-aware-hints is deprecated, please use service.kubernetes.io/topology-mode instead"],
        ),
    ],
)
def test_what_is_odd_about_a_service(spec: dict[str, Any], warnings: list[str]) -> None:
    assert said(**spec) == warnings
