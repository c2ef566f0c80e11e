"""Creations whose answer was lost: the server is asked, until the cache shows what it answers."""

from __future__ import annotations

import random

import pytest
from tiphys.testing.fake_api import FakeApi

from tests.unit.controllers.make import replica_set
from tiphys.aio.clock import VirtualClock
from tiphys.aio.tasks import TaskSet
from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.machinery import errors
from tiphys.controllers.replicaset.controller import ReplicaSetController
from tiphys.controllers.shared.doubts import is_unknown
from tiphys.runtime import Manager
from tiphys.testing import eventually


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
async def test_a_replica_set_does_not_make_pods_again_whose_answers_were_lost() -> None:
    api = FakeApi(clock=VirtualClock())
    api.lose_answers(lambda call: (call.verb, call.resource) == ("create", "pods"))
    manager = Manager(api.client(), clock=api.clock, rng=random.Random(1))
    manager.add_all([ReplicaSetController()])
    async with TaskSet() as tasks:
        tasks.spawn(manager.run(), name="manager")
        await eventually(lambda: manager.synced)
        for watcher in api.store.watchers:
            watcher.stalled = watcher.resource[2] == "pods"
        api.add(replica_set(replicas=5))
        await eventually(lambda: len(api.list(core.Pod)) == 5)
        for number in range(10):
            found = api.get(apps.ReplicaSet, "web-1", "default")
            found.metadata.annotations["touched"] = str(number)
            api.add(found)
            await api.clock.sleep(1.0)
        assert len(api.list(core.Pod)) == 5
        lists = len([call for call in api.calls if (call.verb, call.resource) == ("list", "pods")])
        api.store.end_watches()
        await api.clock.sleep(120.0)
        # The cache is as new as the answers by now, and is believed again.
        for number in range(10):
            found = api.get(apps.ReplicaSet, "web-1", "default")
            found.metadata.annotations["touched"] = str(number)
            api.add(found)
            await api.clock.sleep(1.0)
        assert len([call for call in api.calls if (call.verb, call.resource) == ("list", "pods")]) <= lists + 1
        assert len(api.list(core.Pod)) == 5
