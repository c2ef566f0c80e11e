"""Choice of the pods that make room for a critical one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.node.make import pod
from tiphys.api.core import v1 as core
from tiphys.api.helpers.resources import pod_requests
from tiphys.node.pod.allocations import Allocations
from tiphys.node.pod.preemption import NoRoom, may_preempt, victims

CRITICAL = pod(priority=2_000_000_000)


def other(name: str, cpu: int = 0, memory: int = 0, *, guaranteed: bool = False, **spec: Any) -> core.Pod:
    amounts = {key: value for key, value in (("cpu", f"{cpu}m" if cpu else ""), ("memory", str(memory) if memory else "")) if value}
    resources = {"requests": amounts, **({"limits": amounts} if guaranteed else {})}
    return pod({"name": "a", "resources": resources}, metadata={"name": name, "uid": name}, **spec)


def names(pods: list[core.Pod]) -> list[str]:
    return [one.metadata.name for one in pods]


def test_critical_pods_preempt_lower_priorities() -> None:
    assert may_preempt(CRITICAL, pod())
    assert may_preempt(pod(priority=2_000_001_000), CRITICAL)
    assert not may_preempt(CRITICAL, pod(priority=2_000_000_000))
    assert not may_preempt(pod(), pod())
    assert may_preempt(pod(priority=5), pod(priority=4))


def test_the_nearest_pod_goes_and_of_equal_ones_the_smaller() -> None:
    pods = [other("big", 900, 200), other("fits", 500, 300), other("also", 500, 100), other("small", 100)]
    assert names(victims(CRITICAL, pods, {"cpu": 450})) == ["also"]
    assert names(victims(CRITICAL, pods, {"cpu": 600})) == ["big"]
    assert names(victims(CRITICAL, pods, {"cpu": 450, "memory": 250})) == ["fits"]


def test_guaranteed_pods_go_last() -> None:
    dear = other("dear", 500, 500, guaranteed=True)
    assert names(victims(CRITICAL, [dear, other("cheap", 500)], {"cpu": 500})) == ["cheap"]
    assert names(victims(CRITICAL, [dear, other("cheap", 400)], {"cpu": 500})) == ["dear"]
    assert names(victims(CRITICAL, [dear, other("none")], {"pods": 1})) == ["none"]


def test_without_enough_nobody_goes() -> None:
    with pytest.raises(NoRoom) as error:
        victims(CRITICAL, [other("a", 400), other("b", 900, priority=2_000_000_000)], {"cpu": 500})
    assert str(error.value) == "[(res: cpu, q: 100), ]"


@given(st.lists(st.tuples(st.integers(0, 900), st.integers(0, 900), st.booleans()), max_size=6), st.integers(1, 2000), st.integers(1, 2000))
def test_victims_free_enough_or_nobody_could(sizes: list[tuple[int, int, bool]], cpu: int, memory: int) -> None:
    pods = [other(str(index), *size[:2], guaranteed=size[2]) for index, size in enumerate(sizes)]
    try:
        chosen = victims(CRITICAL, pods, {"cpu": cpu, "memory": memory})
    except NoRoom:
        chosen = pods
        assert sum(size[0] for size in sizes) < cpu or sum(size[1] for size in sizes) < memory
    else:
        given_ = [pod_requests(one) for one in chosen]
        assert sum(one.get("cpu", 0) for one in given_) >= cpu
        assert sum(one.get("memory", 0) for one in given_) >= memory
    assert len({one.metadata.uid for one in chosen}) == len(chosen)


async def test_preempting_waits_until_all_have_left_the_book() -> None:
    book, asked = Allocations({"cpu": 1000}), []
    for name in ("a", "b"):
        book.enter(other(name, 100), lambda name=name: asked.append(name))  # type: ignore[misc]
    waiting = asyncio.create_task(book.preempt(["a", "b", "never"]))
    await asyncio.sleep(0)
    assert asked == ["a", "b"]
    book.leave("a")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    book.leave("b")
    await asyncio.wait_for(waiting, 5)
