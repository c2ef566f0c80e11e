"""Streams and whole answers share the turns of the loop."""

from __future__ import annotations

import asyncio

from tiphys.aio.tasks import cancel_and_wait
from tiphys.http.turns import PART_BYTES, TURN_BYTES, Turns


async def test_one_turn_sends_so_much_and_no_more() -> None:
    """Bytes that go out between two steps of the loop are bounded, however many streams want to send."""
    turns, sent, per_step = Turns(), 0, []

    async def stream() -> None:
        nonlocal sent
        for _ in range(5):
            await turns.take(64 << 10)
            sent += 64 << 10

    tasks = [asyncio.create_task(stream()) for _ in range(100)]
    while not all(task.done() for task in tasks):
        before = sent
        await asyncio.sleep(0)
        per_step.append(sent - before)
    assert sent == 500 * (64 << 10)
    assert max(per_step) <= 2 * TURN_BYTES  # what was granted, and what is left of a turn that begins
    assert len(per_step) >= sent // (2 * TURN_BYTES)


async def test_small_parts_count_for_more_than_their_length() -> None:
    turns, woken = Turns(), 0

    async def stream() -> None:
        nonlocal woken
        await turns.take(10)
        woken += 1

    tasks = [asyncio.create_task(stream()) for _ in range(1000)]
    await asyncio.sleep(0)
    assert woken <= TURN_BYTES // PART_BYTES
    await asyncio.gather(*tasks)


async def test_a_stream_alone_waits_for_nothing() -> None:
    begun = Turns().take(1000)
    try:
        begun.send(None)
    except StopIteration:
        return
    raise AssertionError("it waited")


async def test_a_stream_that_goes_leaves_its_place() -> None:
    turns = Turns()
    await turns.take(TURN_BYTES)
    first, second = asyncio.create_task(turns.take(TURN_BYTES)), asyncio.create_task(turns.take(1))
    await asyncio.sleep(0)
    await cancel_and_wait(first)
    await asyncio.wait_for(second, 5)


async def test_a_part_larger_than_a_turn_goes_out() -> None:
    turns = Turns()
    for _ in range(3):
        await asyncio.wait_for(turns.take(10 * TURN_BYTES), 5)


async def test_answers_under_way_go_on_before_others_begin() -> None:
    turns, order = Turns(), []

    async def answer(name: str) -> None:
        for part in range(3):
            await turns.take(TURN_BYTES, first=part > 0)
            order.append(name)

    await asyncio.gather(*(answer(name) for name in "abc"))
    assert "".join(order) == "aaabbbccc"
