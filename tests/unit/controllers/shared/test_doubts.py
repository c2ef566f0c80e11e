"""Creations whose answer was lost: the server is asked, until the cache shows what it answers."""

from __future__ import annotations

import pytest

from tests.unit.controllers.make import replica_set
from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.machinery import errors
from tiphys.controllers.replicaset.controller import ReplicaSetController
from tiphys.controllers.shared.doubts import is_unknown
from tiphys.testing import eventually
from tiphys.testing.loops import running_loops
from tiphys.testing.memory_api import MemoryApi


@pytest.mark.parametrize(
    ("error", "unknown"),
    [
        (ConnectionError("gone"), True),
        (TimeoutError(), True),
        (errors.InternalError("broken"), True),
        (errors.Forbidden("quota"), False),
        (errors.AlreadyExists("there"), False),
        (errors.TooManyRequests("later", retry_after=1), False),
    ],
)
def test_errors_that_leave_the_result_open(error: Exception, unknown: bool) -> None:
    assert is_unknown(error) is unknown


@pytest.mark.looptime
async def test_a_replica_set_does_not_make_pods_again_whose_answers_were_lost(api: MemoryApi) -> None:
    api.faults.lose_answers("create pods", times=None)
    async with running_loops(api.client(), ReplicaSetController):
        with api.faults.hold_events("watch pods"):
            api.add(replica_set(replicas=5, actual=0))
            await eventually(lambda: len(api.list(core.Pod)) == 5)
            await touch(api)
            assert len(api.list(core.Pod)) == 5
            lists = lists_of_pods(api)
            assert lists
            api.faults.end_watches()
        await api.clock.sleep(120.0)
        # The cache is as new as the answers by now, and is believed again.
        await touch(api)
        assert lists_of_pods(api) <= lists + 1
        assert len(api.list(core.Pod)) == 5


async def touch(api: MemoryApi) -> None:
    """Give the loop reasons to look again."""
    for number in range(10):
        found = api.get(apps.ReplicaSet, "web-1", "default")
        found.metadata.annotations["touched"] = str(number)
        api.add(found)
        await api.clock.sleep(1.0)


def lists_of_pods(api: MemoryApi) -> int:
    return len([call for call in api.calls if (call.verb, call.resource) == ("list", "pods")])
