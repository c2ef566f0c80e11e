"""Thresholds of eviction, as configurations write them."""

from __future__ import annotations

from tiphys.node.eviction.thresholds import DEFAULT_HARD, Amount, Threshold, effective_hard, thresholds_of

GI = 1 << 30


def test_amounts_are_numbers_or_shares_of_the_capacity() -> None:
    assert Amount("100Mi").of(5 * GI) == 100 << 20
    assert Amount("12.5%").of(8 * GI) == GI
    assert (Amount("12.5%").spelled(8 * GI), Amount("102400Ki").spelled(8 * GI)) == ("1Gi", "102400Ki")


def test_upstreams_defaults_hold_where_nothing_is_set() -> None:
    assert effective_hard(None, merge=False) == DEFAULT_HARD
    assert effective_hard({}, merge=False) == {}
    assert effective_hard({"memory.available": "1Gi"}, merge=False) == {"memory.available": "1Gi"}
    assert effective_hard({"memory.available": "1Gi"}, merge=True) == {**DEFAULT_HARD, "memory.available": "1Gi"}


def test_soft_thresholds_wait_and_zero_is_no_threshold() -> None:
    hard = {"nodefs.available": "10%", "imagefs.available": "0%", "pid.available": "100%"}
    soft, grace = {"nodefs.available": "20%"}, {"nodefs.available": "1m30s", "pid.available": "1s"}
    reclaim = {"nodefs.available": "1Gi"}
    assert thresholds_of(hard, soft, grace, reclaim, enforced=True) == (
        Threshold("nodefs.available", Amount("10%"), 0.0, Amount("1Gi")),
        Threshold("nodefs.available", Amount("20%"), 90.0, Amount("1Gi")),
    )


def test_the_hard_threshold_of_memory_holds_for_all_pods_together() -> None:
    hard, soft, reclaim = {"memory.available": "1Gi"}, {"memory.available": "2Gi"}, {"memory.available": "5%"}
    grace = {"memory.available": "1m"}
    signals = [(one.signal, one.is_hard, one.reclaim) for one in thresholds_of(hard, soft, grace, reclaim, enforced=True)]
    least = Amount("5%")
    assert signals == [
        ("memory.available", True, least), ("memory.available", False, least), ("allocatableMemory.available", True, least)
    ]  # fmt: skip
    assert [one.signal for one in thresholds_of(hard, {}, {}, {}, enforced=False)] == ["memory.available"]


def test_a_threshold_that_was_met_is_left_with_its_reclaim() -> None:
    assert Threshold("nodefs.available", Amount("10%"), 0.0, Amount("5%")).goal(100) == 15
    assert Threshold("nodefs.available", Amount("10%")).goal(100) == 10
