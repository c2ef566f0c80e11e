"""Stabilization windows and scaling policies."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tiphys.api.autoscaling import v2
from tiphys.controllers.autoscaling.history import History, plainly_limited


def rules(*policies: tuple[str, int, int], select: str = "Max") -> v2.HPAScalingRules:
    made = [v2.HPAScalingPolicy(type=type_, value=value, periodSeconds=period) for type_, value, period in policies]
    return v2.HPAScalingRules(selectPolicy=select, policies=made)


def behavior(up: v2.HPAScalingRules | None = None, down: v2.HPAScalingRules | None = None) -> v2.HorizontalPodAutoscalerBehavior:
    return v2.HorizontalPodAutoscalerBehavior(scaleUp=up, scaleDown=down)


def limit(
    history: History, now: float, wanted: int, current: int, behavior: v2.HorizontalPodAutoscalerBehavior, **bounds: int
) -> tuple[int, str]:
    found = history.limited(now, wanted, current, least=bounds.get("least", 1), most=bounds.get("most", 100), behavior=behavior)
    return found.replicas, found.reason


def test_the_highest_recommendation_of_the_window_holds() -> None:
    history = History()
    history.begin(0.0, 8)
    assert history.held_up(10.0, 3, window=300.0).replicas == 8
    assert history.held_up(299.0, 2, window=300.0) == (8, "ScaleDownStabilized", history.held_up(299.0, 2, window=300.0).message)
    assert history.held_up(301.0, 2, window=300.0).replicas == 3
    assert history.held_up(700.0, 2, window=300.0).reason == "ReadyForNewScale"


def test_windows_hold_in_both_directions() -> None:
    history = History()
    history.begin(0.0, 4)
    assert history.stabilized(10.0, 9, 4, up=60.0, down=60.0).reason == "ScaleUpStabilized"
    assert history.stabilized(20.0, 9, 4, up=60.0, down=60.0).replicas == 4
    assert history.stabilized(65.0, 9, 4, up=60.0, down=60.0).replicas == 9
    assert history.stabilized(70.0, 1, 9, up=60.0, down=60.0) == (
        9,
        "ScaleDownStabilized",
        history.stabilized(70.0, 1, 9, up=60.0, down=60.0).message,
    )
    assert history.stabilized(200.0, 1, 9, up=60.0, down=60.0).replicas == 1


def test_without_a_behavior_it_doubles_at_most() -> None:
    assert plainly_limited(50, 1, least=1, most=100)[:2] == (4, "ScaleUpLimit")
    assert plainly_limited(50, 10, least=1, most=100)[:2] == (20, "ScaleUpLimit")
    assert plainly_limited(50, 10, least=1, most=15)[:2] == (15, "TooManyReplicas")
    assert plainly_limited(1, 10, least=3, most=15)[:2] == (3, "TooFewReplicas")
    assert plainly_limited(7, 10, least=3, most=15)[:2] == (7, "DesiredWithinRange")


def test_policies_bound_the_change_within_their_periods() -> None:
    history = History()
    up = behavior(up=rules(("Pods", 4, 60), ("Percent", 100, 60)))
    assert limit(history, 0.0, 50, 10, up) == (20, "ScaleUpLimit")
    history.note_change(0.0, 10)
    assert limit(history, 30.0, 50, 20, up) == (20, "ScaleUpLimit"), "nothing is left of this period"
    assert limit(history, 61.0, 50, 20, up) == (40, "ScaleUpLimit")
    assert limit(history, 61.0, 50, 20, up, most=25) == (25, "TooManyReplicas")


def test_the_least_change_or_none_can_be_chosen() -> None:
    both = (("Pods", 4, 60), ("Percent", 100, 60))
    assert limit(History(), 0.0, 50, 10, behavior(up=rules(*both, select="Min"))) == (14, "ScaleUpLimit")
    assert limit(History(), 0.0, 50, 10, behavior(up=rules(*both, select="Disabled"))) == (10, "ScaleUpLimit")
    down = (("Pods", 4, 60), ("Percent", 50, 60))
    assert limit(History(), 0.0, 1, 10, behavior(down=rules(*down))) == (5, "ScaleDownLimit")
    assert limit(History(), 0.0, 1, 10, behavior(down=rules(*down, select="Min"))) == (6, "ScaleDownLimit")
    assert limit(History(), 0.0, 1, 10, behavior(down=rules(*down, select="Disabled"))) == (10, "ScaleDownLimit")
    assert limit(History(), 0.0, 1, 10, behavior(down=rules(("Percent", 100, 15))), least=2) == (2, "TooFewReplicas")


def test_small_workloads_grow_by_whole_replicas() -> None:
    assert limit(History(), 0.0, 5, 1, behavior(up=rules(("Percent", 10, 60)))) == (2, "ScaleUpLimit")


@given(st.lists(st.tuples(st.integers(1, 120), st.integers(0, 60)), max_size=30), st.integers(1, 20), st.integers(1, 10))
def test_no_period_sees_more_growth_than_its_policy_allows(steps: list[tuple[int, int]], current: int, pods: int) -> None:
    history, now, log = History(), 0.0, [(0.0, current)]
    allowed = behavior(up=rules(("Pods", pods, 60)))
    for wait, more in steps:
        now += wait
        replicas, _ = limit(history, now, current + more, current, allowed, most=10_000)
        history.note_change(now, replicas - current)
        current = replicas
        log.append((now, current))
    for at, replicas in log:
        assert all(count - replicas <= pods for moment, count in log if at <= moment < at + 60)
