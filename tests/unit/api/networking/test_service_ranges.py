"""Ranges of Service addresses, and the addresses taken from them."""

# One case to a line, however long.
# ruff: noqa: E501

from __future__ import annotations

from typing import Any

import pytest

from tiphys.api.kinds import SCHEME
from tiphys.api.networking.v1 import IPAddress, ServiceCIDR


def address(name: str, spec: str = "{parentRef: {resource: services, namespace: d, name: n}}") -> str:
    return f"{{apiVersion: networking.k8s.io/v1, kind: IPAddress, metadata: {{name: '{name}'}}, spec: {spec}}}"


def cidr(cidrs: str) -> str:
    return f"{{apiVersion: networking.k8s.io/v1, kind: ServiceCIDR, metadata: {{name: a}}, spec: {{cidrs: {cidrs}}}}}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (address("10.0.0"), 'metadata.name: Invalid value: "10.0.0": must be a valid IP address'),
        (address("2001:DB8::1"), 'must be in canonical form ("2001:db8::1")'),
        (address("10.0.0.1", "{}"), "spec.parentRef: Required value"),
        (address("10.0.0.1", "{parentRef: {name: n}}"), "spec.parentRef.resource: Required value"),
        (address("10.0.0.1", "{parentRef: {resource: a/b, group: A}}"), 'spec.parentRef.group: Invalid value: "A"'),
        (address("10.0.0.1", "{parentRef: {resource: a, name: n, namespace: a/b}}"), "spec.parentRef.namespace: Invalid value: \"a/b\": may not contain '/'"),
        (cidr("[]"), "spec.cidrs: Required value: at least one CIDR required"),
        (cidr("[10.0.0.0/24, 10.0.1.0/24]"), 'spec.cidrs: Invalid value: ["10.0.0.0/24","10.0.1.0/24"]: may specify no more than one IP for each IP family'),
        (cidr("[10.0.0.0/24, 10.0.1.0/24, 10.0.2.0/24]"), "may only hold up to 2 values"),
        (cidr("[10.0.0.1/24]"), "spec.cidrs[0]: Invalid value: \"10.0.0.1/24\": must not have bits set beyond the prefix length"),
        (cidr("['2001:DB8::/64']"), 'must be in canonical form ("2001:db8::/64")'),
    ],
)  # fmt: skip
def test_rejects_invalid_fields(server: Any, text: str, said: str) -> None:
    server.rejects(text, said)


def test_accepts_valid_objects(server: Any) -> None:
    server.create(address("10.0.0.1"))
    server.create(cidr("[10.0.0.0/24, '2001:db8::/64']"))


def test_immutable_fields(server: Any) -> None:
    taken = server.create(address("10.0.0.1"))
    assert "field is immutable" in server.update(taken, spec__parentRef__name="other")[1][0]
    one = server.create(cidr("[10.0.0.0/24]"))
    assert server.update(one, spec__cidrs=["10.0.0.0/24", "2001:db8::/64"])[1] == []
    assert server.update(one, spec__cidrs=["10.0.1.0/24"])[1] == ['spec.cidrs[0]: Invalid value: "10.0.1.0/24": field is immutable']
    two = server.create(cidr("[10.0.0.0/24, '2001:db8::/64']"))
    assert server.update(two, spec__cidrs=["10.0.0.0/24"])[1] == ['spec.cidrs: Invalid value: ["10.0.0.0/24"]: field is immutable']


def test_they_have_no_generation() -> None:
    assert not any(SCHEME.of(type_).rules.counted for type_ in (IPAddress, ServiceCIDR))
