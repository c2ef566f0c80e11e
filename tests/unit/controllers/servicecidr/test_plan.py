"""Protection of ranges of Service IPs, and their condition."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tiphys.api.meta.v1 import Condition, ObjectMeta
from tiphys.api.networking.v1 import IPAddress, ServiceCIDR, ServiceCIDRSpec
from tiphys.controllers.servicecidr.plan import MANAGED_BY, MANAGER, condition, is_held, with_condition

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def cidr(name: str, *ranges: str) -> ServiceCIDR:
    return ServiceCIDR(metadata=ObjectMeta(name=name), spec=ServiceCIDRSpec(cidrs=list(ranges)))


def address(ip: str, *, ours: bool = True) -> IPAddress:
    return IPAddress(metadata=ObjectMeta(name=ip, labels={MANAGED_BY: MANAGER} if ours else {}))


@pytest.mark.parametrize(
    ("others", "taken", "held"),
    [
        ([], [], False),
        ([], ["10.0.0.9"], True),
        ([], ["10.0.1.9"], False),
        ([["10.0.0.0/16"]], ["10.0.0.9"], False),
        ([["10.0.0.0/28"]], ["10.0.0.9"], False),
        ([["10.0.0.0/28"]], ["10.0.0.9", "10.0.0.99"], True),
        ([["2001:db8::/64"]], ["10.0.0.9"], True),
        ([], ["2001:db8::1"], False),
    ],
)
def test_a_range_is_held_by_addresses_that_no_other_range_has(others: list[list[str]], taken: list[str], held: bool) -> None:
    gone = cidr("gone", "10.0.0.0/24")
    known = [gone, *(cidr(f"o{index}", *ranges) for index, ranges in enumerate(others))]
    assert is_held(gone, known, map(address, taken)) == held


def test_addresses_of_others_hold_nothing() -> None:
    gone = cidr("gone", "10.0.0.0/24")
    assert not is_held(gone, [gone], [address("10.0.0.9", ours=False)])


def test_both_families_must_be_covered() -> None:
    gone, wide = cidr("gone", "10.0.0.0/24", "2001:db8::/112"), cidr("wide", "10.0.0.0/16")
    assert not is_held(gone, [gone, wide], [address("10.0.0.9")])
    assert is_held(gone, [gone, wide], [address("2001:db8::9")])


def test_conditions_change_only_when_they_say_something_else() -> None:
    other = Condition(type="Other", status="True")
    first = with_condition([other], condition(False, NOW))
    assert first is not None
    assert [(found.type, found.status) for found in first] == [("Other", "True"), ("Ready", "True")]
    later = NOW + timedelta(minutes=1)
    assert with_condition(first, condition(False, later)) is None
    second = with_condition(first, condition(True, later))
    assert second is not None
    assert (second[1].status, second[1].reason, second[1].lastTransitionTime) == ("False", "Terminating", later)
    reworded = with_condition([Condition(type="Ready", status="True", message="x", lastTransitionTime=NOW)], condition(False, later))
    assert reworded is not None
    assert reworded[0].lastTransitionTime == NOW
