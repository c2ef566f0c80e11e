"""Spellings of addresses and ranges that are accepted, and warnings about odd ones."""

from __future__ import annotations

import pytest

from tiphys.api.machinery.errors import FieldError
from tiphys.api.rules import addresses


def _said(errors: list[FieldError]) -> list[str]:
    return [error.detail for error in errors]


@pytest.mark.parametrize(
    ("text", "legacy", "canonical"),
    [
        ("10.0.0.1", "", ""),
        ("2001:db8::1", "", ""),
        ("2001:DB8::1", "", 'must be in canonical form ("2001:db8::1")'),
        ("010.0.0.1", "must not have leading 0s", "must not have leading 0s"),
        ("::ffff:10.0.0.1", "must not be an IPv4-mapped IPv6 address", "must not be an IPv4-mapped IPv6 address"),
        ("10.0.0", "must be a valid IP address", "must be a valid IP address"),
        ("fe80::1%eth0", "must be a valid IP address", "must be a valid IP address"),
        ("", "must be a valid IP address", "must be a valid IP address"),
        ("10.0.0.256", "must be a valid IP address", "must be a valid IP address"),
    ],
)
def test_addresses(text: str, legacy: str, canonical: str) -> None:
    errors: list[FieldError] = []
    addresses.legacy_ip(errors, "ip", text)
    for found, said in ((_said(errors), legacy), (addresses.canonical_ip_messages(text), canonical)):
        assert len(found) == bool(said)
        assert not said or found[0].startswith(said)


@pytest.mark.parametrize(
    ("text", "legacy", "canonical"),
    [
        ("10.0.0.0/8", "", ""),
        ("2001:db8::/32", "", ""),
        ("2001:DB8::/32", "", 'must be in canonical form ("2001:db8::/32")'),
        ("10.0.0.1/8", "must not have bits set beyond the prefix length", "must not have bits set"),
        ("10.0.0.0/08", "must not have leading 0s in IP or prefix length", "must not have leading 0s"),
        ("010.0.0.0/8", "must not have leading 0s in IP or prefix length", "must not have leading 0s"),
        ("::ffff:10.0.0.0/104", "must not have an IPv4-mapped IPv6 address", "must not have an IPv4-mapped"),
        ("10.0.0.0/255.0.0.0", "must be a valid CIDR value", "must be a valid CIDR value"),
        ("10.0.0.0/33", "must be a valid CIDR value", "must be a valid CIDR value"),
        ("10.0.0.0", "must be a valid CIDR value", "must be a valid CIDR value"),
        ("/8", "must be a valid CIDR value", "must be a valid CIDR value"),
    ],
)
def test_ranges(text: str, legacy: str, canonical: str) -> None:
    for rule, said in ((addresses.legacy_cidr, legacy), (addresses.canonical_cidr, canonical)):
        errors: list[FieldError] = []
        rule(errors, "cidr", text)
        assert len(errors) == bool(said), errors
        assert not said or errors[0].detail.startswith(said)


def test_warnings() -> None:
    assert addresses.ip_warnings("ip", "10.0.0.1") == addresses.cidr_warnings("c", "10.0.0.0/8") == []
    assert addresses.ip_warnings("ip", "010.0.0.1") == ['ip: non-standard IP address "010.0.0.1" is invalid: use "10.0.0.1"']
    assert addresses.ip_warnings("ip", "2001:DB8::1") == [
        'ip: IPv6 address "2001:DB8::1" should be in RFC 5952 canonical format ("2001:db8::1")'
    ]
    assert addresses.cidr_warnings("c", "10.0.0.1/8") == [
        'c: CIDR value "10.0.0.1/8" is ambiguous in this context (should be "10.0.0.0/8" or "10.0.0.1/32"?)'
    ]
    assert addresses.cidr_warnings("c", "10.0.0.0/08") == ['c: non-standard CIDR value "10.0.0.0/08" is invalid: use "10.0.0.0/8"']
    assert addresses.cidr_warnings("c", "2001:DB8::/32") == [
        'c: IPv6 CIDR value "2001:DB8::/32" should be in RFC 5952 canonical format ("2001:db8::/32")'
    ]
