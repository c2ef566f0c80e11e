"""Control loops that meet lagging caches, crashes between their writes, and faults by chance."""

from __future__ import annotations

import asyncio
import random
from functools import partial

import pytest

from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.controllers.replicaset.controller import ReplicaSetController
from tiphys.testing import eventually
from tiphys.testing.crashes import crash_between_writes
from tiphys.testing.faults import Faults
from tiphys.testing.loops import run_loops, running_loops
from tiphys.testing.memory_api import MemoryApi
from tiphys.testing.samples import replica_set

pytestmark = pytest.mark.looptime

REPLICAS = 4


def settled(api: MemoryApi, replicas: int = REPLICAS) -> bool:
    """Return whether the pods are there, neither more nor less, and the status says so."""
    status = api.get(apps.ReplicaSet, "web", "default").status
    return len(api.list(core.Pod)) == replicas == status.replicas


async def test_a_lagging_cache_never_makes_pods_twice(api: MemoryApi) -> None:
    """Pods of the loop's own making are not in its cache yet when the next reconcile comes."""
    async with running_loops(api.client(), ReplicaSetController):
        with api.faults.hold_events("watch pods"):
            await api.client().create(replica_set("web", REPLICAS))
            for number in range(5):
                await asyncio.sleep(20)
                body = {"metadata": {"labels": {"turn": str(number)}}}
                await api.client().patch(apps.ReplicaSet, "web", "default", body=body)
                assert len(api.list(core.Pod)) <= REPLICAS
        await eventually(lambda: settled(api))
    assert len([call for call in api.writes() if (call.verb, call.resource) == ("create", "pods")]) == REPLICAS


async def test_a_crash_between_any_two_writes_makes_no_pods_twice() -> None:
    crashes = await crash_between_writes(
        prepare=lambda api: api.add(replica_set("web", REPLICAS)), run=lambda client: run_loops(client, ReplicaSetController), check=settled
    )
    assert crashes > REPLICAS


@pytest.mark.parametrize("seed", range(5))
async def test_the_end_is_the_same_whatever_fails_on_the_way(api: MemoryApi, seed: int) -> None:
    faults = Faults(clock=api.clock)
    faults.randomly(random.Random(seed))
    client = api.client()
    async with running_loops(api.client(faults=faults), ReplicaSetController):
        await client.create(replica_set("web", REPLICAS))
        for replicas in (7, 2, REPLICAS):
            await asyncio.sleep(30)
            await client.patch(apps.ReplicaSet, "web", "default", body={"spec": {"replicas": replicas}})
        faults.clear()
        await eventually(partial(settled, api), timeout=600.0)
