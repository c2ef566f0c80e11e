"""Pages of metrics: long ones leave the event loop to others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from tiphys.obs.metrics import LINES_PER_TURN, Registry, page, page_in_turns


async def test_others_have_turns_while_a_long_page_is_made_and_may_add_children() -> None:
    registry = Registry()
    family = registry.counter("things_total", "Things.", "name")
    for number in range(4 * LINES_PER_TURN):
        family.labels(f"n{number}").inc()
    before = page(registry.lines())
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            family.labels(f"late{turns}").inc()
            await asyncio.sleep(0)

    running = asyncio.get_running_loop().create_task(others())
    made = await page_in_turns(registry.lines())
    running.cancel()
    assert made == before
    assert turns >= 4


async def test_a_page_in_turns_is_the_page() -> None:
    def lines() -> Iterator[str]:
        yield from (f"line{number} 1" for number in range(3))

    assert await page_in_turns(lines(), ["last 1"]) == b"line0 1\nline1 1\nline2 1\nlast 1\n"
