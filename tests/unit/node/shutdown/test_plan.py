"""The order of a shutdown and the time of each pod."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.node.make import MOMENT, pod
from tiphys.api.core import v1 as core
from tiphys.node.pod.preemption import CRITICAL
from tiphys.node.shutdown.plan import Period, grace, groups, periods
from tiphys.node.shutdown.state import FILE, ShutdownState, load, store


def ranked(name: str, priority: int | None, seconds: int = 30) -> core.Pod:
    return pod(metadata={"name": name}, priority=priority, terminationGracePeriodSeconds=seconds)


def names(*pods: core.Pod, by: list[Period]) -> list[tuple[int, list[str]]]:
    return [(group.seconds, [one.metadata.name for one in group.pods]) for group in groups(pods, by)]


def test_critical_pods_end_last_and_have_their_part_of_the_time() -> None:
    by = periods(30.0, 10.0, ())
    assert by == [Period(0, 20), Period(CRITICAL, 10)]
    pods = (ranked("dns", CRITICAL + 1000), ranked("web", None), ranked("batch", -5), ranked("db", CRITICAL - 1))
    assert names(*pods, by=by) == [(20, ["web", "batch", "db"]), (10, ["dns"])]


def test_periods_by_priority_count_from_their_priority_on() -> None:
    by = periods(0.0, 0.0, ((1000, 20), (0, 60), (100, 40)))
    pods = (ranked("a", 99), ranked("b", 100), ranked("c", 1000), ranked("d", 5000), ranked("e", -1))
    assert names(*pods, by=by) == [(60, ["a", "e"]), (40, ["b"]), (20, ["c", "d"])]


def test_periods_without_pods_cost_no_time_and_none_are_there_by_default() -> None:
    assert names(ranked("a", 5000), by=periods(0.0, 0.0, ((0, 60), (1000, 20)))) == [(20, ["a"])]
    assert periods(0.0, 0.0, ()) == []


def test_a_pod_has_its_own_grace_period_if_that_is_shorter() -> None:
    assert [grace(ranked("a", 0, seconds), 20) for seconds in (5, 20, 60)] == [5, 20, 20]


@given(
    st.lists(st.integers(-(2**31), 2**31 - 1), max_size=8),
    st.dictionaries(st.integers(0, 2000), st.integers(0, 60), min_size=1, max_size=5),
)
def test_every_pod_ends_once_and_none_before_a_less_important_one(priorities: list[int], by: dict[int, int]) -> None:
    pods = [ranked(str(number), priority) for number, priority in enumerate(priorities)]
    ordered = groups(pods, periods(0.0, 0.0, tuple(by.items())))
    assert sorted(one.metadata.name for group in ordered for one in group.pods) == sorted(one.metadata.name for one in pods)
    for earlier, later in pairwise(ordered):
        assert max(one.spec.priority or 0 for one in earlier.pods) < min(one.spec.priority or 0 for one in later.pods)


def test_the_record_of_the_last_shutdown_is_read_back(tmp_path: Path) -> None:
    assert load(tmp_path) == ShutdownState()
    store(tmp_path, ShutdownState(MOMENT, MOMENT))
    assert load(tmp_path) == ShutdownState(MOMENT, MOMENT)
    (tmp_path / FILE).write_text("{")
    assert load(tmp_path) == ShutdownState()
