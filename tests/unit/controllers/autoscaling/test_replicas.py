"""Replicas that metrics ask for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.controllers.autoscaling.pods import Groups, Sample
from tiphys.controllers.autoscaling.replicas import (
    MOST,
    NoMetrics,
    Tolerance,
    Use,
    of_average,
    of_utilization,
    of_value,
    of_value_per_pod,
)

USUAL = Tolerance(0.1, 0.1)


def groups(ready: int = 0, *, unready: str = "", missing: str = "", ignored: str = "") -> Groups:
    return Groups(ready, frozenset(unready), frozenset(missing), frozenset(ignored))


def samples(**values: int) -> dict[str, Sample]:
    return {name: Sample(value) for name, value in values.items()}


def utilization(values: dict[str, Sample], groups: Groups, *, target: int = 50, current: int = 3, request: int = 1000) -> Use:
    requests = dict.fromkeys("abcdefgh", request)
    return of_utilization(values, groups, requests, target=target, current=current, tolerance=USUAL)


def test_grows_and_shrinks_with_the_ratio_of_use_to_target() -> None:
    assert utilization(samples(a=800, b=800, c=800), groups(3)) == Use(5, 800, 80)
    assert utilization(samples(a=200, b=200, c=200), groups(3)) == Use(2, 200, 20)


def test_stays_within_the_tolerance() -> None:
    assert utilization(samples(a=540, b=540, c=540), groups(3)).replicas == 3
    wide = Tolerance(0.5, 0.0)
    values, requests = samples(a=300), {"a": 1000}
    assert of_utilization(values, groups(1), requests, target=50, current=1, tolerance=wide).replicas == 1
    assert of_utilization(samples(a=510), groups(1), requests, target=50, current=1, tolerance=wide).replicas == 2


def test_pods_on_their_way_use_nothing_while_it_grows() -> None:
    assert utilization(samples(a=900, b=900, c=0), groups(2, unready="c")).replicas == 4
    assert utilization(samples(a=600, b=600, c=0), groups(2, unready="c")).replicas == 3, "they might turn the direction round"


def test_pods_without_samples_use_nothing_upwards_and_everything_downwards() -> None:
    assert utilization(samples(a=2000, b=2000), groups(2, missing="c")).replicas == 8
    assert utilization(samples(a=100, b=100), groups(2, missing="c")).replicas == 3
    assert utilization(samples(a=10, b=10), groups(2, missing="c"), target=90).replicas == 2


def test_pods_that_go_do_not_count() -> None:
    assert utilization(samples(a=800, b=800, c=9000), groups(2, ignored="c")).replicas == 4


def test_without_samples_there_is_no_answer() -> None:
    with pytest.raises(NoMetrics, match="did not receive metrics for targeted pods"):
        utilization(samples(a=1), groups(0, unready="a"))
    with pytest.raises(NoMetrics, match="no metrics returned matched known pods"):
        of_utilization(samples(a=1), groups(1), {"a": 0}, target=50, current=1, tolerance=USUAL)


def test_average_value() -> None:
    def average(values: dict[str, Sample], groups: Groups, current: int = 3) -> Use:
        return of_average(values, groups, target=10_000, current=current, tolerance=USUAL)

    assert average(samples(a=20_000, b=20_000, c=20_000), groups(3)) == Use(6, 20_000)
    assert average(samples(a=5_000, b=5_000, c=5_000), groups(3)) == Use(2, 5_000)
    assert average(samples(a=5_000, b=5_000), groups(2, missing="c")).replicas == 2


def test_one_value_for_all() -> None:
    assert of_value(30_000, target=10_000, current=2, ready=2, tolerance=USUAL) == Use(6, 30_000)
    assert of_value(10_500, target=10_000, current=2, ready=2, tolerance=USUAL).replicas == 2
    assert of_value(25_000, target=10_000, current=0, ready=0, tolerance=USUAL).replicas == 3
    assert of_value(1 << 62, target=1, current=2, ready=2, tolerance=USUAL).replicas == MOST


def test_one_value_shared_by_replicas() -> None:
    assert of_value_per_pod(50_000, target=10_000, counted=2, tolerance=USUAL) == Use(5, 25_000)
    assert of_value_per_pod(21_000, target=10_000, counted=2, tolerance=USUAL) == Use(2, 10_500)
    assert of_value_per_pod(21_000, target=10_000, counted=0, tolerance=USUAL) == Use(3, 21_000)


names = st.sets(st.sampled_from("abcdefgh"))


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 5000), min_size=1), names, names, st.integers(1, 200))
def test_unknown_pods_never_make_the_change_larger(values: dict[str, int], unready: set[str], missing: set[str], target: int) -> None:
    """With pods missing or on their way the number lies between the present one and what the known pods alone ask for."""
    missing = missing - set(values)
    unready = unready - missing
    counted = {name: value for name, value in values.items() if name not in unready}
    current = len(values) + len(missing)
    if not counted:
        return
    alone = utilization(samples(**counted), groups(len(counted)), target=target, current=len(counted))
    found = utilization(
        samples(**values), Groups(len(counted), frozenset(unready), frozenset(missing), frozenset()), target=target, current=current
    )
    ratio = (alone.utilization or 0) / target
    if ratio > 1.0:
        assert found.replicas >= current or not (missing or unready)
    elif missing:
        assert found.replicas <= current
