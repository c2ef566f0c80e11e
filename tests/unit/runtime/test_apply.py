"""update_with_retry."""

from __future__ import annotations

import pytest

from tiphys.api.core import v1 as core
from tiphys.api.machinery import errors
from tiphys.runtime import Key, copied, update_with_retry
from tiphys.testing.memory_api import MemoryApi
from tiphys.testing.samples import config, pod

pytestmark = pytest.mark.looptime

KEY = Key("default", "c")


def touch(obj: core.ConfigMap) -> None:
    obj.data["touched"] = "yes"


async def test_conflicts_are_met_by_reading_again(api: MemoryApi) -> None:
    api.add(config("c"))
    raced = 0

    def race(obj: core.ConfigMap) -> None:
        nonlocal raced
        if raced < 2:
            raced += 1
            api.add(config("c", other=str(raced)))
        touch(obj)

    after = await update_with_retry(api.client(), core.ConfigMap, KEY, race)
    assert after.data == {"other": "2", "touched": "yes"}
    assert api.get(core.ConfigMap, "c", "default").data == after.data


async def test_it_gives_up_with_the_conflict(api: MemoryApi) -> None:
    api.add(config("c"))
    api.faults.fail("update", errors.Conflict("always"), times=100)
    with pytest.raises(errors.Conflict):
        await update_with_retry(api.client(), core.ConfigMap, KEY, touch, tries=3)
    assert len(api.writes()) == 3


async def test_nothing_is_written_when_nothing_is_to_change(api: MemoryApi) -> None:
    api.add(config("c"))
    await update_with_retry(api.client(), core.ConfigMap, KEY, lambda obj: False)
    assert api.writes() == []
    with pytest.raises(errors.NotFound):
        await update_with_retry(api.client(), core.ConfigMap, Key("default", "none"), touch)


async def test_a_subresource_can_be_meant(api: MemoryApi) -> None:
    api.add(pod("c"))

    def run(obj: core.Pod) -> None:
        obj.status.phase = "Running"

    await update_with_retry(api.client(), core.Pod, KEY, run, subresource="status")
    assert api.get(core.Pod, "c", "default").status.phase == "Running"


def test_copies_are_independent() -> None:
    original = pod("a", labels={"x": "y"})
    copy = copied(original)
    assert copy == original
    copy.metadata.labels["x"] = "z"
    assert original.metadata.labels["x"] == "y"
