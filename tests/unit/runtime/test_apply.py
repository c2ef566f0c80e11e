"""update_with_retry."""

from __future__ import annotations

import pytest

from tiphys.aio.clock import VirtualClock
from tiphys.api.core import v1 as core
from tiphys.api.machinery import errors
from tiphys.runtime import Key, copied, update_with_retry
from tiphys.testing.fake_api import FakeApi
from tiphys.testing.samples import config, pod, small_scheme

pytestmark = pytest.mark.looptime

KEY = Key("default", "c")


@pytest.fixture
def api() -> FakeApi:
    return FakeApi(small_scheme(), clock=VirtualClock())


def touch(obj: core.ConfigMap) -> None:
    obj.data["touched"] = "yes"


async def test_conflicts_are_met_by_reading_again(api: FakeApi) -> None:
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


async def test_it_gives_up_with_the_conflict(api: FakeApi) -> None:
    api.add(config("c"))
    api.fail(errors.Conflict("always"), verb="update", times=100)
    with pytest.raises(errors.Conflict):
        await update_with_retry(api.client(), core.ConfigMap, KEY, touch, tries=3)
    assert len(api.writes()) == 3


async def test_nothing_is_written_when_nothing_is_to_change(api: FakeApi) -> None:
    api.add(config("c"))
    await update_with_retry(api.client(), core.ConfigMap, KEY, lambda obj: False)
    assert api.writes() == []
    with pytest.raises(errors.NotFound):
        await update_with_retry(api.client(), core.ConfigMap, Key("default", "none"), touch)


async def test_a_subresource_can_be_meant(api: FakeApi) -> None:
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
