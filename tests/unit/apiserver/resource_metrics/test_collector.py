"""The collector measures while somebody asks, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tiphys.aio.clock import VirtualClock
from tiphys.api.machinery.errors import ServiceUnavailable
from tiphys.apiserver.resource_metrics.collector import FIRST_SPAN, IDLE_AFTER, RESOLUTION, Collector
from tiphys.apiserver.resource_metrics.usage import NODE

pytestmark = pytest.mark.looptime


class Nodes:
    """Nodes that use one core each; those in `silent` do not answer."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.names = ["a", "b"]
        self.silent: set[str] = set()
        self.scrapes = 0
        self.collector = Collector(lambda: self.names, self.scrape, self.clock)

    async def scrape(self, name: str) -> bytes:
        self.scrapes += 1
        if name in self.silent:
            raise ServiceUnavailable("silent")
        return f"node_cpu_usage_seconds_total {self.clock.monotonic()}\nnode_memory_working_set_bytes 7\n".encode()


@pytest.fixture
async def nodes() -> AsyncIterator[Nodes]:
    made = Nodes()
    yield made
    await made.collector.close()


async def test_the_first_question_waits_for_two_readings(nodes: Nodes) -> None:
    began = nodes.clock.monotonic()
    uses = await nodes.collector.uses()
    assert nodes.clock.monotonic() - began == pytest.approx(FIRST_SPAN, abs=0.1)
    assert {name: round(found[NODE].cores, 3) for name, found in uses.items()} == {"a": 1.0, "b": 1.0}


async def test_later_questions_are_answered_at_once_and_measuring_goes_on(nodes: Nodes) -> None:
    first = (await nodes.collector.uses())["a"][NODE]
    await nodes.clock.sleep(RESOLUTION + 1.0)
    began = nodes.clock.monotonic()
    second = (await nodes.collector.uses())["a"][NODE]
    assert nodes.clock.monotonic() == began
    assert second.at > first.at
    assert second.window == pytest.approx(RESOLUTION, abs=0.1)


async def test_nothing_is_measured_when_nobody_asks(nodes: Nodes) -> None:
    await nodes.clock.sleep(60.0)
    assert nodes.scrapes == 0
    await nodes.collector.uses()
    await nodes.clock.sleep(IDLE_AFTER + 2 * RESOLUTION)
    before = nodes.scrapes
    await nodes.clock.sleep(10 * RESOLUTION)
    assert nodes.scrapes == before
    assert set(await nodes.collector.uses()) == {"a", "b"}, "it begins again"


async def test_nodes_that_are_silent_or_gone_are_left_out(nodes: Nodes) -> None:
    nodes.silent.add("b")
    assert set(await nodes.collector.uses()) == {"a"}
    nodes.names.append("c")
    nodes.silent.clear()
    await nodes.clock.sleep(2 * RESOLUTION + 1.0)
    assert set(await nodes.collector.uses()) == {"a", "b", "c"}
    nodes.names.remove("a")
    await nodes.clock.sleep(RESOLUTION + 1.0)
    assert set(await nodes.collector.uses()) == {"b", "c"}


async def test_a_question_that_is_given_up_disturbs_nobody(nodes: Nodes) -> None:
    given_up = asyncio.ensure_future(nodes.collector.uses())
    await asyncio.sleep(0)
    given_up.cancel()
    assert set(await nodes.collector.uses()) == {"a", "b"}
