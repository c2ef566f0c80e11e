"""The order of pods, and when they are tried again."""

from __future__ import annotations

from tests.unit.scheduler.make import info, pod
from tiphys.api.core import v1 as core
from tiphys.scheduler.queue import PARKED_AT_MOST, SchedulingQueue, Waiting

FIT = frozenset(("NodeResourcesFit",))


def taken(queue: SchedulingQueue) -> Waiting:
    one = queue.pop()
    assert one is not None
    return one


def names(queue: SchedulingQueue) -> list[str]:
    found = []
    while (one := queue.pop()) is not None:
        found.append(one.info.key.name)
    return found


def test_priority_comes_before_time() -> None:
    queue = SchedulingQueue()
    for name, priority, now in (("old", 0, 1.0), ("new", 0, 2.0), ("urgent", 10, 3.0), ("negative", -5, 0.0)):
        queue.add(info(pod(name, priority=priority)), now)
    assert names(queue) == ["urgent", "old", "new", "negative"]


def test_backoff_doubles_from_one_second_to_ten() -> None:
    queue = SchedulingQueue()
    queue.add(info(pod("a")), 0.0)
    now, delays = 0.0, []
    for _ in range(6):
        queue.retry(taken(queue), now)
        due = queue.next_due
        assert due is not None
        queue.release(due - 0.01)
        assert queue.pop() is None
        queue.release(due)
        delays.append(due - now)
        now = due
    assert delays == [1, 2, 4, 8, 10, 10]


def test_a_parked_pod_is_woken_by_what_helps_and_not_before_its_backoff() -> None:
    queue = SchedulingQueue()
    queue.add(info(pod("a")), 0.0)
    queue.park(taken(queue), 0.0, FIT)
    assert queue.next_due == PARKED_AT_MOST
    queue.wake(0.5, lambda waiting: "NodePorts" in waiting.rules)
    assert queue.places == {"parked": 1}
    queue.wake(0.5, lambda waiting: "NodeResourcesFit" in waiting.rules)
    assert queue.places == {"backoff": 1}
    assert queue.next_due == 1.0
    queue.release(1.0)
    queue.park(taken(queue), 1.0, FIT)
    queue.wake(60.0, lambda waiting: True)
    assert names(queue) == ["a"]


def test_a_parked_pod_is_tried_again_after_five_minutes() -> None:
    queue = SchedulingQueue()
    queue.add(info(pod("a")), 0.0)
    queue.park(taken(queue), 7.0, FIT)
    queue.release(306.9)
    assert queue.pop() is None
    queue.release(307.0)
    assert names(queue) == ["a"]


def test_hints_are_asked_once_for_pods_that_are_alike() -> None:
    queue = SchedulingQueue()
    for number in range(100):
        queue.add(info(pod(f"p{number}", cpu="100m" if number % 2 else "200m")), 0.0)
    for _ in range(100):
        queue.park(taken(queue), 0.0, FIT)
    asked = []
    queue.wake(60.0, lambda waiting: bool(asked.append(waiting)))  # type: ignore[func-returns-value]
    assert len(asked) == 2
    assert queue.places == {"parked": 100}
    queue.wake(60.0, lambda waiting: True)
    assert len(names(queue)) == 100


def test_gates_keep_a_pod_out_until_they_are_gone() -> None:
    queue = SchedulingQueue()
    gated = pod("a", schedulingGates=[core.PodSchedulingGate(name="wait")])
    one = info(gated)
    queue.add(one, 0.0)
    queue.wake(1000.0, lambda waiting: True)
    queue.release(1000.0)
    assert queue.pop() is None
    open_pod = pod("a")
    open_pod.metadata.uid = one.uid
    queue.update(info(open_pod), 1.0, helps=True)
    assert names(queue) == ["a"]


def test_a_change_of_a_parked_pod_wakes_it_only_when_it_matters() -> None:
    queue = SchedulingQueue()
    first = info(pod("a"))
    queue.add(first, 0.0)
    queue.park(taken(queue), 0.0, FIT)
    changed = pod("a", cpu="50m")
    changed.metadata.uid = first.uid
    queue.update(info(changed), 5.0, helps=False)
    assert queue.pop() is None
    queue.update(info(changed), 5.0, helps=True)
    assert taken(queue).info.template.requests.amounts["cpu"] == 50


def test_removed_pods_are_gone_from_everywhere() -> None:
    queue = SchedulingQueue()
    infos = [info(pod(name)) for name in ("active", "parked", "backoff", "taken")]
    for one in infos[1:]:
        queue.add(one, 0.0)
    by_name = {one.info.key.name: one for one in (taken(queue), taken(queue), taken(queue))}
    queue.park(by_name["parked"], 0.0, FIT)
    queue.retry(by_name["backoff"], 0.0)
    queue.add(infos[0], 0.0)
    for one in infos:
        queue.remove(one.uid)
    # A decision that was under way may still be told.
    queue.park(by_name["taken"], 0.0, FIT)
    queue.release(1000.0)
    queue.wake(1000.0, lambda waiting: True)
    assert (len(queue), queue.pop(), queue.next_due) == (0, None, None)


def test_pods_that_come_into_a_place_are_told_with_the_event() -> None:
    told: list[tuple[str, str]] = []
    queue = SchedulingQueue(came=lambda place, event: told.append((place, event)))
    queue.add(info(pod("a")), 0.0)
    queue.park(taken(queue), 0.0, FIT)
    queue.wake(0.5, lambda waiting: True, "NodeAdd")
    queue.release(2.0)
    assert told == [
        ("active", "UnscheduledPodAdd"), ("parked", "ScheduleAttemptFailure"), ("backoff", "NodeAdd"), ("active", "BackoffComplete"),
    ]  # fmt: skip
