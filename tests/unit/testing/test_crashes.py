"""Crashes between any two writes, tried on a loop that survives them and on one that does not."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import AlreadyExists
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.client import Client
from tiphys.testing.crashes import crash_between_writes
from tiphys.testing.memory_api import MemoryApi
from tiphys.testing.samples import config

pytestmark = pytest.mark.looptime

WANTED = ("a", "b", "c")


def prepare(api: MemoryApi) -> None:
    api.add(config("wanted", names=" ".join(WANTED)))


async def careful(client: Client) -> None:
    """Make what is missing, then say so."""
    wanted = await client.get(core.ConfigMap, "wanted", "default")
    for name in wanted.data["names"].split():
        with suppress(AlreadyExists):
            await client.create(config(name))
    await client.patch(core.ConfigMap, "wanted", "default", body={"data": {"done": "yes"}})
    await asyncio.sleep(10**6)


async def careless(client: Client) -> None:
    """Say that all is there before it is."""
    wanted = await client.get(core.ConfigMap, "wanted", "default")
    if wanted.data.get("done") != "yes":
        await client.patch(core.ConfigMap, "wanted", "default", body={"data": {"done": "yes"}})
        for name in wanted.data["names"].split():
            await client.create(config(name))
    await asyncio.sleep(10**6)


async def failing(client: Client) -> None:
    raise RuntimeError("bug")


def done(api: MemoryApi) -> bool:
    return api.get(core.ConfigMap, "wanted", "default").data.get("done") == "yes" and all(
        api.find(core.ConfigMap, n, "default") for n in WANTED
    )


async def test_a_loop_that_survives_is_tried_after_each_of_its_writes() -> None:
    # After the fourth write the work is done, whether it knows it or not.
    assert await crash_between_writes(prepare=prepare, run=careful, check=done) == 4


async def talkative(client: Client) -> None:
    """Tell of each write before it."""
    about = core.ObjectReference(kind="ConfigMap", name="wanted", namespace="default")
    for name in WANTED:
        await client.create(core.Event(metadata=ObjectMeta(generateName="note-", namespace="default"), involvedObject=about))
        with suppress(AlreadyExists):
            await client.create(config(name))
    await careful(client)


async def test_no_crash_follows_an_event() -> None:
    assert await crash_between_writes(prepare=prepare, run=talkative, check=done) == 4


async def test_a_loop_that_does_not_is_found_out() -> None:
    with pytest.raises(AssertionError, match="after a crash that followed write 1"):
        await crash_between_writes(prepare=prepare, run=careless, check=done)


async def test_errors_of_the_loop_come_through() -> None:
    with pytest.raises(RuntimeError, match="bug"):
        await crash_between_writes(prepare=prepare, run=failing, check=done)
