"""Threads of their own for calls that may hang."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tiphys.aio.threads import in_own_thread


async def test_the_outcome_of_a_call() -> None:
    assert await in_own_thread(lambda: threading.current_thread().name, name="mine") == "mine"
    with pytest.raises(ZeroDivisionError):
        await in_own_thread(lambda: 1 // 0, name="mine")


async def test_calls_that_hang_hold_nobody() -> None:
    go_on = threading.Event()
    hanging = [in_own_thread(go_on.wait, name="hanging") for _ in range(64)]
    assert await asyncio.to_thread(lambda: "free") == "free"
    assert await in_own_thread(lambda: "free", name="mine") == "free"
    hanging[0].cancel()
    go_on.set()
    assert await asyncio.gather(*hanging[1:]) == [True] * 63
