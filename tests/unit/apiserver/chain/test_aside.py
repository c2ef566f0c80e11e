"""The thread for large objects."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from tiphys.apiserver.chain.aside import Aside
from tiphys.testing import eventually


@pytest.fixture
def aside() -> Iterator[Aside]:
    made = Aside()
    yield made
    made.close()


class Busy:
    """A piece of work that keeps the thread until it is let go."""

    def __init__(self, aside: Aside, account: str = "first") -> None:
        self.began, self.end = threading.Event(), threading.Event()
        self.task = asyncio.create_task(aside.run(account, self._work), name="busy")

    def _work(self) -> str:
        self.began.set()
        self.end.wait(30)
        return "worked"


async def test_accounts_take_turns_however_much_one_of_them_sends(aside: Aside) -> None:
    order: list[str] = []
    busy = Busy(aside)
    waiting = [asyncio.create_task(aside.run("many", order.append, f"many {number}")) for number in range(3)]
    waiting.append(asyncio.create_task(aside.run("few", order.append, "few 0")))
    await asyncio.sleep(0)
    busy.end.set()
    assert await busy.task == "worked"
    await asyncio.gather(*waiting)
    assert order == ["many 0", "few 0", "many 1", "many 2"]


async def test_work_that_nobody_waits_for_is_not_begun(aside: Aside) -> None:
    done: list[str] = []
    busy = Busy(aside)
    given_up = asyncio.create_task(aside.run("a", done.append, "given up"))
    kept = asyncio.create_task(aside.run("a", done.append, "kept"))
    await asyncio.sleep(0)
    given_up.cancel()
    busy.end.set()
    await kept
    assert done == ["kept"]
    with pytest.raises(asyncio.CancelledError):
        await given_up


async def test_work_goes_on_after_its_caller_is_gone_and_after_a_failure(aside: Aside) -> None:
    busy = Busy(aside)
    await eventually(busy.began.is_set)
    busy.task.cancel()
    failing = asyncio.create_task(aside.run("b", int, "x"))
    last = asyncio.create_task(aside.run("b", int, "7"))
    await asyncio.sleep(0)
    busy.end.set()
    with pytest.raises(ValueError, match="invalid literal"):
        await failing
    assert await last == 7


async def test_waiting_work_is_dropped_at_the_end(aside: Aside) -> None:
    busy = Busy(aside)
    waiting = asyncio.create_task(aside.run("b", int, "7"))
    await eventually(busy.began.is_set)
    aside.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    busy.end.set()
    assert await busy.task == "worked"
