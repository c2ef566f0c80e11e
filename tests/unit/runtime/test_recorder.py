"""Events: how they are thinned, counted and written."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from tiphys.api.core import v1 as core
from tiphys.api.machinery import errors
from tiphys.runtime import EventRecorder
from tiphys.runtime.recorder import COMBINED, PENDING
from tiphys.testing.memory_api import MemoryApi
from tiphys.testing.samples import pod

pytestmark = pytest.mark.looptime


@pytest.fixture
async def recorder(api: MemoryApi) -> AsyncIterator[EventRecorder]:
    recorder = EventRecorder(api.client(), "kubelet", clock=api.clock, host="n1", rng=random.Random(1))
    yield recorder
    await recorder.close()


async def test_an_event_says_all_there_is_to_say(api: MemoryApi, recorder: EventRecorder) -> None:
    made = await api.client().create(pod("web"))
    recorder.event(made, "Normal", "Pulled", "Image is here")
    await recorder.flush()
    (event,) = api.list(core.Event)
    about = event.involvedObject
    assert (about.apiVersion, about.kind, about.namespace, about.name, about.uid) == ("v1", "Pod", "default", "web", made.metadata.uid)
    assert (event.type, event.reason, event.message, event.count) == ("Normal", "Pulled", "Image is here", 1)
    assert (event.source.component, event.source.host) == ("kubelet", "n1")
    assert event.metadata.name.startswith("web.")
    assert event.firstTimestamp == event.lastTimestamp == made.metadata.creationTimestamp


async def test_the_same_again_is_counted(api: MemoryApi, recorder: EventRecorder) -> None:
    for _ in range(3):
        recorder.event(pod("web"), "Warning", "BackOff", "again")
        await recorder.flush()
        await asyncio.sleep(60)
    (event,) = api.list(core.Event)
    assert event.count == 3
    assert event.firstTimestamp is not None
    assert event.lastTimestamp is not None
    assert (event.lastTimestamp - event.firstTimestamp).total_seconds() == 120


async def test_similar_messages_are_combined_from_the_tenth_on(api: MemoryApi, recorder: EventRecorder) -> None:
    for number in range(14):
        recorder.event(pod("web"), "Warning", "Failed", f"attempt {number}")
    await recorder.flush()
    events = api.list(core.Event)
    combined = [event for event in events if event.message.startswith(COMBINED)]
    assert len(events) == 10
    assert [(event.count, event.message) for event in combined] == [(5, f"{COMBINED}attempt 13")]


async def test_an_object_may_say_25_things_then_one_in_five_minutes(api: MemoryApi, recorder: EventRecorder) -> None:
    for number in range(40):
        recorder.event(pod("loud"), "Normal", f"Reason{number}", "text")
    recorder.event(pod("quiet"), "Normal", "Reason", "text")
    await recorder.flush()
    assert len([event for event in api.list(core.Event) if event.involvedObject.name == "loud"]) == 25
    assert len(api.list(core.Event)) == 26
    await asyncio.sleep(301)
    for number in range(2):
        recorder.event(pod("loud"), "Normal", f"Later{number}", "text")
    await recorder.flush()
    assert len(api.list(core.Event)) == 27


async def test_an_event_that_expired_begins_again(api: MemoryApi, recorder: EventRecorder) -> None:
    recorder.event(pod("web"), "Normal", "A", "text")
    await recorder.flush()
    api.remove(core.Event, api.list(core.Event)[0].metadata.name, "default")
    recorder.event(pod("web"), "Normal", "A", "text")
    await recorder.flush()
    assert [event.count for event in api.list(core.Event)] == [2]


async def test_cluster_objects_have_their_events_in_default(api: MemoryApi, recorder: EventRecorder) -> None:
    recorder.event(core.ObjectReference(kind="Node", name="n1", uid="n1"), "Normal", "NodeReady", "ready")
    await recorder.flush()
    assert [event.metadata.namespace for event in api.list(core.Event)] == ["default"]


async def test_a_server_that_is_away_is_waited_for_and_a_refusal_is_not(api: MemoryApi, recorder: EventRecorder) -> None:
    api.faults.down = True
    recorder.event(pod("web"), "Normal", "A", "text")
    await asyncio.sleep(30)
    api.faults.down = False
    await recorder.flush()
    assert len(api.list(core.Event)) == 1
    api.faults.fail("create events", errors.Forbidden("no"))
    recorder.event(pod("web"), "Normal", "B", "text")
    await recorder.flush()
    assert len(api.list(core.Event)) == 1


async def test_too_many_are_dropped_and_nothing_is_raised(api: MemoryApi, recorder: EventRecorder) -> None:
    for number in range(PENDING + 100):
        recorder.event(pod(f"p{number}"), "Normal", "A", "text")
    assert recorder.dropped == 100
    recorder.event(None, "Normal", "A", "text")  # type: ignore[arg-type]
    await recorder.flush()
    assert len(api.list(core.Event)) == PENDING


async def test_closing_leaves_no_task(recorder: EventRecorder) -> None:
    before = asyncio.all_tasks()
    recorder.event(pod("web"), "Normal", "A", "text")
    assert len(asyncio.all_tasks()) > len(before)
    await recorder.close()
    assert asyncio.all_tasks() == before
