"""Marks of disruptions that did not happen."""

from __future__ import annotations

import random

import pytest

from tests.unit.controllers.make import NOW, ago, slim_pod, whole_pod
from tiphys.aio.clock import VirtualClock
from tiphys.aio.tasks import TaskSet
from tiphys.api.core import v1 as core
from tiphys.controllers.disruption.stale import StaleDisruptionController, stale_in
from tiphys.runtime import Manager
from tiphys.testing import eventually
from tiphys.testing.fake_api import FakeApi


def marked(*, seconds: float | None = 30, status: str = "True", reason: str = "EvictionByEvictionAPI", **state: object) -> core.Pod:
    made = whole_pod(**state)  # type: ignore[arg-type]
    since = ago(seconds) if seconds is not None else None
    mark = core.PodCondition(
        type="DisruptionTarget", status=status, reason=reason, message="Eviction API: evicting", lastTransitionTime=since
    )
    made.status.conditions.append(mark)
    return made


@pytest.mark.parametrize(
    ("pod", "seconds"),
    [
        (marked(), 90),
        (marked(seconds=120), 0),
        (marked(seconds=1000), 0),
        (marked(seconds=None), 0),
        (marked(status="False"), None),
        (marked(reason="TerminationByKubelet"), None),
        (marked(deleting=True), None),
        (marked(phase="Failed"), None),
        (whole_pod(), None),
    ],
)
def test_a_mark_is_stale_after_two_minutes_unless_the_pod_ends(pod: core.Pod, seconds: float | None) -> None:
    assert stale_in(slim_pod(pod), NOW) == seconds


@pytest.mark.looptime
async def test_a_stale_mark_is_taken_off() -> None:
    api = FakeApi(clock=VirtualClock())
    manager = Manager(api.client(), clock=api.clock, rng=random.Random(1))
    manager.add_all([StaleDisruptionController()])
    pod = marked()
    pod.status.conditions[-1].lastTransitionTime = api.clock.now()
    api.add(pod)

    def mark() -> core.PodCondition:
        return next(one for one in api.get(core.Pod, "p", "default").status.conditions if one.type == "DisruptionTarget")

    async with TaskSet() as tasks:
        tasks.spawn(manager.run(), name="manager")
        await api.clock.sleep(115.0)
        assert (mark().status, api.writes()) == ("True", [])
        await api.clock.sleep(10.0)
        await eventually(lambda: manager.idle)
        assert (mark().status, mark().reason, mark().message) == ("False", "", "")
        assert mark().lastTransitionTime is not None
        await api.clock.sleep(600.0)
        assert len(api.writes()) == 1
