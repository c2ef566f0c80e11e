"""Thresholds that are met, conditions that outlast them, and how much has to be freed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tiphys.node.eviction.pressure import Level, Levels, Pressure, advance, is_near, shortfall
from tiphys.node.eviction.thresholds import SIGNALS, Amount, Threshold

HARD = Threshold("memory.available", Amount("100"))
SOFT = Threshold("memory.available", Amount("200"), grace=30.0)
DISK = Threshold("nodefs.available", Amount("10%"), reclaim=Amount("5%"))
ALL = (HARD, SOFT, DISK)
TRANSITION = 300.0


def levels(memory: int = 500, disk: int = 500) -> Levels:
    return {"memory.available": Level(memory, 1000), "nodefs.available": Level(disk, 1000)}


def after(*looks: tuple[float, Levels]) -> Pressure:
    """The pressure after looks at these times."""
    pressure = Pressure()
    for now, level in looks:
        pressure = advance(pressure, ALL, level, now=now, transition=TRANSITION)
    return pressure


def test_no_pressure_above_the_thresholds() -> None:
    assert after((0, levels(200, 100))) == Pressure()
    assert after((0, {})) == Pressure(), "what cannot be measured is not short"


def test_a_hard_threshold_acts_at_once_and_a_soft_one_after_its_grace() -> None:
    assert after((0, levels(99))).acting == (HARD,)
    assert after((0, levels(150))).acting == ()
    assert after((0, levels(150))).conditions == ("MemoryPressure",)
    assert after((0, levels(150)), (29, levels(150))).acting == ()
    assert after((0, levels(150)), (30, levels(150))).acting == (SOFT,)
    assert after((0, levels(150)), (10, levels(200)), (30, levels(150))).acting == (), "the grace begins anew"


def test_memory_comes_before_disks_and_hard_before_soft() -> None:
    assert after((0, levels(50, 50)), (30, levels(50, 50))).acting == (HARD, SOFT, DISK)


def test_a_threshold_once_met_holds_until_the_minimum_is_reclaimed() -> None:
    assert after((0, levels(disk=120))).acting == ()
    assert after((0, levels(disk=99)), (1, levels(disk=149))).acting == (DISK,)
    assert after((0, levels(disk=99)), (1, levels(disk=150))).acting == ()
    assert shortfall(DISK, levels(disk=99)) == 51
    assert shortfall(DISK, levels(disk=700)) == shortfall(DISK, {}) == 0


def test_conditions_outlast_the_pressure_by_the_transition_period() -> None:
    looks = [(0.0, levels(disk=50)), (10.0, levels(disk=50)), (20.0, levels())]
    assert after(*looks).conditions == ("DiskPressure",)
    assert after(*looks, (309.0, levels())).conditions == ("DiskPressure",)
    assert after(*looks, (310.0, levels())).conditions == ()


def test_the_node_is_looked_at_more_often_near_a_threshold() -> None:
    assert not is_near([HARD], levels(150))
    assert is_near([HARD], levels(149))
    assert not is_near([HARD], {})


looks = st.lists(st.tuples(st.floats(0, 400), st.integers(0, 1000), st.integers(0, 1000)), max_size=12)


@given(looks, st.lists(st.sampled_from(SIGNALS), unique=True), st.sampled_from((0.0, 20.0)))
def test_pressure_follows_from_what_was_seen(steps: list[tuple[float, int, int]], signals: list[str], grace: float) -> None:
    thresholds = [Threshold(one, Amount("10%"), grace, Amount("5%")) for one in SIGNALS if one in signals]
    pressure, now, last_short = Pressure(), 0.0, float("-inf")
    for step, memory, disk in steps:
        now += step
        measured: Levels = levels(memory, disk)
        pressure = advance(pressure, thresholds, measured, now=now, transition=TRANSITION)
        short = [one for one in thresholds if one.signal in measured and measured[one.signal].available < 100]
        last_short = now if pressure.since else last_short
        assert set(short) <= pressure.since.keys() <= {one for one in thresholds if shortfall(one, measured)}
        assert set(pressure.acting) <= pressure.since.keys()
        assert all(now - pressure.since[one] >= grace for one in pressure.acting)
        assert bool(pressure.conditions) == (now - last_short < TRANSITION)
        again = advance(pressure, thresholds, measured, now=now, transition=TRANSITION)
        assert again == pressure, "a look without news changes nothing"
