"""Clients that may query cluster DNS."""

from __future__ import annotations

import pytest

from tiphys.dns.askers import Askers


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("10.62.0.1", True),
        ("10.62.127.255", True),
        ("10.62.128.0", False),
        ("10.61.255.255", False),
        ("127.0.0.1", True),
        ("203.0.113.9", False),
        ("8.8.8.8", False),
    ],
)
def test_only_the_networks_and_the_machine(address: str, allowed: bool) -> None:
    assert Askers(("10.62.0.0/17",)).allow(address) is allowed
